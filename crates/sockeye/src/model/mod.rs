//! The models of concurrency: a file each. They differ in *where* a connection's handler runs and in *how* it waits;
//! nothing outside this folder asks which one is running.
//!
//! - how it waits: a [`Driver`] makes links (sockets that a future can wait for) and drives the futures of a thread.
//!   Those that learn of readiness share [`ready`]; io_uring, which learns of completion, has links of its own.
//! - where it runs: [`local`] (all in one thread, or in N), [`thread`] and [`process`] (one each).

mod blocking;
mod clock;
mod coroutine;
mod epoll;
mod gate;
mod local;
mod messages;
mod mmsg;
mod name;
mod pause;
mod prefetch;
mod process;
mod ready;
mod select;
mod sources;
mod spin;
mod task;
mod thread;
mod timers;
mod uring;
mod wake;

pub use name::{Model, Trigger};

use crate::buffer::{Chunk, Spare};
use crate::error::{Class, Error, Result};
use crate::server::Job;
use crate::server::registry::SocketGrip;
pub(crate) use local::Ready;
pub(crate) use mmsg::{Arrival, BATCH, LocalEnd, Peer};
pub(crate) use pause::{Pause, Waits};
pub(crate) use process::keep_to_itself;
pub(crate) use ready::Way;
use rustix::net::{SocketAddrAny, SocketType, sockopt};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
pub(crate) use task::LocalFuture;
pub(crate) use timers::{TimerKey, Timers};
use tokio::io::ReadBuf;

/// A stream as a model drives it. Each `poll_` either makes progress or arranges for the waker to be woken; when a
/// limit passes first, the error is `TimedOut`.
pub(crate) trait StreamLink {
    /// At least one byte, or an empty chunk at the end of the stream.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>>;
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
    /// Takes from the front of the chunk, perhaps the memory as well, until nothing is left of it and it is
    /// [pushed](Self::poll_pushed). What was taken before a wait or an error is gone from the chunk.
    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>>;
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
    /// Sends of several pieces as much as goes at once.
    fn poll_write_all_of(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let gathered = Spare::gather(pieces);
        self.poll_write(cx, &gathered)
    }
    /// Until no more is on its way to the kernel than a socket's own buffer would take.
    fn poll_pushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
    /// Until all that was taken is the kernel's, as it is at once where a call sends.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>>;
    /// Moves what has come, up to a [`PIPE`] and up to `count`, into an empty pipe; 0 at the end of the stream. `None` where only a receive
    /// can bring it.
    fn poll_recv_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
    ) -> Poll<io::Result<Option<usize>>> {
        let _ = (cx, pipe, count);
        Poll::Ready(Ok(None))
    }
    /// Until a connect that is under way has succeeded or failed.
    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>);
    /// See [`Pause::pause`].
    fn pause(&mut self, way: Way) {
        let _ = way;
    }
    fn fd(&self) -> BorrowedFd<'_>;
}

/// How much a pipe is to hold that bytes are moved through: what a process may ask for without being root
/// (`/proc/sys/fs/pipe-max-size`), and a third of a millisecond's work, so that others have their turn.
pub(crate) const PIPE: usize = 1 << 20;

/// A new stream and who is at its other end.
pub(crate) struct Accepted {
    pub(crate) fd: OwnedFd,
    pub(crate) peer: Option<SocketAddrAny>,
}

/// A listening socket as a model drives it.
pub(crate) trait AcceptLink {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>>;
    /// For now nobody else is let in.
    fn pause(&mut self) {}
    fn fd(&self) -> BorrowedFd<'_>;
}

/// The longest message within the machine that is received: more than the 212,960 bytes that Linux lets a sender have
/// under way unless that asks for more.
pub(crate) const MESSAGE: usize = 256 << 10;

/// A datagram and where it came from (`None` from an unnamed Unix socket).
pub(crate) struct Received {
    pub(crate) bytes: Chunk,
    /// How long it was; more than the bytes that are left when it was over the limit.
    pub(crate) length: usize,
    pub(crate) from: Option<Peer>,
    /// Where it came to, on a socket that is bound to all addresses, or whose options ask for it.
    pub(crate) local: Option<LocalEnd>,
    /// When, on a socket whose options ask for it.
    pub(crate) arrived: Option<Arrival>,
}

/// Where a datagram goes to, and where it leaves from if the routes aren't to say.
pub(crate) struct Route {
    pub(crate) to: Peer,
    pub(crate) from: Option<LocalEnd>,
}

impl Route {
    /// Whether it is known to be the same as another.
    fn is(&self, other: &Route) -> bool {
        let from = match (&self.from, &other.from) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is(other),
            _ => false,
        };
        from && self.to.is(&other.to)
    }
}

/// A datagram socket as a model drives it.
pub(crate) trait PacketLink {
    /// Adds at least one datagram, and all that are there up to a batch.
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Vec<Received>) -> Poll<io::Result<()>>;
    /// One datagram, into no more memory than it needs: for sockets that are many.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>>;
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        to: Option<&Route>,
    ) -> Poll<io::Result<usize>>;
    /// Ends a receive that waits in its call, where this model has it do so: nothing else rouses it then.
    fn grip(&self) -> Option<SocketGrip> {
        None
    }
    /// Sends as many of the front as the kernel takes without waiting.
    fn send_batch(&mut self, packets: &[(Chunk, Route)]) -> io::Result<usize>;
    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>);
    /// See [`Pause::pause`].
    fn pause(&mut self, way: Way) {
        let _ = way;
    }
    fn fd(&self) -> BorrowedFd<'_>;
}

