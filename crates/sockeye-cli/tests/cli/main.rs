//! The real binary, driven as a user drives it. A module per subcommand.

mod sockeye;

mod info;
mod serve;
