//! The endless pattern of characters: RFC 864.
//!
//! Lines of 72 of the 95 printing characters of ASCII, each line beginning one character further on,
//! each ended by CRLF. After 95 lines the pattern repeats, so all of it is one constant and a server
//! can send slices of that without a buffer.

/// Characters in a line, its CRLF apart.
pub const LINE: usize = 72;

/// The most characters that the RFC allows in an answer over UDP.
pub const MAX_DATAGRAM: usize = 512;

const FIRST: u8 = b' ';
const CHARACTERS: usize = (b'~' - b' ') as usize + 1;
const PERIOD: usize = CHARACTERS * (LINE + 2);

static PATTERN: [u8; PERIOD] = pattern();

const fn pattern() -> [u8; PERIOD] {
    let mut pattern = [0; PERIOD];
    let mut at = 0;
    while at < PERIOD {
        let (line, column) = (at / (LINE + 2), at % (LINE + 2));
        pattern[at] = match column {
            LINE => b'\r',
            column if column > LINE => b'\n',
            column => FIRST + ((line + column) % CHARACTERS) as u8,
        };
        at += 1;
    }
    pattern
}

/// Where one TCP connection stands in the pattern.
///
/// ```
/// use sockeye_proto::chargen::Chargen;
///
/// let mut chargen = Chargen::new();
/// let mut lines = [0; 148];
/// chargen.fill(&mut lines);
/// assert!(lines.starts_with(b" !\"#$%&'()*+,-./0123456789:;<=>?@ABC"));
/// assert_eq!(&lines[72..80], b"\r\n!\"#$%&");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chargen {
    at: usize,
}

impl Chargen {
    /// At the beginning of the first line.
    pub const fn new() -> Self {
        Chargen { at: 0 }
    }

    /// Fills the whole of `out` with what comes next.
    pub fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            let next = self.next(out.len());
            let (filled, rest) = out.split_at_mut(next.len());
            filled.copy_from_slice(next);
            out = rest;
        }
    }

    /// What comes next without a copy: 1 to `most` bytes (none only if `most` is 0), cut short where
    /// the pattern repeats.
    ///
    /// A server that can send only a part of it sets its place with [`back`](Chargen::back).
    pub fn next(&mut self, most: usize) -> &'static [u8] {
        let next = &PATTERN[self.at..];
        let next = &next[..most.min(next.len())];
        self.at = (self.at + next.len()) % PERIOD;
        next
    }

    /// Takes back the last `unsent` bytes: they come again.
    pub fn back(&mut self, unsent: usize) {
        self.at = (self.at + PERIOD - unsent % PERIOD) % PERIOD;
    }
}

/// The answer to a datagram: the first `length` bytes of the pattern, at most [`MAX_DATAGRAM`].
///
/// The RFC asks for a random length from 0 to 512; the caller draws it. It may be less than what the
/// request held, so that a forged sender's address makes no amplifier of the server.
///
/// ```
/// use sockeye_proto::chargen::datagram;
///
/// assert_eq!(datagram(5), b" !\"#$");
/// assert_eq!(datagram(9000).len(), 512);
/// ```
pub fn datagram(length: usize) -> &'static [u8] {
    &PATTERN[..length.min(MAX_DATAGRAM)]
}
