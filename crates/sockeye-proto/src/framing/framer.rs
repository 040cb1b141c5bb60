//! The state machine that cuts a stream into messages.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Ending, Framing, Message, SILENCE, TooLong};

/// Cuts the bytes of one peer into messages.
///
/// Time is a [`Duration`] since any start, the same one for all calls. Each byte is looked at once
/// and moved at most a constant number of times, however it arrives. Memory follows what is pending:
/// nothing is reserved ahead (a growing buffer may hold twice what came), and a framer that
/// has handed everything out holds no buffer at all.
///
/// The loop around it is always the same: take messages until there are none, then wait for bytes
/// or for [`deadline`](Framer::deadline), whichever comes first.
///
/// ```
/// use std::time::Duration;
/// use sockeye_proto::framing::{Ending, Framer, Framing, MAX_MESSAGE};
///
/// let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
/// let mut now = Duration::ZERO;
/// framer.feed(b"one\r\ntw", now);
/// let message = framer.next(now)?.expect("a line came");
/// assert_eq!((message.bytes, message.ending), (&b"one"[..], Ending::CrLf));
/// assert_eq!(framer.next(now)?, None);
///
/// now += Duration::from_millis(150);
/// framer.feed(b"o", now);
/// assert_eq!(framer.next(now)?, None);
/// assert_eq!(framer.deadline(), Some(Duration::from_millis(350)));
///
/// now = Duration::from_millis(350); // and nothing came in the meantime
/// let message = framer.next(now)?.expect("silence ended it");
/// assert_eq!((message.bytes, message.ending), (&b"two"[..], Ending::Silence));
/// assert_eq!(framer.next(now)?, None);
/// assert_eq!((framer.deadline(), framer.capacity()), (None, 0));
/// # Ok::<(), sockeye_proto::framing::TooLong>(())
/// ```
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    limit: usize,
    buffer: Vec<u8>,
    /// Where the pending message begins; what lies before has been handed out.
    start: usize,
    /// Up to here there is no LF in the pending message.
    scanned: usize,
    /// Where each read that is still pending ends (under `Chunk` only).
    chunks: VecDeque<usize>,
    /// When the last bytes came.
    heard: Duration,
    /// The last message lost its CR to silence: LF would be the other half of that ending.
    half_ending: bool,
    ended: bool,
    failed: bool,
}

impl Framer {
    /// A framer whose messages have at most `limit` bytes, their endings apart.
    pub const fn new(framing: Framing, limit: usize) -> Self {
        Framer {
            framing,
            limit,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            chunks: VecDeque::new(),
            heard: Duration::ZERO,
            half_ending: false,
            ended: false,
            failed: false,
        }
    }

    /// Takes the bytes of one read, which came at the time `now`.
    ///
    /// They join a pending message even if the silence before them was long: only
    /// [`next`](Framer::next) declares silence. So a server that was busy elsewhere, and finds the
    /// rest of a line waiting for it, does not tear that line in two.
    ///
    /// Nothing is taken after [`end`](Framer::end), after [`TooLong`], or from an empty slice. Call
    /// `next` until it has no more after each `feed`: the limit is checked there.
    pub fn feed(&mut self, bytes: &[u8], now: Duration) {
        if self.ended || self.failed || bytes.is_empty() {
            return;
        }
        let half_ending = std::mem::take(&mut self.half_ending);
        let bytes = match bytes {
            [b'\n', rest @ ..] if half_ending => rest,
            all => all,
        };
        self.heard = now;
        if bytes.is_empty() {
            return;
        }
        self.compact();
        self.buffer.extend_from_slice(bytes);
        if self.framing == Framing::Chunk {
            self.chunks.push_back(self.buffer.len());
        }
    }

