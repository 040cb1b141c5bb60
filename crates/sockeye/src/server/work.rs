//! What a worker is given to do, with the handler's type behind it.

use super::accept::{self, Arrival, NoPlace};
use super::guard::{Caught, caught};
use super::here::Lodging;
use super::registry::Entry;
use super::shutdown::Shutdown;
use super::{Event, Reason, Shared};
use crate::connection::Connection;
use crate::datagram;
use crate::error::{Class, Error, Result};
use crate::handler::{Handler, PacketHandler};
use crate::model::{AcceptLink, Group, LocalFuture, PacketLink, Ready, current};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc;

/// Makes the future of a connection.
pub(crate) type StreamWork = Arc<dyn Fn(Arrival) -> LocalFuture + Send + Sync>;
/// Makes the future of a socket for packets.
pub(crate) type PacketWork = Arc<dyn Fn(Box<dyn PacketLink>, Lodging) -> LocalFuture + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Kind {
    Streams(StreamWork),
    Packets(PacketWork),
}

/// All that a server has to do.
pub(crate) struct Job {
    pub(crate) listeners: Vec<OwnedFd>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) kind: Kind,
    /// Each thread of the server keeps one until it ends.
    pub(crate) at_work: AtWork,
}

/// Who has one is at work for the server yet. Nothing is ever sent.
pub(crate) type AtWork = mpsc::Sender<Infallible>;

impl Job {
    pub(crate) fn shutdown(&self) -> Shutdown {
        Shutdown {
            shared: self.shared.clone(),
        }
    }

    pub(crate) fn into_workers(self) -> impl Iterator<Item = Worker> {
        let Job {
            listeners,
            shared,
            kind,
            ..
        } = self;
        listeners.into_iter().map(move |listener| Worker {
            listener,
            shared: shared.clone(),
            kind: kind.clone(),
        })
    }
}

/// What one worker has to do.
pub(crate) struct Worker {
    pub(crate) listener: OwnedFd,
    pub(crate) shared: Arc<Shared>,
    kind: Kind,
}

impl Worker {
    pub(crate) fn spin(&self) -> Duration {
        self.shared.spin
    }

    /// Serves on this thread: each connection's future beside the others.
    pub(crate) async fn serve_here(self, ready: Ready) {
        let place = |work: &StreamWork, arrival| beside(Group::MAIN, work, arrival);
        self.serve(ready, place).await;
    }

    /// Serves, putting each connection where `place` says.
    pub(crate) async fn serve(
        self,
        ready: Ready,
        place: impl Fn(&StreamWork, Arrival) -> std::result::Result<(), NoPlace>,
    ) {
        match self.open() {
            Ok(opened) => {
                ready.tell();
                opened.serve(Lodging::MAIN, place).await;
            }
            Err(error) => ready.fail(error),
        }
    }

    /// Puts its socket into the care of this thread's driver.
    pub(crate) fn open(self) -> io::Result<Opened> {
        let driver = current().map_err(io::Error::from)?;
        Ok(match self.kind {
            Kind::Streams(work) => Opened::Streams(driver.acceptor(self.listener)?, work, self.shared),
            Kind::Packets(work) => Opened::Packets(driver.packets(self.listener)?, work),
        })
    }
}

/// A worker that can begin.
pub(crate) enum Opened {
    Streams(Box<dyn AcceptLink>, StreamWork, Arc<Shared>),
    Packets(Box<dyn PacketLink>, PacketWork),
}

impl Opened {
    async fn serve(
        self,
        lodging: Lodging,
        place: impl Fn(&StreamWork, Arrival) -> std::result::Result<(), NoPlace>,
    ) {
        match self {
            Opened::Streams(link, work, shared) => {
                accept::serve(link, shared, |arrival| place(&work, arrival)).await;
            }
            Opened::Packets(link, work) => work(link, lodging).await,
        }
    }

    /// As [`Worker::serve_here`], and all that it begins belongs there.
    pub(super) async fn serve_here(self, lodging: Lodging) {
        let group = lodging.group;
        let place = |work: &StreamWork, arrival| beside(group, work, arrival);
        self.serve(lodging, place).await;
    }
}

/// On this thread, beside the others.
fn beside(group: Group, work: &StreamWork, arrival: Arrival) -> std::result::Result<(), NoPlace> {
    current().map_err(io::Error::from)?.spawn(group, work(arrival));
    Ok(())
}

pub(crate) fn streams<H: Handler>(handler: Arc<H>, shared: Arc<Shared>) -> Kind {
    Kind::Streams(Arc::new(move |arrival| {
        Box::pin(converse(handler.clone(), arrival, shared.clone()))
    }))
}

