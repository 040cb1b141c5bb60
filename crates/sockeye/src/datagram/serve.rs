//! The loop of a server of packets: gather a batch, have it answered, send the answers together.

use super::message::{peer, too_long};
use super::packet::{Packet, Socket};
use crate::buffer::Chunk;
use crate::error::Class;
use crate::handler::PacketHandler;
use crate::model::{BATCH, PacketLink, Peer, Received, Route, current};
use crate::server::guard::{caught, words};
use crate::server::{BACKOFF, Event, Lodging, Reason, Shared, Stage, Until};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long answers within the machine wait for room in the socket's own buffer, where they stay until they are read. Peers
/// that read make room in less; one that doesn't holds the others up no longer than this, once.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a receive that blocks comes back to look whether the server stops. The end of the input rouses it at once, but where a
/// kernel is only imitated, perhaps not on a socket that isn't connected.
const ROUND: Duration = Duration::from_secs(1);

/// Answers the packets of a socket until the server stops.
pub(crate) async fn serve<H: PacketHandler>(
    link: Box<dyn PacketLink>,
    handler: Arc<H>,
    shared: Arc<Shared>,
    lodging: Lodging,
) {
    let desk = match Socket::new(link, shared.endpoint.scheme()) {
        Ok(socket) => Desk::new(Rc::new(socket), shared.clone()),
        Err(error) => {
            tracing::error!(%error, "serve packets");
            return shared.acceptor_ended();
        }
    };
    let grip = desk.socket.link.borrow().grip().filter(|_| shared.is_alone);
    let mut stop = Until::new(shared.stage.subscribe(), Stage::Draining);
    let _blocked = grip.map(|grip| {
        stop.is_told();
        desk.look_up();
        desk.shared.blocked.enter(grip)
    });
    let mut cut = Until::new(shared.stage.subscribe(), Stage::Cut);
    let mut arrived = Vec::new();
    // Each answer has a share of it, and of a thread's own the count costs less than one of all threads.
    let service = Rc::new(Service { handler, shared });
    let mut slot = Box::pin(None);
    'all: while desk.gather(&mut arrived, &mut stop).await {
        let mut rest = arrived.drain(..);
        // Answered are a batch's datagrams, but a message may have brought many more.
        loop {
            desk.socket.gathering.set(true);
            let batch = rest.by_ref().take(BATCH);
            for packet in batch.filter_map(|received| desk.admit(received, &*service.handler)) {
                slot.set(Some(answer(service.clone(), packet)));
                let first = poll_fn(|cx| Poll::Ready(poll_slot(slot.as_mut(), cx))).await;
                if first.is_pending() {
                    let pending = std::mem::replace(&mut slot, Box::pin(None));
                    go_on(pending, desk.under_way.clone(), lodging.clone());
                }
            }
            desk.socket.gathering.set(false);
            if !desk.flush(&mut cut).await {
                break 'all;
            }
            if rest.len() == 0 {
                break;
            }
        }
    }
    desk.drain(&mut cut).await;
    service.shared.acceptor_ended(); // until then the deadline is kept
}

/// What the packets of a socket go through.
struct Desk {
    socket: Rc<Socket>,
    shared: Arc<Shared>,
    /// Packets whose handlers wait for something.
    under_way: Rc<Cell<usize>>,
    send_buffer: Cell<Buffer>,
    /// Answers that couldn't be sent, to be told of when the others are.
    unsent: RefCell<Vec<(Peer, io::Error)>>,
}

impl Desk {
    fn new(socket: Rc<Socket>, shared: Arc<Shared>) -> Self {
        let desk = Desk {
            socket,
            shared,
            under_way: Rc::default(),
            send_buffer: Cell::new(Buffer::Open),
            unsent: RefCell::default(),
        };
        desk.socket.link.borrow_mut().set_limits(None, desk.write_limit());
        desk
    }

    fn write_limit(&self) -> Option<Duration> {
        let limit = self.shared.limits.write;
        match self.socket.per_peer {
            true => Some(limit.map_or(PATIENCE, |limit| limit.min(PATIENCE))),
            false => limit,
        }
    }

    /// Looks round now and then, though a receive blocks.
    fn look_up(&self) {
        self.socket
            .link
            .borrow_mut()
            .set_limits(Some(ROUND), self.write_limit());
    }

