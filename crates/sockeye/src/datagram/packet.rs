//! Packets as a server's handler meets them.

use crate::address::Address;
use crate::buffer::Chunk;
use crate::error::{Class, Error, Result};
use crate::handler::PacketHandler;
use crate::model::{PacketLink, spawn_local};
use crate::server::guard::caught;
use crate::server::{Event, Reason, Shared, Stage, reached};
use rustix::net::SocketAddrAny;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// Answers that may wait for their peers: several batches. Further ones are refused, as a full send buffer would do.
const OUTBOX: usize = 1024;

/// The socket of a server, as all its packets share it.
struct Socket {
    link: RefCell<Box<dyn PacketLink>>,
    /// Answers that wait for the end of their batch.
    outbox: RefCell<Vec<(Chunk, SocketAddrAny)>>,
    /// A batch is being handled: answers are gathered.
    gathering: Cell<bool>,
    /// An answer has been put there outside of a batch.
    late: Notify,
    /// Each peer has a queue of its own, and the socket can't tell whose is full.
    per_peer: bool,
    scheme: &'static str,
}

/// A packet that has arrived, and the way to answer it.
pub struct Packet {
    bytes: Chunk,
    from: Option<SocketAddrAny>,
    socket: Rc<Socket>,
}

impl Packet {
    /// What was sent; perhaps nothing.
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what was sent, leaving nothing: an answer of the same bytes needs no copy.
    pub fn take(&mut self) -> Chunk {
        std::mem::take(&mut self.bytes)
    }

    /// Who sent it.
    pub fn peer(&self) -> Address {
        self.from.as_ref().map_or(Address::Unix(None), Address::from_any)
    }

    /// Sends a packet back. The answers of packets that arrived together leave together. What the system says of one that
    /// can't be sent becomes a [`PacketFailed`](crate::Event::PacketFailed) event.
    ///
    /// # Errors
    /// When the peer has no address, or too many answers wait to be sent.
    pub async fn reply(&self, bytes: impl Into<Chunk>) -> Result<()> {
        let bytes = bytes.into();
        let Some(to) = &self.from else {
            return Err(Error::new(
                "reply",
                Class::General,
                "the peer has no address to answer to",
            ));
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
        outbox.push((bytes, to.clone()));
        if !self.socket.gathering.get() {
            self.socket.late.notify_one(); // only the socket's own loop sends
        }
        Ok(())
    }
}

impl AsFd for Packet {
    /// The server's socket.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the link keeps its descriptor for as long as the socket lives, which this packet shares.
        #[allow(unsafe_code)]
        unsafe {
            BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&self.socket.link.borrow().fd()))
        }
    }
}

/// Answers the packets of a socket until the server stops.
pub(crate) async fn serve<H: PacketHandler>(link: Box<dyn PacketLink>, handler: Arc<H>, shared: Arc<Shared>) {
    let socket = Rc::new(Socket {
        link: RefCell::new(link),
        outbox: RefCell::default(),
        gathering: Cell::new(false),
        late: Notify::new(),
        per_peer: shared.endpoint.unix_name().is_some(),
        scheme: shared.endpoint.scheme(),
    });
    let under_way = Rc::new(Cell::new(0usize));
    let mut slot = Box::pin(None);
    let mut stage = shared.stage.subscribe();
    let mut arrived = Vec::new();
    socket.link.borrow_mut().set_limits(None, shared.limits.write);
    loop {
        let next = poll_fn(|cx| socket.link.borrow_mut().poll_recv(cx, &mut arrived));
        tokio::select! {
            biased;
            received = next => {
                if let Err(error) = received {
                    // An ICMP message about an earlier answer, or a lack of memory: the next packet is another matter.
                    tracing::debug!(%error, "receive packets");
                    if exhausted(&error) && crate::time::sleep(crate::server::BACKOFF).await.is_err() {
                        return;
                    }
                    continue;
                }
            }
            () = socket.late.notified() => {}
            () = reached(&mut stage, Stage::Draining) => break,
        }
        socket.gathering.set(true);
        for received in arrived.drain(..) {
            let packet = Packet {
                bytes: received.bytes,
                from: received.from,
                socket: socket.clone(),
            };
            if under_way.get() >= shared.limits.packets {
                let why = format!(
                    "{} packets are being answered, which is the limit",
                    shared.limits.packets
                );
                shared.tell(&Event::PacketFailed {
                    peer: packet.peer(),
                    reason: Reason::Failed(why),
                });
                continue;
            }
            slot.set(Some(answer(handler.clone(), packet, shared.clone())));
            let first = poll_fn(|cx| Poll::Ready(poll_slot(slot.as_mut(), cx))).await;
            if first.is_pending() {
                let pending = std::mem::replace(&mut slot, Box::pin(None));
                go_on(pending, under_way.clone());
            }
        }
        socket.gathering.set(false);
        tokio::select! {
            biased;
            () = poll_fn(|cx| poll_outbox(&socket, &shared, cx)) => {}
            () = reached(&mut stage, Stage::Cut) => break,
        }
    }
    shared.acceptor_ended();
    while under_way.get() > 0 || !socket.outbox.borrow().is_empty() {
        let nap = crate::time::sleep(crate::server::BACKOFF);
        tokio::select! {
            biased;
            () = reached(&mut stage, Stage::Cut) => return,
            () = async {
                poll_fn(|cx| poll_outbox(&socket, &shared, cx)).await;
                tokio::select! {
                    () = socket.late.notified() => {}
                    _ = nap => {}
                }
            } => {}
        }
    }
}

