//! Sockets for people: an endpoint, a model and a handler make a server; an endpoint makes a connection.
//!
//! | to … | start at |
//! |---|---|
//! | serve connections | [`Server`], [`Handler`] |
//! | serve packets | [`Server`], [`PacketHandler`] |
//! | serve beside a future of your own, on one thread | [`Server::start_here`] |
//! | connect | [`dial`], [`Dialer`], [`Connection`] |
//! | send packets | [`Datagram`] |
//! | ping | [`IcmpSocket`] |
//! | name what to connect to | [`Endpoint`], [`resolve()`] |
//! | know this machine's interfaces | [`interfaces`] |
//! | choose how to wait | [`Model`], [`run`], [`block_on`] |
//! | set options of a socket | [`Options`] |
//! | speak TLS | [`TlsServer`], [`TlsClient`] |
//! | accept in a loop of your own | [`Listener`] |
//! | find what Python's `socket` calls something | [`python`] |
//!
//! A handler is written once and runs unchanged under every model of concurrency: a process or a thread per
//! connection, one thread that spins, selects or polls, coroutines, io_uring. Nothing but the folder `model` knows
//! which it is.

mod address;
mod buffer;
mod connection;
mod datagram;
mod dial;
mod endpoint;
mod error;
mod handler;
mod icmp;
mod interface;
mod listen;
mod listener;
mod mapping;
mod model;
mod on_link;
mod options;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod python;
mod resolve;
mod server;
mod services;
mod tcp_info;
pub mod time;
mod tls;
mod units;

pub use address::{Address, local_address, peer_address};
pub use buffer::Chunk;
pub use connection::Connection;
pub use datagram::{Datagram, Message, Packet};
pub use dial::{ATTEMPT_DELAY, Attempt, CONNECT_TIMEOUT, Dialer, dial};
pub use endpoint::{Endpoint, Host, HostPort, MAX_HOST_NAME, MAX_UNIX_NAME, Port, ToEndpoint, UnixName};
pub use error::{Class, Error, Result};
pub use handler::{Handler, PacketHandler};
pub use icmp::{IcmpHeard, IcmpSocket, hear_troubles};
pub use interface::{Interface, InterfaceAddress, interface_index, interface_name, interfaces};
pub use listener::Listener;
pub use mapping::shared_numbers;
pub use model::{Model, Trigger, block_on, run, spawn_local};
pub use on_link::UdpSockets;
pub use options::{Membership, Options};
pub use resolve::{
    LookupError, MAX_LOOKUPS, MAX_WAITING_LOOKUPS, Resolved, host_name, host_name_blocking, interleave,
    interleave_by, resolve, resolve_blocking,
};
pub use server::{Event, Limits, MAX_WORKERS, Reason, Running, Server, Shutdown};
pub use services::{Protocol, Service, Source, service_by_name, service_by_port, service_name, service_port};
pub use tcp_info::{Negotiated, TcpInfo};
pub use tls::{Distrust, TlsClient, TlsFacts, TlsServer, fingerprint};
pub use units::{format_duration, format_size, parse_duration, parse_size};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct ReadmeExamples;
