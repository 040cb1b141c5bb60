//! The models that have one thread for all their connections: the loop that they share, and N of them for N workers.

use super::ready::{Packets, Reactor, Socket};
use super::task::{LocalFuture, Tasks};
use super::timers::Timers;
use super::{AcceptLink, Driver, Group, PacketLink, StreamLink, Workers};
use crate::server::Job;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What takes effect, of all that a wait has told, before its tasks run: what was touched to wake a task is still in the
/// cache then.
pub(super) const AT_ONCE: usize = 4;

/// A driver whose thread goes round: poll who is ready, wait, wake, again.
pub(crate) trait Turn {
    /// It looks again and again anyhow.
    const SPINS: bool = false;

    fn tasks(&self) -> &Tasks;
    fn timers(&self) -> &Timers;
    /// Wakes a few more of those whom the last wait concerns; false when there is nobody left.
    fn more(&self) -> bool {
        false
    }
    /// Arranges that a wait ends when the next timer is due; says how long it may then take.
    fn limit(&self) -> io::Result<Option<Duration>>;
    /// Waits until something happens or the limit passes (`None`: for ever), and wakes whom it concerns, or the first
    /// few of them.
    fn turn(&self, limit: Option<Duration>) -> io::Result<()>;
}

impl<R: Reactor + Turn> Driver for R {
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
        Turn::timers(self)
    }

    fn spawn(&self, group: Group, future: LocalFuture) {
        self.tasks().spawn(group, future);
    }

    fn new_group(&self) -> Group {
        self.tasks().new_group()
    }

    fn drop_group(&self, group: Group) {
        self.tasks().drop_group(group);
    }
}

/// Drives a future, and whatever it spawns meanwhile, on a driver made for it.
pub(crate) fn run<D, F>(new: impl FnOnce() -> io::Result<D>, future: F) -> io::Result<F::Output>
where
    D: Driver + Turn + 'static,
    F: Future,
{
    let driver = Rc::new(new()?);
    drive(&driver, future, Duration::ZERO)
}

fn drive<D, F>(driver: &Rc<D>, future: F, spin: Duration) -> io::Result<F::Output>
where
    D: Driver + Turn + 'static,
    F: Future,
{
    let tasks = driver.tasks();
    let _entered = tasks.enter();
    super::with_current(driver.clone(), || {
        let _end = End(tasks);
        let mut spin = Spinner::new(spin);
        let ended = {
            let mut future = pin!(future);
            loop {
                // The tasks first: it may be that the main future is among those who are ready, and then it has its turn at
                // once instead of keeping the thread from its wait.
                tasks.run_ready();
                if let Poll::Ready(output) = tasks.poll_main(future.as_mut()) {
                    break Ok(output);
                }
                if let Err(error) = turn(&**driver, &mut spin) {
                    break Err(error);
                }
            }
        };
        while tasks.drop_passing() && turn(&**driver, &mut spin).is_ok() {
            tasks.run_ready();
        }
        ended
    })
}

/// Whatever ends the main future, a panic too, the tasks end with it: they keep their driver.
pub(super) struct End<'a>(pub(super) &'a Tasks);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.drop_all();
    }
}

fn turn<D: Turn>(driver: &D, spin: &mut Spinner) -> io::Result<()> {
    if driver.more() {
        return Ok(());
    }
    let (tasks, timers) = (driver.tasks(), driver.timers());
    // As late as this: what had come by the end of the last wait has come in time.
    timers.fire();
    let wait = |limit| {
        driver.turn(limit)?;
        timers.tick();
        io::Result::Ok(tasks.has_ready())
    };
    if tasks.has_ready() {
        return wait(Some(Duration::ZERO)).map(drop);
    }
    if !spin.is_off() {
        // What the last look told comes first: nothing may be told over it.
        let look = || match driver.more() {
            true => Ok(tasks.has_ready()),
            false => wait(Some(Duration::ZERO)),
        };
        if spin.until(look)? || driver.more() {
            return Ok(());
        }
    }
    wait(driver.limit()?).map(drop)
}

/// Looks again and again for a while before a wait, when that has paid lately: a wake-up costs more than a look, but a
/// look that finds nothing costs a core.
pub(crate) struct Spinner {
    span: Duration,
    credit: u32,
}

impl Spinner {
    /// Spins that found nothing before it is given up, but for a try now and then.
    const PATIENCE: u32 = 16;

    pub(crate) fn new(span: Duration) -> Self {
        Spinner {
            span,
            credit: Self::PATIENCE,
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.span.is_zero()
    }

    /// True when `look` found something in time. Not to be asked of one that is off.
    pub(crate) fn until(&mut self, mut look: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
        if self.credit == 0 {
            self.credit = 1; // the next wait may spin again
            return Ok(false);
        }
        let end = Instant::now() + self.span;
        loop {
            if look()? {
                self.credit = Self::PATIENCE;
                return Ok(true);
            }
            if Instant::now() >= end {
                self.credit -= 1;
                return Ok(false);
            }
            std::hint::spin_loop();
        }
    }
}

/// Starts a thread per worker, each with a driver and a listener of its own.
pub(crate) fn launch<D>(
    new: impl Fn() -> io::Result<D> + Clone + Send + 'static,
    job: Job,
) -> io::Result<Workers>
where
    D: Driver + Turn + 'static,
{
    each_worker(job, move |worker, ready| {
        let driver = match new() {
            Ok(driver) => Rc::new(driver),
            Err(error) => return ready.fail(error),
        };
        let spin = if D::SPINS { Duration::ZERO } else { worker.spin() };
        let served = drive(&driver, worker.serve_here(ready), spin);
        if let Err(error) = served {
            tracing::error!(%error, "a worker can no longer wait and has ended");
        }
    })
}

/// Tells the starter that a worker accepts, or why it can't.
pub(crate) struct Ready(Box<dyn FnOnce(io::Result<()>)>);

impl Ready {
    pub(crate) fn new(answer: impl FnOnce(io::Result<()>) + 'static) -> Self {
        Ready(Box::new(answer))
    }

    pub(crate) fn tell(self) {
        (self.0)(Ok(()));
    }

    pub(crate) fn fail(self, error: io::Error) {
        (self.0)(Err(error));
    }
}

/// Runs `body` on a thread per worker; returns when all are ready, or with the first failure.
pub(crate) fn each_worker(
    job: Job,
    body: impl Fn(crate::server::Worker, Ready) + Clone + Send + 'static,
) -> io::Result<Workers> {
    let (sender, answers) = mpsc::channel();
    let mut threads = Workers::new();
    let (stop, at_work) = (job.shutdown(), job.at_work.clone());
    let started = job.into_workers().try_for_each(|worker| {
        let (body, sender, at_work) = (body.clone(), sender.clone(), at_work.clone());
        let thread = std::thread::Builder::new().name(format!("sockeye-{}", threads.len()));
        threads.push(thread.spawn(move || {
            // The starter waits for as many answers as there are workers, so it is there.
            body(worker, Ready::new(move |answer| drop(sender.send(answer))));
            drop(at_work);
        })?);
        Ok(())
    });
    drop(sender);
    if let Err(error) = started {
        stop.cut();
        return Err(error);
    }
    for answer in answers {
        if let Err(error) = answer {
            stop.cut();
            return Err(error);
        }
    }
    Ok(threads)
}
