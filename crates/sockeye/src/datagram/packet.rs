//! Packets as a server's handler meets them.

use super::message::{no_address, peer};
use crate::address::Address;
use crate::buffer::Chunk;
use crate::error::{Class, Error, Result};
use crate::model::{Arrival, PacketLink, Peer, Received, Route};
use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

/// Answers that may wait for their peers: several batches. Further ones are refused, as a full send buffer would do.
const OUTBOX: usize = 1024;

/// The socket of a server, as all its packets share it.
pub(super) struct Socket {
    pub(super) link: RefCell<Box<dyn PacketLink>>,
    /// Answers that wait for the end of their batch.
    pub(super) outbox: RefCell<Vec<(Chunk, Route)>>,
    /// A batch is being handled: answers are gathered.
    pub(super) gathering: Cell<bool>,
    /// An answer has been put there outside of a batch.
    pub(super) late: Bell,
    /// Each peer has a queue of its own, and the socket can't tell whose is full.
    pub(super) per_peer: bool,
    scheme: &'static str,
    /// The address that it is bound to.
    bound: Address,
}

impl Socket {
    pub(super) fn new(link: Box<dyn PacketLink>, scheme: &'static str) -> Result<Self> {
        let bound = crate::local_address(link.fd())?;
        Ok(Socket {
            link: RefCell::new(link),
            outbox: RefCell::default(),
            gathering: Cell::new(false),
            late: Bell::default(),
            per_peer: matches!(bound, Address::Unix(_)),
            scheme,
            bound,
        })
    }
}

/// What rouses the socket's own loop from elsewhere on its thread.
#[derive(Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        self.rung.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready once after it was rung, before or meanwhile; if there is anybody to ring it.
    pub(super) fn poll(&self, cx: &mut Context<'_>, may_ring: bool) -> Poll<()> {
        if self.rung.take() {
            return Poll::Ready(());
        }
        if !may_ring {
            let _before = self.waker.take(); // whoever keeps one keeps the thread from blocking
            return Poll::Pending;
        }
        let is_known = matches!(&*self.waker.borrow(), Some(waker) if waker.will_wake(cx.waker()));
        if !is_known {
            // Dropped when nothing is borrowed any more, for a waker's drop may run anything.
            let _before = self.waker.replace(Some(cx.waker().clone()));
        }
        Poll::Pending
    }
}

/// A packet that has arrived, and the way to answer it.
pub struct Packet {
    received: Received,
    socket: Rc<Socket>,
    /// How many bytes may still be sent back.
    allowance: Cell<usize>,
}

impl Packet {
    pub(super) fn new(received: Received, socket: Rc<Socket>) -> Self {
        Packet {
            received,
            socket,
            allowance: Cell::new(usize::MAX),
        }
    }

    pub(super) fn from(&self) -> Option<&Peer> {
        self.received.from.as_ref()
    }

    /// What was sent; perhaps nothing.
    pub fn data(&self) -> &[u8] {
        &self.received.bytes
    }

    /// Takes what was sent, leaving nothing: an answer of the same bytes needs no copy.
    pub fn take(&mut self) -> Chunk {
        std::mem::take(&mut self.received.bytes)
    }

    /// Who sent it.
    pub fn peer(&self) -> Address {
        peer(self.from())
    }

    /// How many bytes may still be sent back: any number, unless somebody has [limited](Self::limit_answers) it.
    pub fn allowance(&self) -> usize {
        self.allowance.get()
    }

    /// No more than so many bytes are sent back, in however many answers. Who stands in front of a handler keeps it from
    /// being used against others so: the address of a datagram's sender may be forged.
    pub fn limit_answers(&mut self, bytes: usize) {
        self.allowance.set(bytes);
    }

    /// The address that it was sent to. If the server listens at all of the machine's addresses it is one of them, or a
    /// group's, or one of broadcast.
    pub fn local(&self) -> Address {
        match &self.received.local {
            Some(end) => end.address(self.socket.bound.port().unwrap_or(0)),
            None => self.socket.bound.clone(),
        }
    }

    /// The number of the interface that it came in by ([`interface_name`](crate::interface_name)), if the server listens at
    /// all addresses or [`packet_info`](crate::Options::packet_info) asks for it.
    pub fn interface(&self) -> Option<u32> {
        self.received.local.map(|end| end.interface())
    }

    /// When the kernel got it, if [`timestamps`](crate::Options::timestamps) asks for it.
    pub fn arrived(&self) -> Option<SystemTime> {
        self.received.arrived.map(Arrival::time)
    }

    /// Sends a packet back, from the address that this one was sent to. The answers of packets that arrived together leave
    /// together. What the system says of one that can't be sent becomes a [`PacketFailed`](crate::Event::PacketFailed)
    /// event.
    ///
    /// # Errors
    /// When the peer has no address, too many answers wait to be sent, or it is more than the packet's
    /// [`allowance`](Self::allowance).
    pub async fn reply(&self, bytes: impl Into<Chunk>) -> Result<()> {
        let bytes = bytes.into();
        let Some(to) = self.from() else {
            return Err(no_address());
        };
        let Some(left) = self.allowance.get().checked_sub(bytes.len()) else {
            return Err(self.too_much(bytes.len()));
        };
        let mut outbox = self.socket.outbox.borrow_mut();
        if outbox.len() >= OUTBOX {
            let error = Error::new(
                "reply",
                Class::General,
                format!("{OUTBOX} answers wait to be sent already"),
            );
            return Err(error.at(self.peer().endpoint(self.socket.scheme)));
        }
        let route = Route {
            to: to.clone(),
            from: self.received.local,
        };
        outbox.push((bytes, route));
        self.allowance.set(left);
        if !self.socket.gathering.get() {
            self.socket.late.ring(); // only the socket's own loop sends
        }
        Ok(())
    }

    fn too_much(&self, length: usize) -> Error {
        let allowed = self.allowance.get();
        let why = format!("an answer of {length} bytes, where {allowed} are allowed, is not sent");
        Error::new("reply", Class::General, why).at(self.peer().endpoint(self.socket.scheme))
    }
}

impl AsFd for Packet {
    /// The server's socket.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the link keeps its descriptor for as long as the socket lives, which this packet shares.
        #[allow(unsafe_code)]
        unsafe {
            BorrowedFd::borrow_raw(self.socket.link.borrow().fd().as_raw_fd())
        }
    }
}