/// Which of a thread's futures end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group(u32);

impl Group {
    /// Those that end with their thread's main future.
    pub(crate) const MAIN: Group = Group(0);
    /// Those that come to their end though that has ended, which they do soon.
    const LASTING: Group = Group(1);

    /// The one after this.
    fn next(self) -> Self {
        Group(self.0.wrapping_add(1).max(2))
    }
}

/// How a thread waits: makes links and keeps time.
pub(crate) trait Driver {
    fn stream(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn StreamLink>>;
    /// `fd` is put into non-blocking mode, for between "readable" and accept a client may have gone.
    fn acceptor(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn AcceptLink>>;
    fn packets(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn PacketLink>>;
    fn timers(&self) -> &Timers;
    /// Runs it beside the others, until it ends or its group is dropped.
    fn spawn(&self, group: Group, future: LocalFuture);
    /// A group that nobody has yet.
    fn new_group(&self) -> Group;
    /// Drops every future of it where it stands, now or with the next turn.
    fn drop_group(&self, group: Group);
    /// A connection that was accepted has what it begins with, and no clock runs yet. Where it has a thread of its own, this returns when it is
    /// to be served.
    fn settled(&self) {}
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Driver>>> = const { RefCell::new(None) };
    static SPIN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The driver of this thread.
pub(crate) fn current() -> Result<Rc<dyn Driver>> {
    CURRENT.with_borrow(Clone::clone).ok_or_else(|| {
        Error::new("wait", Class::General, "no model is running on this thread")
            .advise("call this inside sockeye::run, sockeye::block_on or a handler")
    })
}

/// A connected socket of this thread's driver.
pub(crate) fn stream(fd: OwnedFd, scheme: &str) -> Result<Box<dyn StreamLink>> {
    let driver = current()?;
    // TCP has one kind of sockets; of the others one must ask.
    let is_stream = matches!(scheme, "tcp" | "tls")
        || sockopt::socket_type(&fd).is_ok_and(|kind| kind != SocketType::SEQPACKET);
    let link = if is_stream {
        driver.stream(fd)
    } else {
        driver
            .packets(fd)
            .map(|link| Box::new(messages::Messages::new(link)) as Box<_>)
    };
    link.map_err(|error| Error::io("make socket", error))
}

/// Makes `driver` this thread's own while `body` runs.
fn with_current<T>(driver: Rc<dyn Driver>, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<Rc<dyn Driver>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(driver)));
    body()
}

/// Drives a future on this thread as `model` waits: what a client needs to dial, send and receive outside of a server.
/// `process` and `thread` wait in the same way.
///
/// # Errors
/// When the model's means can't be had from the kernel (io_uring forbidden, no descriptor left).
///
/// ```
/// let sum = sockeye::run(sockeye::Model::Select, async { 1 + 1 })?;
/// assert_eq!(sum, 2);
/// # Ok::<(), sockeye::Error>(())
/// ```
pub fn run<F: Future>(model: Model, future: F) -> Result<F::Output> {
    let ran = match model {
        Model::Process | Model::Thread => blocking::run(future),
        Model::Spin => local::run(spin::Spin::new, future),
        Model::Select => local::run(select::Select::new, future),
        Model::Epoll(trigger) => local::run(move || epoll::Epoll::new(trigger), future),
        Model::Coroutine => coroutine::run(future),
        Model::Uring => local::run(uring::Uring::new, future),
    };
    ran.map_err(|error| Error::io("start model", error).at(model))
}

/// Drives a future on this thread, blocking in its calls where it can: [`run`] under [`Model::Thread`].
///
/// # Errors
/// As [`run`].
pub fn block_on<F: Future>(future: F) -> Result<F::Output> {
    run(Model::Thread, future)
}

/// Runs a future beside the ones of this thread. It ends with the thread's driver. A panic in it ends only itself.
///
/// # Errors
/// When no model is running on this thread.
pub fn spawn_local(future: impl Future<Output = ()> + 'static) -> Result<()> {
    current()?.spawn(Group::MAIN, Box::pin(future));
    Ok(())
}

/// Starts the workers of a server; returns when they are ready to accept.
pub(crate) fn launch(model: Model, job: Job) -> Result<Workers> {
    let launched = match model {
        Model::Process => process::launch(job),
        Model::Thread => thread::launch(job),
        Model::Spin => local::launch(spin::Spin::new, job),
        Model::Select => local::launch(select::Select::new, job),
        Model::Epoll(trigger) => local::launch(move || epoll::Epoll::new(trigger), job),
        Model::Coroutine => coroutine::launch(job),
        Model::Uring => local::launch(uring::Uring::new, job),
    };
    launched.map_err(|error| Error::io("start model", error).at(model))
}

/// What has been launched and can be waited for.
pub(crate) type Workers = Vec<std::thread::JoinHandle<()>>;
