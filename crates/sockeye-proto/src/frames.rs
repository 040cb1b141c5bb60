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
    /// The length's bytes, and the frame's after them.
    bytes: Vec<u8>,
}

impl Decoder {
    /// One that waits for a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what belongs to the present frame, and says how many bytes that was: fewer than there are when the frame is
    /// complete, which [`next`](Self::next) hands out. A frame of no allowed length takes nothing beyond its length.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let head = self.take(bytes, HEAD);
        match self.length() {
            Some(length @ 1..=MAX_FRAME) => head + self.take(&bytes[head..], HEAD + length),
            _ => head,
        }
    }

    /// Takes bytes until there are `wanted` in all.
    fn take(&mut self, bytes: &[u8], wanted: usize) -> usize {
        let count = wanted.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        count
    }

    /// What the frame's length says, once that has come.
    fn length(&self) -> Option<usize> {
        let head = self.bytes.first_chunk::<HEAD>()?;
        Some(u32::from_le_bytes(*head) as usize)
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
            Some(length) if length > MAX_FRAME => Err(match tls::is_record(&self.bytes) {
                true => BadFrame::Tls,
                false => BadFrame::TooLong(length),
            }),
            Some(length) if self.bytes.len() < HEAD + length => Ok(None),
            Some(_) => {
                let mut frame = std::mem::take(&mut self.bytes);
                frame.drain(..HEAD);
                Ok(Some(frame))
            }
        }
    }

    /// Whether a part of a frame has come: a stream that ends here was cut.
    pub fn is_within(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// A value as a frame, with its length before it.
///
/// # Errors
/// When its JSON is longer than a frame may be.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, BadFrame> {
    let mut frame = vec![0; HEAD];
    serde_json::to_writer(&mut frame, value).map_err(|error| BadFrame::not_json(&error))?;
    let length = frame.len() - HEAD;
    if length > MAX_FRAME {
        return Err(BadFrame::TooLong(length));
    }
    frame[..HEAD].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(frame)
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
