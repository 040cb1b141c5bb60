//! A server at work, as its user holds it.

use super::{Shared, Shutdown};
use crate::endpoint::Endpoint;
use crate::error::{Class, Error, Result};
use crate::listen::SocketFile;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

/// A server at work. [`join`](Self::join) waits for it, and so does [`ended`](Self::ended) in a future. Dropping it cuts it off, and waits for that
/// unless it is served by a thread beside its own futures.
pub struct Running {
    shutdown: Shutdown,
    pub(super) threads: Vec<JoinHandle<()>>,
    /// Nothing comes here but its end: when all have ended who worked for the server.
    over: mpsc::Receiver<Infallible>,
    /// The thread that serves it beside its own futures, if one does.
    pub(super) here: Option<ThreadId>,
    _file: Option<SocketFile>,
}

impl Running {
    pub(super) fn new(
        shared: Arc<Shared>,
        over: mpsc::Receiver<Infallible>,
        file: Option<SocketFile>,
    ) -> Self {
        Running {
            shutdown: Shutdown { shared },
            threads: Vec::new(),
            over,
            here: None,
            _file: file,
        }
    }

    /// Where it listens, with the port that the system chose.
    pub fn endpoint(&self) -> Endpoint {
        self.shutdown.shared.endpoint.clone()
    }

    /// What stops it, for any thread.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Connections open now; under `process` they are its processes' own and not counted here.
    pub fn connections(&self) -> usize {
        self.shutdown.shared.registry.len()
    }

    /// Its certificate as DER, when it speaks TLS: what a client may be told to trust.
    pub fn certificate_der(&self) -> Option<Vec<u8>> {
        self.shutdown
            .shared
            .tls
            .as_ref()
            .map(|tls| tls.certificate_der().to_vec())
    }

    /// Waits until it has been stopped and is through.
    ///
    /// # Errors
    /// When nobody stopped it: it can't accept any more, as an [`Event::Failed`](crate::Event) has told. What was accepted before was
    /// served to its end, unless the future has ended beside which it was served. And when this thread is the one that serves ([`start_here`](crate::Server::start_here)), which it can't while it
    /// waits here: the server is cut off then.
    pub fn join(mut self) -> Result<()> {
        if self.here == Some(thread::current().id()) && !self.is_over() {
            let why = "it is served by a future of this thread, which can't go on meanwhile";
            return Err(self.unfit(why).advise("await Running::ended"));
        }
        if self.here.is_some() {
            self.shutdown.shared.wait_for_announced_end();
        }
        self.wait();
        self.outcome()
    }

    /// Waits, in a future, until it has been stopped and is through. Dropping the future is dropping the server.
    ///
    /// # Errors
    /// When nobody stopped it, as [`join`](Self::join) says.
    pub async fn ended(mut self) -> Result<()> {
        let _ = self.over.recv().await; // never a word, but the end
        self.wait();
        self.outcome()
    }

    /// Nobody is at work for it any more.
    fn is_over(&mut self) -> bool {
        matches!(self.over.try_recv(), Err(TryRecvError::Disconnected))
    }

    fn unfit(&self, why: impl Into<String>) -> Error {
        Error::new("serve", Class::General, why.into()).at(&self.shutdown.shared.endpoint)
    }

    fn outcome(&self) -> Result<()> {
        match self.shutdown.shared.failure.get() {
            None => Ok(()),
            Some(why) => Err(self.unfit(why.clone()).advise("start it anew")),
        }
    }

    fn wait(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shutdown.shared.fail("a worker panicked");
            }
        }
        if self.here.is_none() {
            self.shutdown.shared.announce_end();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() || !self.is_over() {
            self.shutdown.cut();
            self.wait();
        }
    }
}
