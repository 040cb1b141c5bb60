//! A server: an endpoint, a model and a handler.

pub(crate) mod accept;
mod blocked;
mod event;
pub(crate) mod guard;
mod here;
mod limits;
pub(crate) mod registry;
mod running;
mod shutdown;
mod work;

pub(crate) use accept::{Arrival, BACKOFF, NoPlace};
pub use event::{Event, Reason};
pub(crate) use here::{Lodging, serves_here};
pub use limits::Limits;
pub use running::Running;
pub use shutdown::Shutdown;
pub(crate) use shutdown::{Stage, Until, reached};
pub(crate) use work::{AtWork, Job, StreamWork, Worker};

use crate::endpoint::{Endpoint, Host, ToEndpoint};
use crate::error::{Class, Error, Result};
use crate::handler::{Handler, PacketHandler};
use crate::listen::{self, Bound};
use crate::model::{self, Model};
use crate::options::Options;
use crate::tls::TlsServer;
use blocked::Blocked;
use registry::{Entry, Registry, lock};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// The most workers one server may have: more than the cores of any machine it is likely to meet.
pub const MAX_WORKERS: usize = 1024;

/// What the workers of a server share.
pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) limits: Limits,
    pub(crate) registry: Registry,
    pub(crate) stage: watch::Sender<Stage>,
    pub(crate) blocked: Blocked,
    /// Nobody else has its sockets, so that they may be shut down.
    pub(crate) is_alone: bool,
    pub(crate) tls: Option<TlsServer>,
    pub(crate) spin: Duration,
    observer: Option<Observer>,
    /// Where a forked process tells its events instead.
    relay: OnceLock<Observer>,
    acceptors: AtomicUsize,
    /// Why it ended by itself.
    failure: OnceLock<String>,
    ended: (Mutex<bool>, Condvar),
}

impl Shared {
    pub(crate) fn tell(&self, event: &Event) {
        let Some(observer) = self.relay.get().or(self.observer.as_ref()) else {
            return;
        };
        // It is somebody else's, and so is what its panic left half-done; the server goes on.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer(event))) {
            let panic = guard::words(&*panic);
            tracing::error!(endpoint = %self.endpoint, panic, ?event, "an observer panicked");
        }
    }

    /// Nobody accepts any more, and nobody has asked for that.
    pub(crate) fn fail(&self, error: &str) {
        let error = error.to_owned();
        if self.failure.set(error.clone()).is_ok() {
            self.tell(&Event::Failed { error });
        }
    }

    /// From now on events are told there: this is a forked process.
    pub(crate) fn tell_by(&self, relay: Observer) {
        let _ = self.relay.set(relay); // a child of a forked process tells as its parent does
    }

    /// This is a forked process that has nothing but one connection.
    pub(crate) fn alone_with(&self, entry: &Arc<Entry>) {
        self.registry.keep_only(entry);
        self.close();
    }

    /// Nobody new will be admitted.
    pub(crate) fn close(&self) {
        self.acceptors.store(0, Ordering::Release);
    }

    /// An acceptor has ended.
    pub(crate) fn acceptor_ended(&self) {
        self.acceptors.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether every acceptor has ended: nobody new will be admitted.
    fn is_closed(&self) -> bool {
        self.acceptors.load(Ordering::Acquire) == 0
    }

    /// Waits until the server is through, or for `limit`; true if it is.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let ended = lock(&self.ended.0);
        let waited = self.ended.1.wait_timeout_while(ended, limit, |ended| !*ended);
        waited.map_or(true, |(ended, _)| *ended)
    }

    /// Waits until a server that no thread of its own serves is through.
    fn wait_for_announced_end(&self) {
        let ended = lock(&self.ended.0);
        drop(self.ended.1.wait_while(ended, |ended| !*ended));
    }

    fn announce_end(&self) {
        *lock(&self.ended.0) = true;
        self.ended.1.notify_all();
    }
}