    /// Waits for packets, or for an answer that one of before has got at last; false when the server stops, however many
    /// packets keep coming.
    async fn gather(&self, arrived: &mut Vec<Received>, stop: &mut Until) -> bool {
        loop {
            let next = poll_fn(|cx| {
                if stop.poll(cx).is_ready() {
                    return Poll::Ready(Next::Stop);
                }
                if let Poll::Ready(received) = self.socket.link.borrow_mut().poll_recv(cx, arrived) {
                    return Poll::Ready(Next::Received(received));
                }
                self.poll_late(cx).map(|()| Next::Late)
            });
            match next.await {
                Next::Received(Ok(())) | Next::Late => return true,
                Next::Stop => return false,
                Next::Received(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {}
                // An ICMP message about an earlier answer, or a lack of memory: the next packet is another matter.
                Next::Received(Err(error)) => {
                    tracing::debug!(%error, "receive packets");
                    if exhausted(&error) && crate::time::sleep(BACKOFF).await.is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// Whether there is an answer outside of a batch: only who has one of the packets can give it.
    fn poll_late(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.late.poll(cx, Rc::strong_count(&self.socket) > 1)
    }

    /// The packet, if it is whole, there are not too many, and its handler admits it.
    fn admit<H: PacketHandler>(&self, received: Received, handler: &H) -> Option<Packet> {
        let limit = self.shared.limits.packets;
        let why = if let Some(error) = too_long(&received) {
            error.to_string()
        } else if self.under_way.get() >= limit {
            format!("{limit} packets are being answered, which is the limit")
        } else {
            let mut packet = Packet::new(received, self.socket.clone());
            return match catch_unwind(AssertUnwindSafe(|| handler.admits(&mut packet))) {
                Ok(admitted) => admitted.then_some(packet),
                Err(panic) => {
                    self.tell(packet.from(), Reason::Panicked(words(&*panic)));
                    None
                }
            };
        };
        self.tell(received.from.as_ref(), Reason::Failed(why));
        None
    }

    fn tell(&self, from: Option<&Peer>, reason: Reason) {
        let peer = peer(from);
        self.shared.tell(&Event::PacketFailed { peer, reason });
    }

    /// Sends the answers; false when the server is cut while it waits for that.
    async fn flush(&self, cut: &mut Until) -> bool {
        let through = poll_fn(|cx| match self.poll_outbox(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => cut.poll(cx).map(|()| false),
        });
        let through = through.await;
        cut.forget(); // whoever keeps a waker keeps the thread from blocking
        for (to, error) in self.unsent.take() {
            self.tell(Some(&to), Reason::Failed(format!("reply: {error}")));
        }
        through
    }

    /// Until all that was received is answered, or the server is cut.
    async fn drain(&self, cut: &mut Until) {
        while self.under_way.get() > 0 || !self.socket.outbox.borrow().is_empty() {
            if !self.flush(cut).await {
                return;
            }
            let nap = crate::time::sleep(BACKOFF);
            let is_cut = tokio::select! {
                biased;
                () = poll_fn(|cx| cut.poll(cx)) => true,
                () = poll_fn(|cx| self.poll_late(cx)) => false,
                _ = nap => false,
            };
            if is_cut {
                return;
            }
        }
    }

    /// Sends the gathered answers, as many in a call as the kernel takes.
    fn poll_outbox(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.socket.outbox.borrow_mut();
        let mut link = self.socket.link.borrow_mut();
        let mut at = 0;
        while at < outbox.len() {
            let sent = match self.send_buffer.get() {
                Buffer::Awaited => Err(io::ErrorKind::WouldBlock.into()),
                _ => link.send_batch(&outbox[at..]),
            };
            // The first one's own failure, or a full buffer.
            let failed = match sent {
                Ok(count) => {
                    self.send_buffer.set(Buffer::Open);
                    at += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.poll_again(&mut **link, &outbox[at], cx) {
                        Poll::Ready(sent) => sent.err(),
                        Poll::Pending => {
                            outbox.drain(..at);
                            return Poll::Pending;
                        }
                    }
                }
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                self.unsent.borrow_mut().push((outbox[at].1.to.clone(), error));
            }
            at += 1;
        }
        outbox.clear();
        Poll::Ready(())
    }

    /// Sends one answer that has met a full buffer.
    fn poll_again(
        &self,
        link: &mut dyn PacketLink,
        answer: &(Chunk, Route),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let state = self.send_buffer.get();
        if self.socket.per_peer && state != Buffer::Awaited {
            if is_writable(link.fd()) {
                // It is the peer's queue that is full, or the buffer just has become free.
                return Poll::Ready(link.send_batch(std::slice::from_ref(answer)).map(drop));
            }
            if state == Buffer::Clogged {
                return Poll::Ready(Err(io::ErrorKind::WouldBlock.into()));
            }
        }
        self.send_buffer.set(Buffer::Awaited);
        let sent = ready!(link.poll_send(cx, &answer.0, Some(&answer.1)));
        let in_vain = matches!(&sent, Err(error) if error.kind() == io::ErrorKind::TimedOut);
        self.send_buffer
            .set(if in_vain { Buffer::Clogged } else { Buffer::Open });
        Poll::Ready(sent.map(drop))
    }
}

/// What a server of packets waits for.
enum Next {
    Received(io::Result<()>),
    /// An answer outside of a batch.
    Late,
    Stop,
}

/// What is known of the socket's own buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Buffer {
    Open,
    /// It is full, and the first answer waits for it.
    Awaited,
    /// It was waited for in vain: it is full of what somebody doesn't read.
    Clogged,
}

fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    rustix::event::poll(&mut polled, Some(&Timespec::default())).is_ok_and(|count| count > 0)
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
fn go_on<F: Future<Output = ()> + 'static>(
    mut pending: Pin<Box<Option<F>>>,
    under_way: Rc<Cell<usize>>,
    lodging: Lodging,
) {
    under_way.set(under_way.get() + 1);
    let group = lodging.group;
    let task = async move {
        poll_fn(|cx| poll_slot(pending.as_mut(), cx)).await;
        under_way.set(under_way.get() - 1);
        drop((pending, lodging)); // in this order: it is at work as long as it has the socket
    };
    match current() {
        Ok(driver) => driver.spawn(group, Box::pin(task)),
        Err(error) => tracing::error!(%error, "a packet's handler can't go on"),
    }
}

/// What answers, and whom it is told.
struct Service<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
}

async fn answer<H: PacketHandler>(service: Rc<Service<H>>, packet: Packet) {
    let from = packet.from().cloned();
    // A handler may do something before its future begins, too.
    let reason = match caught(async { service.handler.handle(packet).await }).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) if error.class() == Class::Timeout => Reason::TimedOut(error.to_string()),
        Ok(Err(error)) => Reason::Failed(error.to_string()),
        Err(panic) => Reason::Panicked(panic),
    };
    let peer = peer(from.as_ref());
    service.shared.tell(&Event::PacketFailed { peer, reason });
}
