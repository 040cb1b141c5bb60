//! Codecs as pure state machines: bytes and time come in as arguments.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod chargen;
pub mod daytime;
pub mod framing;
pub mod reply;
pub mod text;
