//! Connections that keep messages apart (`SOCK_SEQPACKET`): a stream link over a packet link, so that no message loses its
//! end in silence, under any model.

use super::{MESSAGE, PacketLink, Received, StreamLink, Way};
use crate::buffer::{Chunk, RECEIVE, Spare};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg, sockopt};
use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

thread_local! {
    /// Where messages go on that are longer than a usual buffer. Pages that none has reached cost nothing.
    static BEYOND: RefCell<Vec<u8>> = RefCell::new(vec![0; MESSAGE - RECEIVE]);
}

/// Receives one message, with its true length.
pub(super) fn receive(fd: BorrowedFd<'_>, flags: RecvFlags) -> rustix::io::Result<Received> {
    let mut spare = Spare::take();
    BEYOND.with_borrow_mut(|beyond| {
        let mut parts = [IoSliceMut::new(spare.bytes()), IoSliceMut::new(beyond)];
        let nothing_else = &mut RecvAncillaryBuffer::default();
        let length = recvmsg(fd, &mut parts, nothing_else, flags | RecvFlags::TRUNC)?.bytes;
        let bytes = match length.checked_sub(RECEIVE) {
            None | Some(0) => spare.filled(length),
            Some(more) => Chunk::from([spare.bytes(), &beyond[..more.min(beyond.len())]].concat()),
        };
        Ok(Received {
            bytes,
            length,
            from: None,
            local: None,
            arrived: None,
        })
    })
}

pub(super) struct Messages {
    link: Box<dyn PacketLink>,
    /// What a read had no room for.
    rest: Chunk,
}

impl Messages {
    pub(super) fn new(link: Box<dyn PacketLink>) -> Self {
        let rest = Chunk::default();
        Messages { link, rest }
    }
}

impl StreamLink for Messages {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.rest)));
        }
        let Received { bytes, length, .. } = ready!(self.link.poll_message(cx))?;
        Poll::Ready(if length > bytes.len() {
            let why = format!("a message of {length} bytes, over the limit of {MESSAGE}, is lost");
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        } else {
            Ok(bytes)
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut chunk = ready!(self.poll_recv(cx))?;
        let count = chunk.len().min(buf.remaining());
        buf.put_slice(&chunk[..count]);
        chunk.advance(count);
        self.rest = chunk;
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        if !chunk.is_empty() {
            let count = ready!(self.poll_write(cx, chunk))?;
            chunk.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// One message.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.link.poll_send(cx, bytes, None)
    }

    /// In messages as long as a usual buffer.
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let mut spare = Spare::take();
        let room = spare.bytes().len().min(count);
        let read = rustix::io::pread(file, &mut spare.bytes()[..room], offset)?;
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll_write(cx, &spare.bytes()[..read])
    }

    /// Within the machine a connect doesn't take long enough to be under way.
    fn poll_connected(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connected = sockopt::socket_error(self.fd()).and_then(|error| error);
        Poll::Ready(connected.map_err(|errno: Errno| errno.into()))
    }

    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.link.set_limits(read, write);
    }

    fn pause(&mut self, way: Way) {
        self.link.pause(way);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }
}