pub(crate) fn packets<H: PacketHandler>(handler: Arc<H>, shared: Arc<Shared>) -> Kind {
    Kind::Packets(Arc::new(move |link, lodging| {
        Box::pin(datagram::serve(link, handler.clone(), shared.clone(), lodging))
    }))
}

/// A connection's place in the books; leaving them is told, however it came about.
struct Place {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    opened: bool,
    reason: Reason,
}

impl Place {
    #[cold]
    fn open(&mut self) {
        self.opened = true;
        self.shared.tell(&Event::Opened {
            id: self.entry.id,
            peer: self.entry.peer.clone(),
        });
    }

    /// What has come of it.
    #[cold]
    fn note(&mut self, outcome: std::result::Result<Result<()>, String>) {
        self.reason = match outcome {
            _ if self.entry.is_cut() => Reason::Cut,
            Ok(Ok(())) => Reason::Finished,
            Ok(Err(error)) if error.class() == Class::Timeout => Reason::TimedOut(error.to_string()),
            Ok(Err(error)) => Reason::Failed(error.to_string()),
            Err(panic) => Reason::Panicked(panic),
        };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Entry { id, ref peer, .. } = *self.entry;
        let (received, sent) = (self.entry.received(), self.entry.sent());
        let reason = std::mem::replace(&mut self.reason, Reason::Cut);
        if self.opened {
            self.shared.tell(&Event::Closed {
                id,
                peer: peer.clone(),
                received,
                sent,
                reason,
            });
        }
        self.shared.registry.remove(&self.entry);
    }
}

pin_project! {
    /// All of a connection, from the first word to the books.
    struct Conversation<F> {
        // In this order: the connection ends before that is told.
        #[pin]
        talk: Caught<F>,
        place: Place,
    }
}

impl<F: Future<Output = Result<()>>> Future for Conversation<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if !this.place.opened {
            this.place.open();
        }
        this.place.note(ready!(this.talk.poll(cx)));
        Poll::Ready(())
    }
}

fn converse<H: Handler>(handler: Arc<H>, arrival: Arrival, shared: Arc<Shared>) -> impl Future<Output = ()> {
    let place = Place {
        shared: shared.clone(),
        entry: arrival.entry.clone(),
        opened: false,
        reason: Reason::Cut,
    };
    let talk = caught(talk(handler, arrival, shared));
    Conversation { talk, place }
}

/// Not an `async fn`: that would keep each argument twice, as given and as used, in every connection's future.
#[allow(clippy::manual_async_fn)]
fn talk<H: Handler>(
    handler: Arc<H>,
    arrival: Arrival,
    shared: Arc<Shared>,
) -> impl Future<Output = Result<()>> {
    async move {
        let Arrival { fd, entry } = arrival;
        let mut conn = Connection::accepted(fd, entry, shared.endpoint.scheme())?;
        current()?.settled();
        if let Some(tls) = &shared.tls {
            let limit = shared.limits.handshake;
            crate::time::timeout(limit, conn.accept_tls(tls))
                .await
                .map_err(|error| {
                    if error.class() == Class::Timeout {
                        Error::timed_out("TLS handshake", limit)
                    } else {
                        error
                    }
                })??;
        }
        conn.set_read_timeout(shared.limits.idle);
        conn.set_write_timeout(shared.limits.write);
        handler.setup(&mut conn).await?;
        let handled = handler.handle(&mut conn).await;
        handler.finish(&mut conn).await;
        handled?;
        conn.end().await.map_err(|error| Error::io("close", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Model, Server};

    struct Echo;
    impl Handler for Echo {
        async fn handle(&self, conn: &mut Connection) -> Result<()> {
            loop {
                let chunk = conn.recv().await?;
                if chunk.is_empty() {
                    return Ok(());
                }
                conn.send(chunk).await?;
            }
        }
    }

    /// An idle connection is to cost 2 KiB at the most, with its socket, its task and its place in the books.
    #[test]
    fn the_future_of_a_connection_is_small() {
        let running = Server::bind("tcp://127.0.0.1:0")
            .and_then(|server| server.start(Echo))
            .expect("a server");
        let shared = running.shutdown().shared;
        let entry = shared
            .registry
            .admit(crate::Address::Unix(None), &Limits::default())
            .expect("room");
        let fd = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            None,
        );
        let arrival = Arrival {
            fd: fd.expect("a socket"),
            entry,
        };
        let future = converse(Arc::new(Echo), arrival, shared);
        let size = std::mem::size_of_val(&future);
        assert!(size <= 768, "{size} bytes, under {}", Model::default());
    }
}
