//! Sockeye's services: handlers on the public API of the crate [`sockeye`], a file each.
//!
//! | service | what it does | from |
//! |---|---|---|
//! | [`echo`] | sends back what it receives | RFC 862 |
//! | [`discard`] | receives, and says nothing | RFC 863 |
//! | [`daytime`] | says the date and the time | RFC 867 |
//! | [`chargen`] | sends characters without end | RFC 864 |
//! | [`hello`] | greets, hears one message, ends; answers `dog` with `cat` | the handlers of Python's `socketserver` |
//! | [`files`] | keeps files for users who log in | |
//! | [`reply`] | answers messages by rules | |
//! | [`shop`] | sells snacks, and keeps books | |
//!
//! [`catalog`] is the table of them, with what a command line needs to know: adding a service is its file, a row there
//! and its tests. [`settings`] is how a service learns what its user wants. [`text`] is the conversation in messages of
//! text that several services are made of. [`load`] is the other side: what measures an echo server.
//!
//! [`load`] is the other side: load on an echo server, with every byte checked. [`ask`] is a client of datagrams.
//!
//! [`shield`] keeps those that answer datagrams from being used against others.
//! [`ping`] asks a host whether it is there.
//!
//! [`auth`] is who a peer is: in front of any handler, or in a service's own dialogue. [`data`] and [`store`] are what is kept.
//!
//! [`discovery`] is how services on a link find each other.
//!
//! A handler is a value; a server makes a service of it:
//!
//! ```
//! use sockeye::{Model, Server};
//! use sockeye_services::echo::Echo;
//!
//! let server = Server::bind("tcp://127.0.0.1:0")?.model(Model::Coroutine).start(Echo)?;
//! server.shutdown().stop();
//! server.join()?;
//! # Ok::<(), sockeye::Error>(())
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod ask;
pub mod auth;
pub mod background;
pub mod catalog;
pub mod chargen;
pub mod data;
pub mod daytime;
pub mod discard;
pub mod discovery;
pub mod echo;
pub mod files;
pub mod hello;
pub mod load;
mod patience;
pub mod ping;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod reply;
pub mod settings;
pub mod shield;
pub mod shop;
pub mod store;
pub mod text;
