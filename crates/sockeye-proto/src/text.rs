//! The encoding of a text service.
//!
//! The names are the labels of the [WHATWG Encoding Standard](https://encoding.spec.whatwg.org/),
//! in any case: `utf-8`, `gbk`, `gb18030`, `big5`, `shift_jis`, `latin1`, … . Decoding never fails
//! and encoding never fails: what cannot be said is replaced, as a person would want it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An encoding in which a newline is the one byte 0x0A, and that byte is nothing else.
///
/// Every multi-byte encoding here has trail bytes from 0x21 or 0x30 up. GBK's include `\`, `|`, `[`
/// and letters, never LF or CR; so lines may be cut before decoding. UTF-16, which breaks that, is
/// refused.
///
/// ```
/// use sockeye_proto::text::Encoding;
///
/// let gbk: Encoding = "GBK".parse()?;
/// assert_eq!(*gbk.encode("瓜子"), [0xb9, 0xcf, 0xd7, 0xd3]);
/// assert_eq!(gbk.decode(&[0xb9, 0xcf, 0xd7, 0xd3]), "瓜子");
/// assert_eq!(*gbk.encode("a🐟b"), *b"a?b");
/// assert_eq!(gbk.to_string(), "gbk");
/// assert_eq!(Encoding::default(), Encoding::UTF_8);
/// # Ok::<(), sockeye_proto::text::EncodingError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// UTF-8, the default of every text service but the shop.
    pub const UTF_8: Encoding = Encoding(encoding_rs::UTF_8);
    /// GBK, which Chinese editions of Windows use for text that is not Unicode.
    pub const GBK: Encoding = Encoding(encoding_rs::GBK);
    /// GB 18030, which has all of Unicode and contains GBK.
    pub const GB18030: Encoding = Encoding(encoding_rs::GB18030);

    /// The text that the bytes stand for; each malformed sequence becomes U+FFFD.
    ///
    /// A byte order mark is text like any other, and never changes the encoding. Nothing is
    /// copied when the bytes are UTF-8 already (or ASCII, in an encoding that contains it).
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        self.0.decode_without_bom_handling(bytes).0
    }

    /// The bytes that stand for the text; each character that the encoding lacks becomes `?`.
    ///
    /// Nothing is copied when the bytes are those of the text.
    pub fn encode<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        match self.0.encode(text) {
            (bytes, _, false) => bytes,
            // The standard's own replacement is an HTML entity: right for a form, not for a chat.
            (_, _, true) => Cow::Owned(self.encode_with_question_marks(text)),
        }
    }

    /// The first character of the text that the encoding lacks.
    ///
    /// ```
    /// use sockeye_proto::text::Encoding;
    ///
    /// assert_eq!(Encoding::GBK.lacks("瓜子 ☃"), Some('☃'));
    /// assert_eq!(Encoding::UTF_8.lacks("瓜子 ☃"), None);
    /// ```
    pub fn lacks(&self, text: &str) -> Option<char> {
        if !self.0.encode(text).2 {
            return None;
        }
        text.chars()
            .find(|letter| self.0.encode(letter.encode_utf8(&mut [0; 4])).2)
    }

    fn encode_with_question_marks(&self, text: &str) -> Vec<u8> {
        use encoding_rs::EncoderResult::{InputEmpty, OutputFull, Unmappable};

        let mut encoder = self.0.new_encoder();
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        loop {
            let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut bytes, true);
            rest = &rest[read..];
            match result {
                InputEmpty => return bytes,
                // Longer than any character's bytes with the escape sequences around it.
                OutputFull => bytes.reserve(rest.len() + 16),
                // Every encoder leaves Unmappable in a state where ASCII stands for itself.
                Unmappable(_) => bytes.push(b'?'),
            }
        }
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Encoding::UTF_8
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoding({self})")
    }
}

/// Prints the standard's name of the encoding in lower case, which is also a label of it.
impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.name().to_ascii_lowercase())
    }
}

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(label: &str) -> Result<Self, EncodingError> {
        let Some(encoding) = encoding_rs::Encoding::for_label(label.as_bytes()) else {
            return Err(EncodingError::Unknown(label.to_owned()));
        };
        if encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE {
            return Err(EncodingError::WideNewline(label.to_owned()));
        }
        if encoding == encoding_rs::REPLACEMENT {
            return Err(EncodingError::Withdrawn(label.to_owned()));
        }
        Ok(Encoding(encoding))
    }
}

/// A label that names no encoding, or one that a text service cannot use.
///
/// ```
/// use sockeye_proto::text::Encoding;
///
/// let error = "utf-16".parse::<Encoding>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "encoding `utf-16`: a newline is not one byte in it, so messages cannot be told apart: \
///      use utf-8 or gb18030"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// No encoding of the standard has this label.
    #[error(
        "unknown encoding `{}`: use utf-8, gbk, gb18030 or another label of encoding.spec.whatwg.org",
        .0.escape_debug()
    )]
    Unknown(String),
    /// UTF-16: the byte 0x0A is also half of other characters.
    #[error(
        "encoding `{}`: a newline is not one byte in it, so messages cannot be told apart: use utf-8 or gb18030",
        .0.escape_debug()
    )]
    WideNewline(String),
    /// The standard knows the label, and maps it to no encoding because it is unsafe to use.
    #[error("encoding `{}` was withdrawn as unsafe: use utf-8 or gb18030", .0.escape_debug())]
    Withdrawn(String),
}
