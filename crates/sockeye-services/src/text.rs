//! A conversation in messages of text: what chat, shop and reply are made of.
//!
//! [`TextConnection`] finds the messages in a stream ([`Framing`]), decodes them, encodes the answers, and ends each
//! answer as the peer ended its message. It holds no buffer while nothing is pending.

mod conversation;
mod manner;

pub use conversation::{TextConnection, TextMessage};
pub use manner::{MAX_MESSAGE_LIMIT, Manner, SETTINGS};

#[cfg(doc)]
use sockeye_proto::framing::Framing;
