//! Files over a connection: out of one, and into one.

use super::Connection;
use super::pipe::Pipe;
use super::transport::Transport;
use crate::buffer::{Chunk, Spare};
use crate::error::Result;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::task::{Context, Poll};

impl Connection {
    /// Sends `count` bytes of a file from `offset` on, by `sendfile(2)` where the connection is plain; returns how many
    /// there were, fewer when the file ends before. (That call knows no `MSG_NOSIGNAL`: a program that has set `SIGPIPE` back to
    /// its default dies of it when the peer has closed. Programs of Rust ignore the signal unless they say otherwise.)
    ///
    /// # Errors
    /// When the file can't be read or the connection is broken.
    pub async fn send_file(&mut self, file: &File, offset: u64, count: u64) -> Result<u64> {
        self.send_file_seen(file, offset, count, |_| {}).await
    }

    /// The same, and shows what it sends, in order, where that passes through this program's memory: all of it if the connection
    /// [`sees`](Self::sees_files) files, else nothing. Who is to hash it as well needn't read it again then.
    ///
    /// # Errors
    /// As [`send_file`](Self::send_file).
    pub async fn send_file_seen(
        &mut self,
        file: &File,
        offset: u64,
        count: u64,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<u64> {
        let mut sent = 0;
        while sent < count {
            // sendfile(2) takes at most 2 GiB - 4 KiB in one call.
            let wanted = usize::try_from(count - sent).unwrap_or(usize::MAX).min(1 << 30);
            let step = match &mut self.transport {
                Transport::Plain(wire) => {
                    poll_fn(|cx| wire.poll_send_file(cx, file.as_fd(), offset + sent, wanted)).await
                }
                _ => self.copy_file(file, offset + sent, wanted, &mut seen).await,
            };
            match step.map_err(|error| self.failed("send file", error))? {
                0 => break,
                some => sent += some as u64,
            }
        }
        Ok(sent)
    }

    /// Whether the bytes of a file that is sent pass through this program's memory, as they do to become TLS.
    pub fn sees_files(&self) -> bool {
        !matches!(self.transport, Transport::Plain(_))
    }

    async fn copy_file(
        &mut self,
        file: &File,
        offset: u64,
        count: usize,
        seen: &mut impl FnMut(&[u8]),
    ) -> io::Result<usize> {
        let mut spare = Spare::take();
        let room = spare.bytes().len().min(count);
        let read = rustix::io::pread(file, &mut spare.bytes()[..room], offset)?;
        let chunk = spare.filled(read);
        seen(&chunk);
        self.send(chunk).await?;
        Ok(read)
    }

    /// Receives `count` bytes into a file, from `offset` on, without a copy through this program where the connection is
    /// plain and the model can (splice(2)); returns how many there were, fewer when the peer ended before.
    ///
    /// When the file can't be written to, what it didn't take is still to be received. Dropped before its end, it has
    /// written some of the bytes, and nobody knows how many.
    ///
    /// # Errors
    /// When the file can't be written to, the peer reset the connection, or the read timeout passed.
    ///
    /// ```
    /// use sockeye::{Connection, block_on};
    /// use std::{io::Write, os::unix::net::UnixStream};
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// theirs.write_all(b"bytes, and what follows them")?;
    /// let file = tempfile::NamedTempFile::new()?;
    /// block_on(async {
    ///     let mut conn = Connection::adopt(ours.into())?;
    ///     assert_eq!(conn.recv_file(file.as_file(), 0, 5).await?, 5);
    ///     assert_eq!(&conn.recv().await?[..], b", and what follows them");
    ///     Ok::<_, sockeye::Error>(())
    /// })??;
    /// assert_eq!(std::fs::read(file.path())?, b"bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_file(&mut self, file: &File, offset: u64, count: u64) -> Result<u64> {
        let mut received = 0;
        while received < count {
            match self
                .recv_file_some(file, offset + received, count - received)
                .await?
            {
                0 => break,
                some => received += some,
            }
        }
        Ok(received)
    }

    /// The same for what there is, at least one byte and at the most as many as `most` says; 0 is the end of the stream. It
    /// may be dropped while it waits, and nothing is lost.
    ///
    /// `most` is how many are sure to come. From 64 KiB on a TCP connection waits for up to 1 MiB of them (of a peer elsewhere: a quarter of its
    /// receive buffer), for 10 ms at the most, unless its read timeout is below 100 ms: its low-water mark (`SO_RCVLOWAT`, socket(7)) is raised
    /// meanwhile, and 1 afterwards.
    ///
    /// # Errors
    /// As [`recv_file`](Self::recv_file). Nothing was received then.
    pub async fn recv_file_some(&mut self, file: &File, offset: u64, most: u64) -> Result<u64> {
        self.recv_file_seen(file, offset, most, |_| {}).await
    }

    /// The same, and shows the bytes if they came through this program's memory: all that are counted, or nothing. It depends on the model,
    /// and on what was received before.
    ///
    /// # Errors
    /// As [`recv_file`](Self::recv_file). Nothing was received then.
    pub async fn recv_file_seen(
        &mut self,
        file: &File,
        offset: u64,
        most: u64,
        seen: impl FnOnce(&[u8]),
    ) -> Result<u64> {
        if most == 0 {
            return Ok(0); // no bytes that are moved are no end
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let step = self.recv_step(file, offset, most, seen).await;
        let received = step.map_err(|error| self.failed("receive file", error))?;
        Ok(received as u64)
    }

    async fn recv_step(
        &mut self,
        file: &File,
        offset: u64,
        count: usize,
        seen: impl FnOnce(&[u8]),
    ) -> io::Result<usize> {
        if self.held.is_empty()
            && let Some(moved) = self
                .gathering(count, |conn, cx| conn.poll_pipe(cx, file, offset, count))
                .await?
        {
            return Ok(moved);
        }
        let mut chunk = self.gathering(count, Self::poll_recv).await?;
        let wanted = chunk.len().min(count);
        let written = file.write_all_at(&chunk[..wanted], offset);
        if written.is_ok() {
            seen(&chunk[..wanted]);
            chunk.advance(wanted);
        }
        if !chunk.is_empty() {
            self.held = chunk;
        }
        written.map(|()| wanted)
    }

    fn poll_pipe(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<Option<usize>>> {
        let Transport::Plain(wire) = &mut self.transport else {
            return Poll::Ready(Ok(None));
        };
        let pipe = Pipe::take()?;
        let moved = wire.poll_recv_pipe(cx, pipe.open.as_fd(), count);
        let poured = match &moved {
            Poll::Ready(Ok(Some(moved))) => pipe.pour(file.as_fd(), offset, *moved),
            _ => Ok(()),
        };
        pipe.give_back();
        if let Poll::Ready(Ok(Some(0))) = moved {
            self.ended = true;
        }
        match (poured, moved) {
            (Ok(()), moved) => moved,
            (Err((error, rest)), moved) => {
                let taken = match moved {
                    Poll::Ready(Ok(Some(moved))) => moved.saturating_sub(rest.len()),
                    _ => 0,
                };
                self.held = Chunk::from(rest);
                // What the file did take counts; the next attempt meets the error again.
                Poll::Ready(if taken > 0 { Ok(Some(taken)) } else { Err(error) })
            }
        }
    }
}
