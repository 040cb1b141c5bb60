//! Everything one does with a socket, on Linux.

mod address;
mod endpoint;
mod error;
mod units;

pub use address::{Address, local_address, peer_address};
pub use endpoint::{Endpoint, Host, HostPort, MAX_HOST_NAME, MAX_UNIX_NAME, Port, UnixName};
pub use error::{Class, Error, Result};
pub use units::{format_duration, format_size, parse_duration, parse_size};
