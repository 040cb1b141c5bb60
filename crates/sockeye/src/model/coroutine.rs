//! `coroutine`: single-threaded Tokio runtimes, one per worker. Tokio waits and schedules; what a socket does when it is
//! ready is the same as in the other models that learn of readiness.

use super::clock::Clock;
use super::local::each_worker;
use super::ready::{Done, Packets, Permit, Reactor, Socket, Way, Wish};
use super::sources::Side;
use super::task::LocalFuture;
use super::timers::Timers;
use super::{AcceptLink, Driver, Group, PacketLink, StreamLink, Workers};
use crate::server::Job;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::AbortHandle;

const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// It only has to be tried again, now or later.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What Tokio knows a descriptor by; its link owns it and outlives this.
struct Lent(RawFd);

impl AsRawFd for Lent {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A clock among Tokio's descriptors.
struct Alarm(Clock);

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd().as_raw_fd()
    }
}

pub(crate) struct Source {
    fd: AsyncFd<Lent>,
    sides: [Side; 2],
}

pub(crate) struct Coroutine {
    timers: Timers,
    /// Operations that have come through: what tells the spinner that something is going on.
    attempts: Cell<u64>,
    idle: RefCell<Option<Waker>>,
    /// What ends those that end together; of some that have ended already, too.
    groups: RefCell<HashMap<Group, Vec<AbortHandle>>>,
    last_group: Cell<Group>,
}

impl Coroutine {
    fn new() -> Rc<Self> {
        Rc::new(Coroutine {
            timers: Timers::new(),
            attempts: Cell::new(0),
            idle: RefCell::default(),
            groups: RefCell::default(),
            last_group: Cell::new(Group::MAIN),
        })
    }

    fn came_through(&self) {
        self.attempts.set(self.attempts.get().wrapping_add(1));
        self.idle.borrow_mut().take().into_iter().for_each(Waker::wake);
    }

    /// Wakes our timers when they are due. A timer of Tokio's would be given to the kernel anew with each wait.
    async fn keep_time(self: Rc<Self>, clock: AsyncFd<Alarm>) -> io::Result<()> {
        loop {
            // Tokio looks at its sockets before this goes on: what has come in time is not late.
            tokio::task::yield_now().await;
            self.timers.tick();
            self.timers.fire();
            if clock.get_ref().0.set(&self.timers)?.is_some() {
                continue;
            }
            tokio::select! {
                rings = clock.readable() => {
                    rings?.clear_ready();
                    clock.get_ref().0.rang();
                }
                () = poll_fn(|cx| self.timers.poll_earlier(cx)) => {}
            }
        }
    }
}

impl Reactor for Coroutine {
    type Place = Source;

    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Source> {
        // SAFETY: the link that owns the descriptor deregisters it here before it closes it.
        #[allow(unsafe_code)]
        let fd = unsafe { AsyncFd::register_with_interest(Lent(fd.as_raw_fd()), INTEREST) }?;
        let sides = Default::default();
        Ok(Source { fd, sides })
    }

    fn deregister(&self, source: &Source, _: BorrowedFd<'_>) {
        source.sides.iter().for_each(|side| side.cancel(&self.timers));
    }

    fn pause(&self, source: &Source, way: Way) {
        source.sides[way as usize].pause(&self.timers);
    }

