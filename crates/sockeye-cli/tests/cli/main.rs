//! The real binary, driven as a user drives it. A module per subcommand.

mod dice;
mod faults;
mod lan;
mod sockeye;

mod ask;
mod bench;
mod broadcast;
mod credentials;
mod discover;
mod file_service;
mod files;
mod info;
mod interrupts;
mod listen;
mod mixed_up;
mod output;
mod serve;
mod shop;
mod user;
