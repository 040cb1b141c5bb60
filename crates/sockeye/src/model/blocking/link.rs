//! The link of a connection that a thread or a process has to itself: a socket as others are, with what each message passes through in
//! the section `sockeye_hot`. See there why: `model/blocking.rs`.

use super::Blocking;
use crate::buffer::Chunk;
use crate::model::StreamLink;
use crate::model::ready::{Socket, Way};
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::ReadBuf;

pub(super) struct Link(pub(super) Socket<Blocking>);

impl StreamLink for Link {
    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        self.0.receive(cx)
    }

    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        self.0.send_all(cx, chunk)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_write_all_of(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write_all_of(cx, pieces)
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send_file(cx, file, offset, count)
    }

    fn poll_recv_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
    ) -> Poll<io::Result<Option<usize>>> {
        self.0.poll_recv_pipe(cx, pipe, count)
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_connected(cx)
    }

    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.0.set_limits(read, write);
    }

    fn pause(&mut self, way: Way) {
        StreamLink::pause(&mut self.0, way);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        StreamLink::fd(&self.0)
    }
}