    /// The peer has sent its last byte: what is pending becomes a last message.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next message, if there is a whole one.
    ///
    /// `now` is the time up to which the caller knows that nothing more came: the time of the last
    /// `feed` after a read, the present after a wait that brought nothing.
    ///
    /// # Errors
    ///
    /// [`TooLong`] once every message before the one over the limit has been handed out, and at
    /// each call from then on: tell the peer and close.
    pub fn next(&mut self, now: Duration) -> Result<Option<Message<'_>>, TooLong> {
        let found = if self.failed {
            Err(TooLong { limit: self.limit })
        } else if self.framing == Framing::Chunk {
            self.next_chunk()
        } else {
            self.next_line(now)
        };
        match found {
            Ok(Some((begin, length, ending))) => {
                let bytes = &self.buffer[begin..begin + length];
                Ok(Some(Message { bytes, ending }))
            }
            Ok(None) => {
                self.compact();
                Ok(None)
            }
            Err(error) => {
                self.failed = true;
                self.release();
                Err(error)
            }
        }
    }

    /// When to call [`next`](Framer::next) again if nothing comes before, on the caller's scale of
    /// time; `None` if only more bytes or the end can make a message.
    pub fn deadline(&self) -> Option<Duration> {
        let waits = self.framing == Framing::Auto && !self.ended && self.pending() > 0;
        waits.then(|| self.heard.saturating_add(SILENCE))
    }

    /// How many bytes came that no message has handed out.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// How many bytes of memory the buffer holds; 0 once `next` has found nothing pending.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Begin, length and ending of the next read.
    fn next_chunk(&mut self) -> Result<Option<(usize, usize, Ending)>, TooLong> {
        let Some(end) = self.chunks.pop_front() else {
            return Ok(None);
        };
        self.take(end - self.start, end, Ending::Chunk)
    }

    /// Begin, length and ending of the next line, or of what silence or the end makes a message.
    fn next_line(&mut self, now: Duration) -> Result<Option<(usize, usize, Ending)>, TooLong> {
        let fresh = &self.buffer[self.scanned..];
        if let Some(at) = fresh.iter().position(|&byte| byte == b'\n') {
            let newline = self.scanned + at;
            let line = &self.buffer[self.start..newline];
            return match line.strip_suffix(b"\r") {
                Some(line) => self.take(line.len(), newline + 1, Ending::CrLf),
                None => self.take(line.len(), newline + 1, Ending::Lf),
            };
        }
        self.scanned = self.buffer.len();
        let pending = &self.buffer[self.start..];
        if pending.is_empty() {
            return Ok(None);
        }
        let end = self.buffer.len();
        if self.ended {
            return self.take(pending.len(), end, Ending::End);
        }
        // A last CR may yet turn out to be part of the ending, which does not count.
        let without_cr = pending.strip_suffix(b"\r").unwrap_or(pending).len();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.half_ending = without_cr < pending.len();
            return self.take(without_cr, end, Ending::Silence);
        }
        self.within_limit(without_cr)?;
        Ok(None)
    }

    /// Hands out `length` bytes from the start; the pending message then begins at `rest`.
    fn take(
        &mut self,
        length: usize,
        rest: usize,
        ending: Ending,
    ) -> Result<Option<(usize, usize, Ending)>, TooLong> {
        self.within_limit(length)?;
        let begin = std::mem::replace(&mut self.start, rest);
        self.scanned = rest;
        Ok(Some((begin, length, ending)))
    }

    fn within_limit(&self, length: usize) -> Result<(), TooLong> {
        if length > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        Ok(())
    }

    /// Gives back the memory of what was handed out, when that is more than half of the buffer: then
    /// what is moved is less than what was handed out, and all moves together stay linear.
    fn compact(&mut self) {
        let pending = self.pending();
        if pending == 0 {
            self.release();
        } else if self.start > pending {
            let handed_out = std::mem::take(&mut self.start);
            self.buffer.drain(..handed_out);
            self.buffer.shrink_to_fit();
            self.scanned -= handed_out;
            for end in &mut self.chunks {
                *end -= handed_out;
            }
        }
    }

    /// Lets go of the buffer.
    fn release(&mut self) {
        self.buffer = Vec::new();
        self.chunks = VecDeque::new();
        (self.start, self.scanned) = (0, 0);
    }
}
