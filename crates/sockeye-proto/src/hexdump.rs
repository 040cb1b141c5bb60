//! Bytes as `hexdump -C` prints them.
//!
//! ```text
//! 00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0d 0a        |hello, world..|
//! 0000000e
//! ```
//!
//! A line holds its offset, its bytes in groups of eight, and what of them is printable ASCII.

use std::fmt::Write as _;

/// Bytes in a line of `hexdump -C`.
pub const WIDTH: usize = 16;

/// The widest line: beyond it nobody counts columns any more.
pub const MAX_WIDTH: usize = 256;

/// How to print bytes.
///
/// ```
/// use sockeye_proto::hexdump::Hexdump;
///
/// let dump = Hexdump::new().width(8);
/// assert_eq!(
///     dump.lines(0x20, b"hello, world\r\n"),
///     "00000020  68 65 6c 6c 6f 2c 20 77  |hello, w|\n\
///      00000028  6f 72 6c 64 0d 0a        |orld..|\n"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hexdump {
    width: usize,
}

impl Default for Hexdump {
    fn default() -> Self {
        Hexdump::new()
    }
}

impl Hexdump {
    /// As `hexdump -C` prints: [`WIDTH`] bytes a line.
    pub const fn new() -> Self {
        Hexdump { width: WIDTH }
    }

    /// With so many bytes a line: at least 1, at most [`MAX_WIDTH`].
    pub const fn width(self, bytes: usize) -> Self {
        let width = match bytes {
            0 => 1,
            1..=MAX_WIDTH => bytes,
            _ => MAX_WIDTH,
        };
        Hexdump { width }
    }

    /// The whole of `bytes` exactly as `hexdump -C` prints a file: lines equal to the one before
    /// stand as a single `*`, and a last line holds the length. Nothing for no bytes.
    pub fn dump(&self, bytes: &[u8]) -> String {
        let mut out = String::new();
        let mut offset = 0;
        let mut before: Option<&[u8]> = None;
        let mut starred = false;
        for line in bytes.chunks(self.width) {
            if before == Some(line) {
                if !starred {
                    out.push_str("*\n");
                }
                starred = true;
            } else {
                self.line(offset, line, &mut out);
                starred = false;
            }
            before = Some(line);
            offset += line.len() as u64;
        }
        if offset > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{offset:08x}");
        }
        out
    }

    /// One piece of a running dump: every line in full, the first at `offset`.
    ///
    /// For traffic as it passes, where each read begins a line of its own.
    pub fn lines(&self, offset: u64, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(self.size(bytes.len()));
        let mut at = offset;
        for line in bytes.chunks(self.width) {
            self.line(at, line, &mut out);
            at = at.wrapping_add(line.len() as u64);
        }
        out
    }

    /// Writes one line, of at most `width` bytes.
    fn line(&self, offset: u64, bytes: &[u8], out: &mut String) {
        let _ = write!(out, "{offset:08x}");
        for column in 0..self.width {
            if column % 8 == 0 {
                out.push(' ');
            }
            match bytes.get(column) {
                Some(byte) => {
                    let _ = write!(out, " {byte:02x}");
                }
                None => out.push_str("   "),
            }
        }
        out.push_str("  |");
        out.extend(bytes.iter().map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        }));
        out.push_str("|\n");
    }

    /// Room for the lines of so many bytes, offsets of eight digits.
    fn size(&self, bytes: usize) -> usize {
        let hex = self.width.div_ceil(8) + 3 * self.width;
        let line = 8 + hex + 5;
        bytes
            .div_ceil(self.width)
            .saturating_mul(line)
            .saturating_add(bytes)
    }
}