    #[inline]
    fn poll_io<T>(
        &self,
        source: &Source,
        wish: Wish,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let side = &source.sides[wish.way as usize];
        // Who answers can send as a rule, and Tokio is asked only if not. It counts what a task does in one turn by what it is asked,
        // so this is for one send after each receive.
        if wish.way == Way::Write && side.take_grant() {
            match attempt(Permit::Try) {
                Ok(done) => {
                    side.done();
                    self.came_through();
                    return Poll::Ready(Ok(done.value));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    side.done();
                    return Poll::Ready(Err(error));
                }
            }
        }
        loop {
            let ready = match wish.way {
                Way::Read => source.fd.poll_read_ready(cx)?,
                Way::Write => source.fd.poll_write_ready(cx)?,
            };
            let Poll::Ready(mut guard) = ready else {
                if wish.limit.is_some() {
                    self.timers.tick();
                    side.wait(wish.limit, &self.timers, cx)?;
                }
                return Poll::Pending;
            };
            match attempt(Permit::Try) {
                Ok(done) => {
                    // A receive stops before urgent data (tcp(7)): a short count says nothing of what is behind it.
                    if done.spent && source.fd.try_io(Interest::PRIORITY, |_| Ok(())).is_err() {
                        guard.clear_ready();
                    } else {
                        guard.retain_ready();
                    }
                    side.done();
                    if wish.way == Way::Read {
                        source.sides[Way::Write as usize].grant();
                    }
                    self.came_through();
                    return Poll::Ready(Ok(done.value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => guard.retain_ready(),
                Err(error) => {
                    side.done();
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl Driver for Coroutine {
    fn stream(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn StreamLink>> {
        Ok(Box::new(Socket::new(self, fd)?))
    }

    fn acceptor(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn AcceptLink>> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Box::new(Socket::new(self, fd)?))
    }

    fn packets(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn PacketLink>> {
        Ok(Box::new(Packets::new(self, fd)?))
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn spawn(&self, group: Group, future: LocalFuture) {
        let task = tokio::task::spawn_local(future);
        if let Some(those) = self.groups.borrow_mut().get_mut(&group) {
            if those.len() == those.capacity() {
                those.retain(|one| !one.is_finished());
                // Or who comes next would look through them all again.
                if those.len() > those.capacity() / 2 {
                    those.reserve(those.len());
                }
            }
            those.push(task.abort_handle());
        }
    }

    fn new_group(&self) -> Group {
        self.last_group.set(self.last_group.get().next());
        self.groups.borrow_mut().insert(self.last_group.get(), Vec::new());
        self.last_group.get()
    }

    fn drop_group(&self, group: Group) {
        let gone = self.groups.borrow_mut().remove(&group);
        gone.iter().flatten().for_each(AbortHandle::abort);
    }
}

/// A runtime, and a clock that it waits for.
fn runtime() -> io::Result<(LocalRuntime, AsyncFd<Alarm>)> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time() // for handlers
        .build_local(LocalOptions::default())?;
    let clock = {
        let _here = runtime.enter();
        // SAFETY: the clock has its descriptor for as long as it lives.
        #[allow(unsafe_code)]
        unsafe {
            AsyncFd::register_with_interest(Alarm(Clock::new()?), Interest::READABLE)?
        }
    };
    Ok((runtime, clock))
}

/// Drives a future on a runtime made for it.
pub(crate) fn run<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(drive(runtime()?, future, Duration::ZERO))
}

fn drive<F: Future>(
    (runtime, clock): (LocalRuntime, AsyncFd<Alarm>),
    future: F,
    spin: Duration,
) -> F::Output {
    let driver = Coroutine::new();
    super::with_current(driver.clone(), || {
        let mut future = pin!(future);
        runtime.block_on(async {
            let clock = tokio::task::spawn_local(time_kept(driver.clone(), clock));
            let spinner =
                (!spin.is_zero()).then(|| tokio::task::spawn_local(look_again(driver.clone(), spin)));
            let output = future.as_mut().await;
            clock.abort();
            spinner.inspect(tokio::task::JoinHandle::abort);
            output
        })
    })
}

async fn time_kept(driver: Rc<Coroutine>, clock: AsyncFd<Alarm>) {
    if let Err(error) = driver.keep_time(clock).await {
        tracing::error!(%error, "a worker's clock can't be set any more: its connections have no deadlines");
    }
}

/// Keeps the runtime from sleeping for a while after it had something to do, by going round with it.
async fn look_again(driver: Rc<Coroutine>, span: Duration) {
    loop {
        let seen = driver.attempts.get();
        let spun = poll_fn(|cx| {
            *driver.idle.borrow_mut() = Some(cx.waker().clone());
            if driver.attempts.get() == seen {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        spun.await;
        let (mut seen, mut until) = (driver.attempts.get(), Instant::now() + span);
        while Instant::now() < until {
            tokio::task::yield_now().await;
            if driver.attempts.get() != seen {
                (seen, until) = (driver.attempts.get(), Instant::now() + span);
            }
        }
    }
}

pub(crate) fn launch(job: Job) -> io::Result<Workers> {
    each_worker(job, |worker, ready| {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return ready.fail(error),
        };
        let spin = worker.spin();
        drive(runtime, worker.serve_here(ready), spin);
    })
}
