//! The loop of a server of packets: gather a batch, have it answered, send the answers together.

use super::message::{peer, too_long};
use super::packet::{Packet, Socket};
use crate::error::Class;
use crate::handler::PacketHandler;
use crate::model::{PacketLink, Received, spawn_local};
use crate::server::guard::caught;
use crate::server::{BACKOFF, Event, Reason, Shared, Stage, reached};
use rustix::net::SocketAddrAny;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// Answers the packets of a socket until the server stops.
pub(crate) async fn serve<H: PacketHandler>(link: Box<dyn PacketLink>, handler: Arc<H>, shared: Arc<Shared>) {
    let desk = match Socket::new(link, shared.endpoint.scheme()) {
        Ok(socket) => Desk::new(Rc::new(socket), shared.clone()),
        Err(error) => {
            tracing::error!(%error, "serve packets");
            return shared.acceptor_ended();
        }
    };
    let mut stage = shared.stage.subscribe();
    let mut arrived = Vec::new();
    let mut slot = Box::pin(None);
    while desk.gather(&mut arrived, &mut stage).await {
        desk.socket.gathering.set(true);
        for packet in arrived.drain(..).filter_map(|received| desk.admit(received)) {
            slot.set(Some(answer(handler.clone(), packet, shared.clone())));
            let first = poll_fn(|cx| Poll::Ready(poll_slot(slot.as_mut(), cx))).await;
            if first.is_pending() {
                let pending = std::mem::replace(&mut slot, Box::pin(None));
                go_on(pending, desk.under_way.clone());
            }
        }
        desk.socket.gathering.set(false);
        if !desk.flush(&mut stage).await {
            break;
        }
    }
    shared.acceptor_ended();
    desk.drain(&mut stage).await;
}

/// What the packets of a socket go through.
struct Desk {
    socket: Rc<Socket>,
    shared: Arc<Shared>,
    /// Packets whose handlers wait for something.
    under_way: Rc<Cell<usize>>,
}

impl Desk {
    fn new(socket: Rc<Socket>, shared: Arc<Shared>) -> Self {
        socket.link.borrow_mut().set_limits(None, shared.limits.write);
        let under_way = Rc::default();
        Desk {
            socket,
            shared,
            under_way,
        }
    }

    /// Waits for packets, or for an answer that one of before has got at last; false when the server stops, however many
    /// packets keep coming.
    async fn gather(&self, arrived: &mut Vec<Received>, stage: &mut watch::Receiver<Stage>) -> bool {
        while *stage.borrow() < Stage::Draining {
            let next = poll_fn(|cx| self.socket.link.borrow_mut().poll_recv(cx, arrived));
            tokio::select! {
                biased;
                received = next => match received {
                    Ok(()) => return true,
                    // An ICMP message about an earlier answer, or a lack of memory: the next packet is another matter.
                    Err(error) => {
                        tracing::debug!(%error, "receive packets");
                        if exhausted(&error) && crate::time::sleep(BACKOFF).await.is_err() {
                            return false;
                        }
                    }
                },
                () = self.socket.late.notified() => return true,
                () = reached(stage, Stage::Draining) => {}
            }
        }
        false
    }

    /// The packet, if it is whole and there are not too many.
    fn admit(&self, received: Received) -> Option<Packet> {
        let limit = self.shared.limits.packets;
        let why = if let Some(error) = too_long(&received) {
            error.to_string()
        } else if self.under_way.get() >= limit {
            format!("{limit} packets are being answered, which is the limit")
        } else {
            return Some(Packet::new(received, self.socket.clone()));
        };
        self.tell(received.from.as_ref(), Reason::Failed(why));
        None
    }

    fn tell(&self, from: Option<&SocketAddrAny>, reason: Reason) {
        let peer = peer(from);
        self.shared.tell(&Event::PacketFailed { peer, reason });
    }

    /// Sends the answers; false when the server is cut while it waits for that.
    async fn flush(&self, stage: &mut watch::Receiver<Stage>) -> bool {
        tokio::select! {
            biased;
            () = poll_fn(|cx| self.poll_outbox(cx)) => true,
            () = reached(stage, Stage::Cut) => false,
        }
    }

    /// Until all that was received is answered, or the server is cut.
    async fn drain(&self, stage: &mut watch::Receiver<Stage>) {
        while self.under_way.get() > 0 || !self.socket.outbox.borrow().is_empty() {
            let nap = crate::time::sleep(BACKOFF);
            tokio::select! {
                biased;
                () = reached(stage, Stage::Cut) => return,
                () = async {
                    poll_fn(|cx| self.poll_outbox(cx)).await;
                    tokio::select! {
                        () = self.socket.late.notified() => {}
                        _ = nap => {}
                    }
                } => {}
            }
        }
    }

    /// Sends the gathered answers, as many in a call as the kernel takes.
    fn poll_outbox(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.socket.outbox.borrow_mut();
        let mut link = self.socket.link.borrow_mut();
        let mut at = 0;
        while at < outbox.len() {
            let failed = match link.send_batch(&outbox[at..]) {
                Ok(count) => {
                    at += count;
                    continue;
                }
                Err(error) => error,
            };
            let (bytes, route) = &outbox[at];
            // The first one's own failure, or a full buffer to wait for.
            let sent = match failed.kind() {
                // A Unix socket blocks on one peer's full queue, while it is ready for all others: that peer loses its
                // answer.
                io::ErrorKind::WouldBlock if self.socket.per_peer => Err(failed),
                io::ErrorKind::WouldBlock => match link.poll_send(cx, bytes, Some(route)) {
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
                self.tell(Some(&route.to), Reason::Failed(format!("reply: {error}")));
            }
            at += 1;
        }
        outbox.clear();
        Poll::Ready(())
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
    let from = packet.from().cloned();
    let reason = match caught(handler.handle(packet)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) if error.class() == Class::Timeout => Reason::TimedOut(error.to_string()),
        Ok(Err(error)) => Reason::Failed(error.to_string()),
        Err(panic) => Reason::Panicked(panic),
    };
    let peer = peer(from.as_ref());
    shared.tell(&Event::PacketFailed { peer, reason });
}
