//! What is sent: a text, perhaps again and again, or lines of standard input.

use std::io::{self, BufRead, Read};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc;

use crate::content::{Format, MAX_DATAGRAM};

/// Lines that have been read and not yet sent: one, so that what comes from a program is read no faster than it is sent.
const AHEAD: usize = 1;

/// The time between two datagrams if only their number is given.
const SECOND: Duration = Duration::from_secs(1);

/// The longest line: in UTF-8 a text may be longer than in its encoding, but not by more than this.
const MAX_LINE: u64 = 4 * MAX_DATAGRAM as u64;

/// Texts to send, in order.
pub(super) struct Texts {
    source: Source,
    /// The time from one to the next.
    pub(super) every: Option<Duration>,
    /// How many more there are at the most.
    left: Option<usize>,
}

enum Source {
    Again(Vec<u8>),
    Lines(mpsc::Receiver<Result<Vec<u8>>>),
}

impl Texts {
    /// One text: once, or as often as is said.
    pub(super) fn again(text: Vec<u8>, every: Option<Duration>, count: Option<NonZeroUsize>) -> Self {
        let left = match (every, count) {
            (None, None) => Some(1),
            (_, count) => count.map(NonZeroUsize::get),
        };
        Texts {
            source: Source::Again(text),
            every: every.or(Some(SECOND)),
            left,
        }
    }

    /// The lines of standard input.
    pub(super) fn lines(
        format: Format,
        every: Option<Duration>,
        count: Option<NonZeroUsize>,
    ) -> Result<Self> {
        let (teller, lines) = mpsc::channel(AHEAD);
        // Standard input can't be waited for beside sockets when it is a file.
        let reader = thread::Builder::new().name("sockeye-stdin".to_owned());
        let reading = reader.spawn(move || read(&mut io::stdin().lock(), format, &teller));
        reading.context("start a thread")?;
        Ok(Texts {
            source: Source::Lines(lines),
            every,
            left: count.map(NonZeroUsize::get),
        })
    }

    /// The next one. It may be dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<u8>>> {
        if self.left == Some(0) {
            return None;
        }
        let text = match &mut self.source {
            Source::Again(text) => Ok(text.clone()),
            Source::Lines(lines) => lines.recv().await?,
        };
        self.left = self.left.map(|left| left - 1);
        Some(text)
    }
}

/// Reads to the end, or until nobody listens any more.
fn read(input: &mut impl BufRead, format: Format, teller: &mpsc::Sender<Result<Vec<u8>>>) {
    for number in 1_usize.. {
        let mut line = Vec::new();
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        let text = match read {
            Ok(0) => return,
            Ok(_) => datagram(&line, format).map_err(|why| anyhow!("line {number} of standard input: {why}")),
            Err(error) => Err(anyhow!("read standard input: {error}")),
        };
        let failed = text.is_err();
        if teller.blocking_send(text).is_err() || failed {
            return;
        }
    }
}

/// A line without its end, as a datagram.
fn datagram(line: &[u8], format: Format) -> Result<Vec<u8>, String> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| format!("it is not UTF-8: {error}"))?;
    format.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_proto::text::Encoding;

    const GBK: Format = Format {
        hex: false,
        encoding: Encoding::GBK,
        json: false,
    };

    fn all(input: &str) -> Vec<Result<Vec<u8>, String>> {
        let (teller, mut lines) = mpsc::channel(10);
        read(&mut input.as_bytes(), GBK, &teller);
        drop(teller);
        let mut heard = Vec::new();
        while let Some(line) = lines.blocking_recv() {
            heard.push(line.map_err(|error| error.to_string()));
        }
        heard
    }

    #[test]
    fn a_line_is_a_datagram_in_the_encoding() {
        let expected = [&b"a"[..], b"", b"\xb9\xcf", b"end"].map(|text| Ok(text.to_vec()));
        assert_eq!(all("a\r\n\n瓜\nend"), expected);
        assert_eq!(all(""), []);
    }

    #[test]
    fn what_no_datagram_holds_ends_it() {
        let fits = "x".repeat(MAX_DATAGRAM);
        let heard = all(&format!("{fits}\nx{fits}\nlast\n"));
        assert_eq!(heard.len(), 2);
        assert_eq!(heard[0].as_ref().map(Vec::len), Ok(MAX_DATAGRAM));
        let error = heard[1].as_ref().expect_err("too long");
        assert!(error.starts_with("line 2 of standard input: "), "{error}");
        let endless = "x".repeat(MAX_LINE as usize + 1);
        assert!(all(&endless)[0].is_err());
    }

    #[test]
    fn a_text_comes_as_often_as_is_said() {
        let count = NonZeroUsize::new(2);
        let every = Some(Duration::from_millis(5));
        for (every, count, expected) in [(None, None, 1), (None, count, 2), (every, count, 2)] {
            let mut texts = Texts::again(b"x".to_vec(), every, count);
            let heard = sockeye::block_on(async {
                let mut heard = 0;
                while texts.next().await.is_some() {
                    heard += 1;
                }
                heard
            });
            assert_eq!(heard.expect("it runs"), expected);
        }
        let texts = Texts::again(b"x".to_vec(), every, None);
        assert_eq!((texts.left, texts.every), (None, every));
    }
}
