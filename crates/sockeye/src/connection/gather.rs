//! A wait for much at once.
//!
//! A receiver that keeps up with its sender is woken for every few packets, and within a machine it is the sender who pays for that: waking
//! another core takes it longer than the packet did. So who waits for bytes of a file asks to be woken when there are many of them
//! (`SO_RCVLOWAT`, socket(7)); for a moment only, so a slow peer's bytes aren't kept waiting.

use super::Connection;
use super::transport::Transport;
use crate::address::Address;
use crate::buffer::RECEIVE;
use crate::model::{PIPE, Waits, Way};
use crate::options::raw;
use crate::time::Sleep;
use rustix::net::sockopt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How many bytes are waited for, if so many are due: what one step moves. From elsewhere no more than a quarter of the socket's buffer, so that the
/// sender doesn't find the window closed meanwhile, and the kernel has no cause to make the buffer larger; within the machine it opens at once.
const MANY: usize = PIPE;

/// Fewer are here with the next packet of a network card or two of the loopback's.
const FEW: usize = 64 << 10;

/// How long: a network of 1 Gb/s brings `MANY` in that time.
const MOMENT: Duration = Duration::from_millis(10);

/// With a read timeout shorter than this a moment would be a good part of it.
const SHORT: Duration = Duration::from_millis(100);

impl Connection {
    /// Polls until something has come, of which `due` bytes are sure to come.
    pub(super) async fn gathering<T>(
        &mut self,
        due: usize,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> T {
        let mut moment: Option<Sleep> = None;
        let mut wait = Waits::new(self, Way::Read);
        poll_fn(move |cx| {
            wait.poll(|conn| {
                // Before the attempt, which might wait itself once nothing else does.
                if let Some(moment) = &mut moment
                    && Pin::new(moment).poll(cx).is_ready()
                {
                    conn.ask_for_any();
                }
                let polled = poll(conn, cx);
                if polled.is_ready() {
                    conn.ask_for_any();
                    return polled;
                }
                if moment.is_none() && conn.ask_for_many(due) {
                    let moment = moment.insert(Sleep::new(MOMENT));
                    if Pin::new(moment).poll(cx).is_ready() {
                        conn.ask_for_any(); // there is no clock that would end it
                    }
                }
                polled
            })
        })
        .await
    }

    fn ask_for_many(&mut self, due: usize) -> bool {
        // TLS may have some of them already.
        let due = match self.transport {
            Transport::Plain(_) => due,
            _ => due.saturating_sub(RECEIVE),
        };
        let is_short = self.limits[0].is_some_and(|limit| limit < SHORT);
        // Unix sockets know no such wait.
        if due < FEW || is_short || !matches!(self.peer(), Address::Inet(_)) || !self.has_nothing() {
            return false;
        }
        let room = match self.peer().is_loopback() {
            true => MANY,
            false => sockopt::socket_recv_buffer_size(self.transport.fd()).unwrap_or(0) / 4,
        };
        let many = due.min(MANY).min(room);
        self.gathers = many >= FEW && self.set_low_water(many);
        self.gathers
    }

    /// Whether the kernel has none of its bytes: who polls for the first time may not have looked, and a high mark would hide them.
    fn has_nothing(&self) -> bool {
        rustix::io::ioctl_fionread(self.transport.fd()).is_ok_and(|bytes| bytes == 0)
    }

    /// The kernel looks whether that makes something ready (since Linux 4.18).
    pub(super) fn ask_for_any(&mut self) {
        if std::mem::take(&mut self.gathers) {
            self.set_low_water(1); // it was set a moment ago, so it can be
        }
    }

    fn set_low_water(&self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        raw::set_int(self.transport.fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Result, block_on, time};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    const DUE: u64 = 1 << 24;

    fn mark(fd: BorrowedFd<'_>) -> i32 {
        raw::int(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT).expect("an option")
    }

    /// Both ends.
    fn pair() -> Result<(Connection, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let (theirs, _) = listener.accept()?;
        Ok((Connection::adopt(ours.into())?, theirs))
    }

    /// What the mark is while a receive of so many bytes waits, once it has looked.
    async fn mark_of_a_wait(conn: &mut Connection, due: u64) -> Result<i32> {
        let file = tempfile::tempfile()?;
        let fd = conn.transport.fd().try_clone_to_owned()?;
        let mut receiving = Box::pin(conn.recv_file_some(&file, 0, due));
        let seen = poll_fn(|cx| {
            assert!(receiving.as_mut().poll(cx).is_pending(), "nothing has come");
            Poll::Ready(mark(fd.as_fd()))
        });
        Ok(seen.await)
    }

    #[test]
    fn a_wait_for_a_file_is_one_for_many_and_leaves_no_trace() -> Result<()> {
        block_on(async {
            let (mut conn, mut theirs) = pair()?;
            assert!(mark_of_a_wait(&mut conn, DUE).await? >= FEW as i32);
            assert_eq!(mark(conn.as_fd()), 1, "it was given up");
            assert_eq!(mark_of_a_wait(&mut conn, FEW as u64 - 1).await?, 1);
            conn.set_read_timeout(Some(SHORT / 2));
            assert_eq!(mark_of_a_wait(&mut conn, DUE).await?, 1);
            conn.set_read_timeout(Some(SHORT));
            let file = tempfile::tempfile()?;
            conn.recv_file_some(&file, 0, DUE)
                .await
                .expect_err("nobody says anything");
            assert_eq!(mark(conn.as_fd()), 1, "its time has passed");
            theirs.write_all(b"x")?;
            assert_eq!(conn.recv_file_some(&file, 0, DUE).await?, 1);
            assert_eq!(mark(conn.as_fd()), 1, "something came");
            Ok(())
        })?
    }

    #[test]
    fn what_is_here_is_seen_at_once() -> Result<()> {
        block_on(async {
            let (mut conn, mut theirs) = pair()?;
            let file = tempfile::tempfile()?;
            for at in 0..20 {
                theirs.write_all(b"x")?;
                while conn.has_nothing() {
                    std::thread::yield_now();
                }
                let seen = time::at_once(conn.recv_file_some(&file, at, DUE)).await?;
                assert_eq!(seen.transpose()?, Some(1));
            }
            Ok(())
        })?
    }

    #[test]
    fn unix_sockets_keep_their_mark() -> Result<()> {
        block_on(async {
            let (ours, _theirs) = UnixStream::pair()?;
            let mut conn = Connection::adopt(ours.into())?;
            assert_eq!(mark_of_a_wait(&mut conn, DUE).await?, 1);
            Ok(())
        })?
    }
}