fn exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOBUFS | libc::ENOMEM | libc::EMFILE)
    )
}

fn poll_slot<F: Future<Output = ()>>(mut slot: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<()> {
    match slot.as_mut().as_pin_mut() {
        Some(future) => future.poll(cx),
        None => Poll::Ready(()),
    }
}

/// A handler that waits does so beside the others.
fn go_on<F: Future<Output = ()> + 'static>(mut pending: Pin<Box<Option<F>>>, under_way: Rc<Cell<usize>>) {
    under_way.set(under_way.get() + 1);
    let task = async move {
        poll_fn(|cx| poll_slot(pending.as_mut(), cx)).await;
        under_way.set(under_way.get() - 1);
    };
    if let Err(error) = spawn_local(task) {
        tracing::error!(%error, "a packet's handler can't go on");
    }
}

async fn answer<H: PacketHandler>(handler: Arc<H>, packet: Packet, shared: Arc<Shared>) {
    let peer = packet.from.clone();
    let reason = match caught(handler.handle(packet)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) if error.class() == Class::Timeout => Reason::TimedOut(error.to_string()),
        Ok(Err(error)) => Reason::Failed(error.to_string()),
        Err(panic) => Reason::Panicked(panic),
    };
    let peer = peer.as_ref().map_or(Address::Unix(None), Address::from_any);
    shared.tell(&Event::PacketFailed { peer, reason });
}

/// Sends the gathered answers, as many in a call as the kernel takes.
fn poll_outbox(socket: &Socket, shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
    let mut outbox = socket.outbox.borrow_mut();
    let mut link = socket.link.borrow_mut();
    let mut at = 0;
    while at < outbox.len() {
        let failed = match link.send_batch(&outbox[at..]) {
            Ok(count) => {
                at += count;
                continue;
            }
            Err(error) => error,
        };
        let (bytes, to) = &outbox[at];
        // The first one's own failure, or a full buffer to wait for.
        let sent = match failed.kind() {
            // A Unix socket blocks on one peer's full queue, while it is ready for all others: that peer loses its answer.
            io::ErrorKind::WouldBlock if socket.per_peer => Err(failed),
            io::ErrorKind::WouldBlock => match link.poll_send(cx, bytes, Some(to)) {
                Poll::Ready(sent) => sent.map(drop),
                Poll::Pending => {
                    outbox.drain(..at);
                    return Poll::Pending;
                }
            },
            io::ErrorKind::Interrupted => continue,
            _ => Err(failed),
        };
        if let Err(error) = sent {
            let peer = Address::from_any(to);
            shared.tell(&Event::PacketFailed {
                peer,
                reason: Reason::Failed(format!("reply: {error}")),
            });
        }
        at += 1;
    }
    outbox.clear();
    Poll::Ready(())
}
