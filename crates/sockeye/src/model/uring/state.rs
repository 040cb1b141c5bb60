//! What the ring keeps of a stream, and what a completion does to it.

use super::Completion;
use super::buffers::Buffers;
use super::stream::AHEAD;
use crate::buffer::{Chunk, Loans, RECEIVE};
use crate::model::sources::Side;
use crate::model::timers::Timers;
use io_uring::cqueue;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

/// Chunks that may wait for a handler before the receive is called off, until it has caught up: each holds a buffer that
/// the ring's other connections want.
const INBOX: usize = 8;

/// Bytes that may wait so, with what the kernel has under way meanwhile: as much as sockets usually buffer by themselves.
const INBOX_BYTES: usize = 4 * RECEIVE;

/// What the driver keeps of a stream, until its operations are over.
pub(super) struct State {
    /// Closed when the place is given up.
    pub(super) fd: OwnedFd,
    /// Nobody reads any more.
    pub(super) deaf: bool,
    /// Nobody is left who could want anything.
    pub(super) orphaned: bool,
    pub(super) receiving: bool,
    calling_off: bool,
    /// The next chunk has a place of its own: an idle connection has no queue.
    next: Option<Chunk>,
    later: VecDeque<Chunk>,
    /// The end of the stream, or what broke it (told once).
    ended: Option<Option<io::Error>>,
    pub(super) read: Side,
    pub(super) sending: Option<Chunk>,
    pub(super) send_error: Option<io::Error>,
    /// A send has not been over in time.
    late: bool,
    pub(super) polling: bool,
    pub(super) writable: bool,
    pub(super) write: Side,
}

impl State {
    pub(super) fn new(fd: OwnedFd) -> Self {
        State {
            fd,
            deaf: false,
            orphaned: false,
            receiving: false,
            calling_off: false,
            next: None,
            later: VecDeque::new(),
            ended: None,
            read: Side::default(),
            sending: None,
            send_error: None,
            late: false,
            polling: false,
            writable: false,
            write: Side::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.orphaned && !self.receiving && self.sending.is_none() && !self.polling
    }

    fn has_enough(&self) -> bool {
        let waiting = self.next.iter().chain(&self.later);
        waiting.clone().count() >= INBOX || waiting.map(|chunk| chunk.len()).sum::<usize>() >= INBOX_BYTES
    }

    fn put(&mut self, chunk: Chunk) {
        if self.next.is_none() {
            self.next = Some(chunk);
        } else {
            self.later.push_back(chunk);
        }
    }

    /// What has arrived; empty at the end of the stream; `None` when there is nothing yet.
    pub(super) fn take(&mut self) -> Option<io::Result<Chunk>> {
        let Some(chunk) = self.next.take() else {
            let ended = self.ended.as_mut()?;
            return Some(ended.take().map_or_else(|| Ok(Chunk::default()), Err));
        };
        if self.later.capacity() > 0 {
            self.next = self.later.pop_front();
            if self.later.is_empty() {
                self.later = VecDeque::new(); // its memory goes too
            }
        }
        Some(Ok(chunk))
    }

    /// What was taken and not used up.
    pub(super) fn put_back(&mut self, rest: Chunk) {
        if let Some(behind) = self.next.replace(rest) {
            self.later.push_front(behind);
        }
    }

    /// Nobody wants what has arrived any more, or will arrive.
    pub(super) fn clear(&mut self) {
        self.deaf = true;
        (self.next, self.later) = (None, VecDeque::new());
    }

    /// True when the receive is to be called off.
    pub(super) fn received(&mut self, completion: Completion, (buffers, loans): (&Buffers, &Loans)) -> After {
        self.receiving &= completion.more();
        self.calling_off &= self.receiving;
        let chunk = cqueue::buffer_select(completion.flags)
            .map(|number| buffers.filled(loans, number, usize::try_from(completion.result).unwrap_or(0)));
        match completion.outcome() {
            Ok(0) => self.ended = Some(None),
            Ok(_) if self.deaf => {}
            Ok(_) => chunk.into_iter().for_each(|chunk| self.put(chunk)),
            // Called off by us, or no buffer was free at that moment: whoever waits asks again.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ECANCELED | libc::ENOBUFS | libc::EINTR)
                ) => {}
            Err(error) => self.ended = Some(Some(error)),
        }
        self.read.rise();
        if self.receiving && !self.calling_off && self.has_enough() {
            self.calling_off = true;
            return After::CallOff;
        }
        After::Nothing
    }

    pub(super) fn sent(&mut self, completion: Completion) -> After {
        let Some(chunk) = &mut self.sending else {
            return After::Nothing;
        };
        match completion.outcome() {
            Ok(0) => self.send_error = Some(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                chunk.advance(count);
                self.write.progress();
                if !chunk.is_empty() && !self.orphaned {
                    return After::SendOn;
                }
            }
            Err(error) => self.send_error = Some(error),
        }
        self.late = false;
        self.sending = None;
        self.write.rise();
        After::Nothing
    }

    /// Until no send is under way.
    pub(super) fn poll_idle(
        &mut self,
        limit: Option<Duration>,
        timers: &Timers,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.send_error.take() {
            return Poll::Ready(Err(error));
        }
        if self.sending.is_some() {
            let waits = self.write.wait(limit, timers, cx);
            self.late |= waits.is_err();
            return waits.map_or_else(|late| Poll::Ready(Err(late)), |()| Poll::Pending);
        }
        self.write.done();
        Poll::Ready(Ok(()))
    }

    /// Whether something is under way of which a send has said that it is sent.
    pub(super) fn is_owed(&self) -> bool {
        self.sending.as_ref().is_some_and(|chunk| chunk.len() <= AHEAD) && !self.late
    }

    /// The rest could not be handed over.
    pub(super) fn unsent(&mut self, error: io::Error) {
        (self.sending, self.send_error) = (None, Some(error));
        self.write.rise();
    }

    pub(super) fn polled(&mut self) {
        (self.polling, self.writable) = (false, true);
        self.write.rise();
    }
}

/// What is to be done after a completion, once nothing is borrowed any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    CallOff,
    SendOn,
}