/// A server that is bound, and not yet serving.
///
/// ```
/// use sockeye::{Connection, Handler, Limits, Model, Result, Server, Trigger};
///
/// struct Hello;
/// impl Handler for Hello {
///     async fn handle(&self, conn: &mut Connection) -> Result<()> {
///         conn.send("helloworld").await
///     }
/// }
///
/// let server = Server::bind("tcp://127.0.0.1:0")?
///     .model(Model::Epoll(Trigger::Edge))
///     .limits(Limits { connections: 100, ..Limits::default() })
///     .start(Hello)?;
/// println!("listening {}", server.endpoint());
/// server.shutdown().stop();
/// server.join()?;
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Server {
    bound: Bound,
    /// The host as it was asked for, which `bound` has as an address.
    host: Option<Host>,
    options: Options,
    adopted: bool,
    model: Model,
    workers: usize,
    limits: Limits,
    tls: Option<TlsServer>,
    spin: Duration,
    observer: Option<Observer>,
}

impl Server {
    /// Binds an endpoint now, so that a port that is taken is known at once. A `tls://` endpoint makes itself a
    /// certificate, for this host by its name and address, unless [`tls`](Self::tls) brings one.
    ///
    /// # Errors
    /// When the endpoint can't be bound: the name is unknown, the port is taken, or it wants privileges.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        Self::bind_with(endpoint, Options::new())
    }

    /// [`bind`](Self::bind), with options for the listening socket, which its connections inherit.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), or when the kernel refuses an option.
    pub fn bind_with(endpoint: impl ToEndpoint, options: Options) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        let mut server = Self::of(listen::bind(&endpoint, &options)?, options);
        server.host = endpoint.host_port().map(|at| at.host.clone());
        Ok(server)
    }

    /// Serves on a socket that was made elsewhere: listening already, or bound for packets. `endpoint` is what it is
    /// called, and tells which of the two it is. A listening socket is put into the mode that its model needs, `O_NONBLOCK` or
    /// not, and so it is for whoever else has it.
    pub fn adopt(fd: OwnedFd, endpoint: Endpoint) -> Self {
        let bound = Bound {
            fd,
            endpoint,
            file: None,
        };
        Server {
            adopted: true,
            ..Self::of(bound, Options::new())
        }
    }

    fn of(bound: Bound, options: Options) -> Self {
        model::keep_to_itself(bound.fd.as_fd());
        Server {
            host: bound.endpoint.host_port().map(|at| at.host.clone()),
            bound,
            options,
            adopted: false,
            model: Model::default(),
            workers: 1,
            limits: Limits::default(),
            tls: None,
            spin: Duration::ZERO,
            observer: None,
        }
    }

    /// Where it listens, with the port that the system chose.
    pub fn endpoint(&self) -> Endpoint {
        self.bound.endpoint.clone()
    }

    /// The model; level-triggered epoll unless set.
    #[must_use]
    pub fn model(mut self, model: Model) -> Self {
        self.model = model;
        self
    }

    /// How many threads serve, each with a listener of its own that the kernel spreads newcomers over. 1 unless set;
    /// 0 means one per core. Models with a thread or process per connection have no workers and ignore it.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The limits; [`Limits::default`] unless set.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The certificate for TLS, on a stream of any kind.
    #[must_use]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long a worker that has nothing to do looks again and again before it sleeps: an answer comes sooner, and a
    /// core is busy. Zero unless set; the model `spin` does so anyhow.
    #[must_use]
    pub fn spin(mut self, span: Duration) -> Self {
        self.spin = span;
        self
    }

    /// Is told of each [`Event`], on the thread where it happens. If it panics, the log says so and the server goes on.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Serves connections in the background.
    ///
    /// # Errors
    /// When the endpoint is one for packets, or the model can't be had: io_uring is forbidden, a limit is beyond what
    /// `select` can hold, or `process` is asked for by a program that has several threads already.
    pub fn start<H: Handler>(self, handler: H) -> Result<Running> {
        self.refuse_packets()?;
        self.launch(|shared| work::streams(Arc::new(handler), shared))
    }

    /// Serves packets in the background.
    ///
    /// # Errors
    /// When the endpoint is one for connections; otherwise as [`start`](Self::start).
    pub fn start_packets<H: PacketHandler>(self, handler: H) -> Result<Running> {
        self.refuse_streams()?;
        self.launch(|shared| work::packets(Arc::new(handler), shared))
    }

    /// Serves connections on this thread, beside the future that calls this: no other thread is started for it, but for the one that keeps
    /// the deadline of a [stop](Shutdown::stop). The thread waits as it does anyhow, so of the model only its limits count, there is one worker,
    /// and a [spin](Self::spin) means nothing. While a handler computes, nobody else of the thread goes on.
    ///
    /// A program with one thread is a little faster, for what the kernel knows of a descriptor is then nobody else's.
    ///
    /// When the future ends that was given to [`run`](crate::run), so does the server, with the connections that it has: it has failed then, unless
    /// it was stopped before. Dropping what this returns cuts the server off, but its endpoint is free only when it has [ended](Running::ended), under `uring`
    /// a moment later.
    ///
    /// ```
    /// use sockeye::{Connection, Handler, Model, Result, Server, dial, run};
    ///
    /// struct Hello;
    /// impl Handler for Hello {
    ///     async fn handle(&self, conn: &mut Connection) -> Result<()> {
    ///         conn.send("helloworld").await
    ///     }
    /// }
    ///
    /// run(Model::Select, async {
    ///     let running = Server::bind("tcp://127.0.0.1:0")?.start_here(Hello)?;
    ///     let mut conn = dial(&running.endpoint()).await?;
    ///     assert_eq!(&conn.recv().await?[..], b"helloworld");
    ///     running.shutdown().stop();
    ///     running.ended().await
    /// })??;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    ///
    /// # Errors
    /// When no model is running on this thread, when the endpoint is one for packets, or when more than one worker is asked for.
    pub fn start_here<H: Handler>(self, handler: H) -> Result<Running> {
        self.refuse_packets()?;
        self.launch_here(|shared| work::streams(Arc::new(handler), shared))
    }

    /// Serves packets on this thread, as [`start_here`](Self::start_here) does connections.
    ///
    /// # Errors
    /// When no model is running on this thread, when the endpoint is one for connections, or when more than one worker is asked for.
    pub fn start_packets_here<H: PacketHandler>(self, handler: H) -> Result<Running> {
        self.refuse_streams()?;
        self.launch_here(|shared| work::packets(Arc::new(handler), shared))
    }

    /// Serves connections until the server is stopped: on this thread where it [fits one](Self::fits_this_thread).
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`join`](Running::join).
    pub fn serve<H: Handler>(self, handler: H) -> Result<()> {
        match self.fits_this_thread() {
            true => self.run(|server| server.start_here(handler)),
            false => self.start(handler)?.join(),
        }
    }

    /// Serves packets until the server is stopped: on this thread where it [fits one](Self::fits_this_thread).
    ///
    /// # Errors
    /// As [`start_packets`](Self::start_packets) and [`join`](Running::join).
    pub fn serve_packets<H: PacketHandler>(self, handler: H) -> Result<()> {
        match self.fits_this_thread() {
            true => self.run(|server| server.start_packets_here(handler)),
            false => self.start_packets(handler)?.join(),
        }
    }

    /// Whether a thread that has nothing else to do but wait for it may as well serve it: it has one worker, its model would have that
    /// serve all connections, and no [`spin`](Self::spin) is asked for; and the thread drives no futures yet, Tokio's neither.
    pub fn fits_this_thread(&self) -> bool {
        let is_free = model::current().is_err() && tokio::runtime::Handle::try_current().is_err();
        is_free && self.workers == 1 && self.model.has_workers() && self.spin.is_zero()
    }

    fn run(self, start: impl FnOnce(Self) -> Result<Running>) -> Result<()> {
        let (model, endpoint) = (self.model, self.endpoint());
        model::run(model, async { start(self)?.ended().await }).map_err(|error| error.at(endpoint))?
    }

    fn refuse_packets(&self) -> Result<()> {
        match self.bound.endpoint.is_packet() {
            true => Err(self.unfit("it carries packets; use start_packets")),
            false => Ok(()),
        }
    }

    fn refuse_streams(&self) -> Result<()> {
        match self.bound.endpoint.is_stream() {
            true => Err(self.unfit("it carries connections; use start")),
            false => Ok(()),
        }
    }

    fn unfit(&self, why: &'static str) -> Error {
        Error::new("serve", Class::General, why).at(&self.bound.endpoint)
    }

    fn launch(self, work: impl FnOnce(Arc<Shared>) -> work::Kind) -> Result<Running> {
        let model = self.model;
        let (job, mut running) = self.prepare(work)?;
        running.threads = model::launch(model, job).map_err(|error| error.at(running.endpoint()))?;
        Ok(running)
    }

    fn launch_here(self, work: impl FnOnce(Arc<Shared>) -> work::Kind) -> Result<Running> {
        if self.workers > 1 {
            return Err(self.unfit("this thread is one worker; use start for more"));
        }
        let server = Server { workers: 1, ..self };
        let (job, mut running) = server.prepare(work)?;
        running.here = Some(std::thread::current().id());
        job.start_here().map_err(|error| error.at(running.endpoint()))?;
        Ok(running)
    }

    /// What its workers are to do, and what their user keeps, who has no threads of it yet.
    fn prepare(mut self, work: impl FnOnce(Arc<Shared>) -> work::Kind) -> Result<(Job, Running)> {
        if let Some(most) = self.model.max_connections() {
            self.limits.connections = self.limits.connections.min(most);
        }
        if self.tls.is_none() && matches!(self.bound.endpoint, Endpoint::Tls(_)) {
            let bound = self.bound.endpoint.host_port().map(|at| &at.host);
            self.tls = Some(TlsServer::self_signed_for(self.host.iter().chain(bound))?);
        }
        let workers = self.worker_count()?;
        let mut listeners = Vec::with_capacity(workers);
        for _ in 1..workers {
            listeners.push(listen::sibling(&self.bound, &self.options)?);
        }
        let Bound { fd, endpoint, file } = self.bound;
        listeners.push(fd);
        let shared = Arc::new(Shared {
            endpoint,
            limits: self.limits,
            registry: Registry::default(),
            stage: watch::Sender::new(Stage::Running),
            blocked: Blocked::default(),
            is_alone: !self.adopted,
            tls: self.tls,
            spin: self.spin,
            observer: self.observer,
            relay: OnceLock::new(),
            acceptors: AtomicUsize::new(listeners.len()),
            failure: OnceLock::new(),
            ended: (Mutex::new(false), Condvar::new()),
        });
        let (at_work, over) = mpsc::channel(1);
        let job = Job {
            listeners,
            shared: shared.clone(),
            kind: work(shared.clone()),
            at_work,
        };
        Ok((job, Running::new(shared, over, file)))
    }

    fn worker_count(&mut self) -> Result<usize> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match self.workers {
            _ if !self.model.has_workers() => 1,
            0 => cores(),
            some => some,
        };
        if workers > MAX_WORKERS {
            return Err(self.unfit("that many workers would only get in each other's way"));
        }
        if workers > 1 {
            // The first socket must agree to share its port before the others can have it.
            self.options = std::mem::take(&mut self.options).reuse_port(true);
            rustix::net::sockopt::set_socket_reuseport(&self.bound.fd, true)
                .map_err(|errno| Error::io("share port", errno).at(&self.bound.endpoint))?;
        }
        Ok(workers)
    }
}
