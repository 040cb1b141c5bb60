//! How a text service speaks.

use crate::settings::{Setting, Settings, wrong};
use sockeye::{Result, parse_size};
use sockeye_proto::framing::{Ending, Framing, MAX_MESSAGE, Message};
use sockeye_proto::text::Encoding;

/// What every text service lets its user set.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "framing",
        value: "auto|lines|chunk",
        about: "what ends a message: newline or 200 ms silence; newline; each read",
        repeats: false,
    },
    Setting {
        name: "encoding",
        value: "LABEL",
        about: "utf-8, gbk, gb18030, any of encoding.spec.whatwg.org (utf-8)",
        repeats: false,
    },
    Setting {
        name: "max-message",
        value: "SIZE",
        about: "the most bytes of a message (64KiB)",
        repeats: false,
    },
];

/// The greatest limit that a user may set for a message: each peer may make the server hold one message, and with more
/// than this a handful of them would fill a small machine.
pub const MAX_MESSAGE_LIMIT: usize = 64 << 20;

/// How a text service speaks: where messages end, in which encoding, and how long they may be.
///
/// ```
/// use sockeye_services::{settings::Settings, text::Manner};
/// let manner = Manner::from_settings(&Settings::new().set("encoding", "gbk"))?;
/// assert_eq!(manner.encoding.to_string(), "gbk");
/// assert_eq!(manner.framing.to_string(), "auto");
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Where a message ends; a datagram is always one message.
    pub framing: Framing,
    /// The encoding of messages and answers.
    pub encoding: Encoding,
    /// The most bytes of a message, its ending apart.
    pub max_message: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            framing: Framing::default(),
            encoding: Encoding::default(),
            max_message: MAX_MESSAGE,
        }
    }
}

impl Manner {
    /// What the user has set of [`SETTINGS`], and the defaults for the rest.
    ///
    /// # Errors
    /// When a value makes no sense, or a framing is set for datagrams.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let mut manner = Manner::default();
        if let Some(framing) = settings.parse("framing")? {
            if settings.packets {
                let value = settings.value("framing").unwrap_or_default();
                return Err(wrong("framing", value, "each datagram is one message").advise("leave it out"));
            }
            manner.framing = framing;
        }
        if let Some(encoding) = settings.parse("encoding")? {
            manner.encoding = encoding;
        }
        if let Some(value) = settings.value("max-message") {
            let size = parse_size(value)
                .map_err(|error| wrong("max-message", value, error.cause()).advise(ADVICE))?;
            manner.max_message = usize::try_from(size)
                .ok()
                .filter(|size| (1..=MAX_MESSAGE_LIMIT).contains(size))
                .ok_or_else(|| {
                    wrong("max-message", value, "it is not from 1 byte to 64MiB").advise(ADVICE)
                })?;
        }
        Ok(manner)
    }

    /// The message that a datagram is, decoded, and the newline it ended with; `None` when it is over the limit.
    pub fn of_datagram(&self, bytes: &[u8]) -> Option<(String, &'static str)> {
        let message = Message {
            bytes,
            ending: Ending::Chunk,
        };
        let body = message.body();
        (body.len() <= self.max_message).then(|| (self.encoding.decode(body).into_owned(), message.newline()))
    }
}

const ADVICE: &str = "write a size such as 512, 64KiB or 1MiB";
