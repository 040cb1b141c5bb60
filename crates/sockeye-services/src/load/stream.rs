//! One connection under load: sends as far as `depth` allows, checks what comes back, both at the same time.
//!
//! Both at the same time, for a server that answers while it still reads would otherwise stand still with both ends'
//! buffers full.

use super::Pattern;
use super::share::{Failure, Heard, Phase, Share};
use sockeye::Connection;
use sockeye_proto::tls;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncBufRead, AsyncWrite};

pub(super) struct Stream {
    conn: Connection,
    pattern: Pattern,
    number: u32,
    /// Bytes handed to the connection, and bytes that have come back.
    sent: u64,
    got: u64,
    /// When each message on its way was sent, by its number modulo the depth.
    stamps: Box<[Instant]>,
    flushed: bool,
    heard: Heard,
}

impl Stream {
    pub(super) fn new(conn: Connection, number: u32, share: &Share) -> Self {
        Stream {
            conn,
            pattern: Pattern::of(number),
            number,
            sent: 0,
            got: 0,
            stamps: vec![Instant::now(); share.load.depth].into_boxed_slice(),
            flushed: true,
            heard: Heard::default(),
        }
    }

    /// Sends one message and waits until it has come back: the server has accepted this connection for sure.
    pub(super) async fn greet(&mut self, share: &Share) -> Result<(), Failure> {
        std::future::poll_fn(|cx| self.poll_exchange(cx, share)).await
    }

    /// It could not even be greeted.
    pub(super) fn fail(self, failure: Failure, share: &Share) {
        share.leave(self.heard, Err(failure));
    }

    /// Until the run is over, or something goes wrong.
    pub(super) async fn run(mut self, share: Rc<Share>) {
        let ended = std::future::poll_fn(|cx| self.poll_exchange(cx, &share)).await;
        if share.load.tls.is_some() {
            // A server logs one that just breaks off as a failure; nothing depends on it here.
            let _ = self.conn.close().await;
        }
        share.leave(self.heard, ended);
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>, share: &Share) -> Poll<Result<(), Failure>> {
        loop {
            // Whether or not all could be sent, what has come back is looked at.
            match self.poll_send(cx, share) {
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Ready(Ok(())) if self.sent < self.allowed(share) => cx.waker().wake_by_ref(),
                _ => {}
            }
            if self.got == self.sent && self.sent == self.allowed(share) {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.conn).poll_fill_buf(cx)) {
                Ok([]) => return Poll::Ready(Err(Failure::closed(&share.load))),
                Ok(bytes) => {
                    let length = bytes.len();
                    if let Some(at) = self.pattern.mismatch(self.got, bytes) {
                        if self.got == 0 && tls::is_record(bytes) {
                            return Poll::Ready(Err(Failure::Wrong(tls::MIXED_UP.to_owned())));
                        }
                        let byte = bytes[at];
                        return Poll::Ready(Err(self.wrong(at, byte)));
                    }
                    Pin::new(&mut self.conn).consume(length);
                    if self.got + length as u64 > self.sent {
                        return Poll::Ready(Err(self.surplus()));
                    }
                    self.book(length, share);
                }
                Err(error) => return Poll::Ready(Err(Failure::io("recv", error, &share.load))),
            }
        }
    }

    /// How far the stream may be sent now: `depth` messages beyond those that have come back whole.
    fn allowed(&self, share: &Share) -> u64 {
        let (size, depth) = (share.load.size as u64, share.load.depth as u64);
        match share.phase() {
            Phase::Ramp => size,
            Phase::WarmUp | Phase::Window => (self.got / size + depth) * size,
            // What has been begun is finished.
            Phase::Over => self.sent.next_multiple_of(size),
        }
    }

    /// Sends one piece at the most. Sending as long as the kernel takes it, with nothing received meanwhile, would fill
    /// the buffers of both ends, and TCP is slow to recover from that.
    fn poll_send(&mut self, cx: &mut Context<'_>, share: &Share) -> Poll<Result<(), Failure>> {
        let failed = |error| Failure::io("send", error, &share.load);
        let allowed = self.allowed(share);
        if self.sent < allowed {
            let mut scratch = share.scratch();
            let room = (scratch.len() as u64).min(allowed - self.sent) as usize;
            let bytes = &mut scratch[..room];
            self.pattern.fill(self.sent, bytes);
            let now = Instant::now();
            let count = ready!(Pin::new(&mut self.conn).poll_write(cx, bytes)).map_err(failed)?;
            self.stamp(count, now, share);
            self.sent += count as u64;
            self.flushed = false;
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.conn).poll_flush(cx)).map_err(failed)?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Notes when the messages left that begin in the next `count` bytes.
    fn stamp(&mut self, count: usize, now: Instant, share: &Share) {
        let size = share.load.size as u64;
        for message in self.sent.div_ceil(size)..(self.sent + count as u64).div_ceil(size) {
            let slot = (message % self.stamps.len() as u64) as usize;
            self.stamps[slot] = now;
        }
    }

    fn book(&mut self, length: usize, share: &Share) {
        let size = share.load.size as u64;
        let whole = self.got / size;
        self.got += length as u64;
        share.heard(&mut self.heard);
        let now = Instant::now();
        let took = (whole..self.got / size).map(|message| {
            let slot = (message % self.stamps.len() as u64) as usize;
            now.duration_since(self.stamps[slot])
        });
        share.book(length, took);
    }

    fn wrong(&self, at: usize, byte: u8) -> Failure {
        let place = self.got + at as u64;
        let expected = self.pattern.byte(place);
        Failure::Wrong(format!(
            "wrong bytes: byte {place} of connection {} came back as {byte:#04x} and was sent as {expected:#04x}",
            self.number
        ))
    }

    fn surplus(&self) -> Failure {
        Failure::Wrong(format!(
            "connection {} brought more bytes than were sent to it",
            self.number
        ))
    }
}
