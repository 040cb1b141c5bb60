//! How an accepted connection ends: the peer is to get the last word that it was sent.

use super::{Connection, LINGER_TIME};
use crate::buffer::Chunk;
use crate::options::raw::unsent;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// What a closing end still reads, so that its last word isn't destroyed by a reset: enough for what a peer has under way, not for
/// one that goes on sending.
const LINGER_BYTES: u64 = 1 << 20;
/// How often it is looked whether the peer has what it was sent, and how often it may have taken nothing meanwhile: a second.
const NAP: Duration = Duration::from_millis(5);
const NAPS: u32 = 200;

impl Connection {
    /// Ends an accepted connection so that the peer gets the last word we sent: says that we are done, and lingers.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        self.entry.leave();
        if self.entry.input_ended() {
            Box::pin(self.arrive()).await?;
        }
        self.shutdown().await?;
        if !self.entry.is_cut() {
            self.linger().await;
        }
        Ok(())
    }

    /// Waits until the peer has all that it was sent, as long as it takes any. Whose input was ended from this side is reset by
    /// whatever the peer says after the end of the output (tcp(7)), and to read that beforehand is no longer possible.
    async fn arrive(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.transport.poll_close(cx)).await?;
        let (mut least, mut naps) = (i32::MAX, 0);
        while naps < NAPS && !self.entry.is_cut() {
            // Not every family tells, and of a broken connection nothing arrives any more.
            let Ok(unsent) = unsent(self.as_fd()) else { break };
            if unsent == 0 || self.is_broken() {
                break;
            }
            naps = if unsent < least { 0 } else { naps + 1 };
            least = least.min(unsent);
            crate::time::sleep(NAP).await?;
        }
        Ok(())
    }

    fn is_broken(&self) -> bool {
        let mut polled = [PollFd::new(&self, PollFlags::empty())]; // errors are always told
        let looked = rustix::event::poll(&mut polled, Some(&Timespec::default()));
        looked.is_err() || !polled[0].revents().is_empty()
    }

    /// Reads what is still under way until the peer is done, too, for closing over unread bytes would reset the connection.
    pub(super) async fn linger(&mut self) {
        if self.ended {
            return;
        }
        self.held = Chunk::default();
        let before = self.received();
        let linger = async {
            while self.received() - before < LINGER_BYTES {
                match poll_fn(|cx| self.poll_recv(cx)).await {
                    Ok(chunk) if !chunk.is_empty() => {}
                    _ => return,
                }
            }
        };
        let _ = Box::pin(crate::time::timeout(LINGER_TIME, linger)).await;
    }
}
