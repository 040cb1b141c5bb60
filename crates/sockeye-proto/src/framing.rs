//! Where a message of a text service ends.
//!
//! Programs written by hand with `socket.send` send a message as it is, with no newline; telnet and
//! netcat send lines. [`Framing::Auto`] serves both; [`Framing::Lines`] and [`Framing::Chunk`] are
//! for those who know what their peers do.
//!
//! The rules about CR:
//!
//! - CR before LF belongs to the ending, in whatever pieces the two arrive.
//! - Any other CR is a byte of the message, with one exception: when silence ends a message whose
//!   last byte is CR, that CR is taken for the first half of a CRLF. It is left out of the message,
//!   and should LF come as the very next byte, that LF is dropped, so that a slow CRLF is one ending
//!   and does not make an empty message.
//!
//! LF is looked for in bytes, before decoding. That is right for every encoding that
//! [`Encoding`](crate::text::Encoding) accepts: none of them uses the byte 0x0A inside a character.

mod framer;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use framer::Framer;

/// How long a peer must be silent before [`Framing::Auto`] takes what it has for a message.
///
/// Longer than the pauses that TCP itself makes within one `send` when nothing is lost (a round trip;
/// 40 ms where Nagle's algorithm meets Linux' delayed acknowledgement), short enough for a person not
/// to feel it as a wait.
pub const SILENCE: Duration = Duration::from_millis(200);

/// The most bytes of one message, its ending apart, unless the caller sets another limit: 64 KiB.
///
/// The largest UDP datagram (65,507 bytes) fits, so a message may be the same on both transports.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// How a stream of bytes is cut into messages.
///
/// ```
/// use sockeye_proto::framing::Framing;
///
/// assert_eq!("lines".parse(), Ok(Framing::Lines));
/// assert_eq!(Framing::default().to_string(), "auto");
/// assert_eq!(
///     "json".parse::<Framing>().unwrap_err().to_string(),
///     "unknown framing `json`: use auto, lines or chunk"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Framing {
    /// A message ends at LF or CRLF, or when the peer has been silent for [`SILENCE`].
    #[default]
    Auto,
    /// A message ends at LF or CRLF only.
    Lines,
    /// Each read is a message, as it came.
    Chunk,
}

impl Framing {
    /// Every framing, in the order in which help texts name them.
    pub const ALL: [Framing; 3] = [Framing::Auto, Framing::Lines, Framing::Chunk];

    /// The word that [`FromStr`] reads and [`Display`](fmt::Display) prints.
    pub const fn name(self) -> &'static str {
        match self {
            Framing::Auto => "auto",
            Framing::Lines => "lines",
            Framing::Chunk => "chunk",
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(word: &str) -> Result<Self, UnknownFraming> {
        Framing::ALL
            .into_iter()
            .find(|framing| framing.name() == word)
            .ok_or_else(|| UnknownFraming(word.to_owned()))
    }
}

/// A word that names no [`Framing`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown framing `{}`: use auto, lines or chunk", .0.escape_debug())]
pub struct UnknownFraming(pub String);

/// A peer sent a message over the limit. The framer that says so takes no more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message over the limit of {limit} bytes: send shorter messages")]
pub struct TooLong {
    /// The most bytes a message may have, its ending apart.
    pub limit: usize,
}

/// What ended a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// LF, which is not part of the message.
    Lf,
    /// CR LF, which is not part of the message.
    CrLf,
    /// Nothing came for [`SILENCE`].
    Silence,
    /// The end of one read, under [`Framing::Chunk`].
    Chunk,
    /// The end of the stream: an unterminated last message.
    End,
}

/// One message, borrowed from the [`Framer`] that found it until that is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The bytes of the message without its ending; under [`Framing::Chunk`] exactly what was read.
    pub bytes: &'a [u8],
    /// What ended it.
    pub ending: Ending,
}

impl<'a> Message<'a> {
    /// The message without a newline at its end, under every framing.
    ///
    /// Differs from `bytes` under [`Framing::Chunk`] alone, where a newline comes with the read.
    pub fn body(&self) -> &'a [u8] {
        let newline = match self.ending {
            Ending::Chunk => self.newline().len(),
            Ending::Lf | Ending::CrLf | Ending::Silence | Ending::End => 0,
        };
        &self.bytes[..self.bytes.len() - newline]
    }

    /// The newline that the peer ended this message with, or nothing if it did not: what to put
    /// after each answer, so that a terminal gets lines and a program that sends bare messages gets
    /// bare answers.
    ///
    /// ```
    /// use sockeye_proto::framing::{Ending, Message};
    ///
    /// assert_eq!(Message { bytes: b"hi", ending: Ending::CrLf }.newline(), "\r\n");
    /// assert_eq!(Message { bytes: b"hi", ending: Ending::Silence }.newline(), "");
    /// assert_eq!(Message { bytes: b"hi\n", ending: Ending::Chunk }.newline(), "\n");
    /// ```
    pub fn newline(&self) -> &'static str {
        match self.ending {
            Ending::Lf => "\n",
            Ending::CrLf => "\r\n",
            Ending::Chunk if self.bytes.ends_with(b"\r\n") => "\r\n",
            Ending::Chunk if self.bytes.ends_with(b"\n") => "\n",
            Ending::Chunk | Ending::Silence | Ending::End => "",
        }
    }
}
