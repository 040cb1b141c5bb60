//! The real binary, driven as a user drives it. A module per subcommand.

mod dice;
mod lan;
mod sockeye;

mod bench;
mod credentials;
mod discover;
mod file_service;
mod files;
mod info;
mod serve;
mod shop;
mod user;
