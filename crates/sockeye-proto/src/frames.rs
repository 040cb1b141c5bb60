//! Frames: a length, an unsigned 32-bit little-endian integer, and that many bytes of JSON.
//!
//! Raw bytes may stand between two frames, so a [`Decoder`] takes what belongs to one frame and not a byte more.
//! Nothing is reserved for a length that was only declared: memory grows with the bytes that have come.

use crate::{harmless, tls};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes of JSON in a frame: the longest path (4 KiB, each of its bytes escaped as six) fits with room to
/// spare, and a thousand peers that all send the longest hold 64 MiB.
pub const MAX_FRAME: usize = 64 << 10;

/// The bytes of a frame's length.
const HEAD: usize = 4;

/// Finds frames in a stream that is cut anyhow.
///
/// ```
/// use sockeye_proto::frames::{Decoder, encode};
///
/// let mut stream = encode(&serde_json::json!({"operate": "exit"}))?;
/// stream.extend(b"raw bytes");
/// let mut decoder = Decoder::new();
/// assert_eq!(decoder.push(&stream[..3]), 3);
/// assert!(decoder.next()?.is_none());
/// let taken = decoder.push(&stream[3..]);
/// assert_eq!(decoder.next()?.as_deref(), Some(&br#"{"operate":"exit"}"#[..]));
/// assert_eq!(&stream[3 + taken..], b"raw bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// The length's bytes, as many as have come, and the frame's.
    head: [u8; HEAD],
    headed: usize,
    body: Vec<u8>,
}

impl Decoder {
    /// One that waits for a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what belongs to the present frame, and says how many bytes that was: fewer than there are when the frame is
    /// complete, which [`next`](Self::next) hands out. A frame of no allowed length takes nothing beyond its length.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let head = bytes.len().min(HEAD - self.headed);
        self.head[self.headed..self.headed + head].copy_from_slice(&bytes[..head]);
        self.headed += head;
        let body = match self.length() {
            Some(length @ 1..=MAX_FRAME) => (length - self.body.len()).min(bytes.len() - head),
            _ => 0,
        };
        self.body.extend_from_slice(&bytes[head..head + body]);
        head + body
    }

    /// What the frame's length says, once that has come.
    fn length(&self) -> Option<usize> {
        (self.headed == HEAD).then(|| u32::from_le_bytes(self.head) as usize)
    }

    /// The frame's bytes, if it is complete; then the decoder waits for another.
    ///
    /// # Errors
    /// When its length is none that a frame may have. Where the next frame begins can't be known then.
    #[expect(
        clippy::should_implement_trait,
        reason = "what ends is the stream, not the decoder"
    )]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, BadFrame> {
        match self.length() {
            None => Ok(None),
            Some(0) => Err(BadFrame::Empty),
            Some(length) if length > MAX_FRAME => Err(match tls::is_record(&self.head) {
                true => BadFrame::Tls,
                false => BadFrame::TooLong(length),
            }),
            Some(length) if self.body.len() < length => Ok(None),
            Some(_) => {
                self.headed = 0;
                Ok(Some(std::mem::take(&mut self.body)))
            }
        }
    }

    /// Whether a part of a frame has come: a stream that ends here was cut.
    pub fn is_within(&self) -> bool {
        self.headed > 0
    }
}

/// A value as a frame, with its length before it.
///
/// # Errors
/// When its JSON is longer than a frame may be.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, BadFrame> {
    let mut frame = Vec::new();
    encode_onto(&mut frame, value)?;
    Ok(frame)
}

/// Puts a value as a frame behind other bytes.
///
/// # Errors
/// When its JSON is longer than a frame may be: nothing of it is there then.
pub fn encode_onto(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<(), BadFrame> {
    let begin = bytes.len();
    bytes.extend([0; HEAD]);
    let written = serde_json::to_writer(&mut *bytes, value).map_err(|error| BadFrame::not_json(&error));
    let length = bytes.len() - begin - HEAD;
    let fits = match written {
        Ok(()) if length > MAX_FRAME => Err(BadFrame::TooLong(length)),
        written => written,
    };
    match fits {
        Ok(()) => bytes[begin..begin + HEAD].copy_from_slice(&(length as u32).to_le_bytes()),
        Err(_) => bytes.truncate(begin),
    }
    fits
}

/// What a frame's bytes say.
///
/// # Errors
/// When they are no JSON, or not of this type.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, BadFrame> {
    serde_json::from_slice(frame).map_err(|error| BadFrame::not_json(&error))
}

/// Why a frame can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Its length is 0.
    #[error("a frame has at least one byte, and this has none")]
    Empty,
    /// Its length is over [`MAX_FRAME`].
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// It is no frame but the beginning of TLS.
    #[error("{}", tls::MIXED_UP)]
    Tls,
    /// Its bytes aren't JSON of the type that is wanted.
    #[error("the frame can't be read: {0}")]
    NotJson(String),
}

impl BadFrame {
    /// The reason may quote the frame, whose words are a stranger's.
    fn not_json(error: &serde_json::Error) -> Self {
        BadFrame::NotJson(harmless::text(&error.to_string()))
    }
}
