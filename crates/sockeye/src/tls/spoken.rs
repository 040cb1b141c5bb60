//! Whether the other end speaks TLS at all, and how it left.

use rustls::{Error, HandshakeType, InvalidMessage};
use std::io;

/// Whether a handshake failed because the other end speaks no TLS: what it said is no record of it, or is what it heard.
pub(crate) fn is_none(error: &io::Error) -> bool {
    let why = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        why,
        Some(
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion
            ) | Error::InappropriateHandshakeMessage {
                got_type: HandshakeType::ClientHello,
                ..
            }
        )
    )
}

/// The peer closed without the farewell of TLS. rustls says so with a link to its own documentation, which is for programmers.
pub(crate) fn unheard_farewell(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(
            error.kind(),
            "the peer closed the connection without the farewell of TLS (close_notify)",
        ),
        _ => error,
    }
}
