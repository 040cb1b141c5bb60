//! Everything one does with a socket, on Linux.

mod address;
mod endpoint;
mod error;
mod options;
mod resolve;
mod services;
mod tcp_info;
mod units;

pub use address::{Address, local_address, peer_address};
pub use endpoint::{Endpoint, Host, HostPort, MAX_HOST_NAME, MAX_UNIX_NAME, Port, UnixName};
pub use error::{Class, Error, Result};
pub use options::{Membership, Options};
pub use resolve::{
    LookupError, MAX_LOOKUPS, MAX_WAITING_LOOKUPS, Resolved, host_name, host_name_blocking, interleave,
    interleave_by, resolve, resolve_blocking,
};
pub use services::{Protocol, Service, Source, service_by_name, service_by_port, service_name, service_port};
pub use tcp_info::{Negotiated, TcpInfo};
pub use units::{format_duration, format_size, parse_duration, parse_size};
