//! `process`: a forked process per connection, which blocks in its calls.
//!
//! Three kinds of process take part. The one that called us keeps the server's handle. It forks the *acceptor*, which
//! is single-threaded for as long as it forks, since only the forking thread survives in a child, with every lock as it
//! was. The acceptor forks a *child* for each connection. Acceptor and children tell their events through a socket
//! whose other end is in the calling process; when that process dies, the acceptor sees the end of the stream and
//! drains.

mod report;
mod signals;

use super::blocking::{self, Blocking};
use super::gate::Gate;
use super::local::Ready;
use super::task::Remote;
use super::{Workers, current, thread};
use crate::server::registry::{Entry, Grip};
use crate::server::{Arrival, Event, Job, Reason, Shared, Shutdown, Stage, StreamWork, Worker};
use report::{Report, Reporter};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Held for reading by our own threads while they do anything but wait, and for writing over a fork, so that a child
/// never inherits a lock that one of them holds.
static QUIET: RwLock<()> = RwLock::new(());
/// How many such threads there are.
static OURS: AtomicUsize = AtomicUsize::new(0);

/// The words by which the calling process steers the acceptor.
const STOP: &[u8] = b"stop";
const CUT: &[u8] = b"cut";

/// Forks; `child` never returns.
#[allow(unsafe_code)]
fn fork(child: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: the caller sees to it that no other thread holds a lock that the child could want.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: leaves at once; what was registered to run at exit belongs to the process that was forked.
            unsafe { libc::_exit(i32::from(ended.is_err())) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::Other.into()),
    }
}

/// A process with threads of unknown doings can't be forked safely.
fn refuse_threads() -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads <= 1 + OURS.load(Ordering::Acquire) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "this program has {threads} threads already, and a fork copies only one; start servers of the model `process` \
         first, from the main thread"
    )))
}

pub(crate) fn launch(job: Job) -> io::Result<Workers> {
    refuse_threads()?;
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let shared = job.shared.clone();
    let pid = {
        let _quiet = QUIET.write().unwrap_or_else(PoisonError::into_inner);
        let (ours, theirs, job) = (ours.as_raw_fd(), Reporter::new(theirs), job);
        fork(move || {
            signals::close(ours);
            accept(job, &theirs);
        })?
    };
    let mut first = vec![0; report::LARGEST];
    let (count, _) = rustix::net::recv(&ours, &mut first[..], rustix::net::RecvFlags::empty())?;
    match Report::read(&first[..count]) {
        Some(Report::Ready) => {}
        Some(Report::Failed(why)) => return Err(io::Error::other(why)),
        _ => return Err(io::Error::other("the accepting process died as it began")),
    }
    OURS.fetch_add(1, Ordering::AcqRel);
    let relay = std::thread::Builder::new()
        .name("sockeye-relay".to_owned())
        .spawn(move || {
            if let Err(error) = blocking::run(relay(ours, &shared)) {
                tracing::error!(%error, "the events of forked processes are no longer told");
            }
            let _ = waitpid(Some(pid), WaitOptions::empty());
        if *shared.stage.borrow() == Stage::Running {
            tracing::error!(endpoint = %shared.endpoint, "the accepting process has died; nobody listens any more");
        }
            shared.close();
            OURS.fetch_sub(1, Ordering::AcqRel);
        });
    Ok(vec![relay?])
}

/// In the calling process: tells the events of the others, and passes on what they are to do.
async fn relay(socket: OwnedFd, shared: &Arc<Shared>) {
    let Ok(writer) = socket.try_clone() else { return };
    let Ok(mut link) = current()
        .map_err(io::Error::from)
        .and_then(|driver| driver.stream(socket))
    else {
        return;
    };
    let mut stage = shared.stage.subscribe();
    stage.mark_changed(); // the server may have been stopped before this thread began to look
    loop {
        tokio::select! {
            received = poll_fn(|cx| link.poll_recv(cx)) => match received {
                Ok(bytes) if !bytes.is_empty() => {
                    let _busy = QUIET.read().unwrap_or_else(PoisonError::into_inner);
                    if let Some(Report::Event(event)) = Report::read(&bytes) {
                        shared.tell(&event);
                    }
                }
                _ => return,
            },
            Ok(()) = stage.changed() => {
                let word = match *stage.borrow_and_update() {
                    Stage::Running => continue,
                    Stage::Draining => STOP,
                    Stage::Cut => CUT,
                };
                // If it is gone, the end of its stream says so.
                let _ = rustix::net::send(&writer, word, rustix::net::SendFlags::NOSIGNAL);
            }
        }
    }
}

/// The acceptor's life.
fn accept(job: Job, reporter: &Reporter) {
    let shared = job.shared.clone();
    let told = reporter.clone();
    shared.tell_by(Arc::new(move |event: &Event| {
        told.send(&Report::Event(event.clone()));
    }));
    let driven = signals::acceptor().and_then(|died| {
        let gate = Gate::new()?;
        let driver = Rc::new(Blocking::accepting(gate.clone())?);
        let Some(worker) = job.into_workers().next() else {
            return Ok(None);
        };
        let reporter = reporter.clone();
        blocking::drive(
            &driver,
            steer(worker, died, reporter, gate),
            Duration::ZERO,
            || false,
        )
    });
    if let Err(error) = driven {
        reporter.send(&Report::Failed(error.to_string()));
    }
}

async fn steer(worker: Worker, died: OwnedFd, reporter: Reporter, gate: Arc<Gate>) {
    let nursery = Rc::new(Nursery {
        children: RefCell::default(),
        shared: worker.shared.clone(),
        gate,
    });
    let listener = worker.listener.as_raw_fd();
    let (spin, nurse) = (worker.spin(), nursery.clone());
    let place = move |work: &StreamWork, arrival: Arrival| nurse.bear(work, arrival, listener, spin);
    let told = reporter.clone();
    let ready = Ready::new(move |result: io::Result<()>| {
        told.send(&result.map_or_else(|error| Report::Failed(error.to_string()), |()| Report::Ready));
    });
    let shutdown = Shutdown {
        shared: worker.shared.clone(),
    };
    tokio::select! {
        () = worker.serve(ready, place) => {}
        () = obey(reporter, shutdown) => {}
        () = nursery.reap_on(died) => {}
    }
    nursery.end();
}

/// Does what the calling process says; drains when it is gone.
async fn obey(reporter: Reporter, shutdown: Shutdown) {
    let link = reporter.socket().and_then(|socket| current()?.stream(socket));
    if let Ok(mut link) = link {
        while let Ok(word) = poll_fn(|cx| link.poll_recv(cx)).await {
            match &*word {
                CUT => shutdown.cut(),
                STOP => shutdown.stop(),
                _ => break,
            }
        }
    }
    shutdown.stop();
    std::future::pending::<()>().await;
}

/// A hold on a forked process.
struct ChildGrip(Pid);

impl Grip for ChildGrip {
    fn end_input(&self) {
        let _ = kill_process(self.0, Signal::TERM); // it is there until it is reaped, and then this grip is gone
    }

    fn cut(&self) {
        let _ = kill_process(self.0, Signal::USR2);
    }
}

/// The children that the acceptor has.
struct Nursery {
    children: RefCell<HashMap<i32, Arc<Entry>>>,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
}

impl Nursery {
    fn bear(&self, work: &StreamWork, arrival: Arrival, listener: RawFd, spin: Duration) -> io::Result<()> {
        if *self.shared.stage.borrow() != Stage::Running {
            // The drain has a thread of its own, whose locks a child must not inherit.
            return Err(io::Error::other("the server is stopping"));
        }
        let entry = arrival.entry.clone();
        let remote = Remote::new()?;
        let pid = fork(|| {
            signals::close(listener); // or the port would stay open for as long as this connection
            signals::child();
            self.gate.pass();
            live(work, arrival, remote, &self.shared, spin);
        })?;
        entry.hold(|| Box::new(ChildGrip(pid)));
        self.children
            .borrow_mut()
            .insert(pid.as_raw_nonzero().get(), entry);
        Ok(())
    }

    /// Buries those that have died, whenever one has.
    async fn reap_on(&self, died: OwnedFd) {
        if let Ok(mut link) = current()
            .map_err(io::Error::from)
            .and_then(|driver| driver.stream(died))
        {
            while poll_fn(|cx| link.poll_recv(cx)).await.is_ok() {
                self.reap(WaitOptions::NOHANG);
            }
        }
        std::future::pending::<()>().await;
    }

    fn reap(&self, options: WaitOptions) {
        loop {
            match waitpid(None, options) {
                Ok(Some((pid, status))) => self.bury(pid, status),
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }

    fn bury(&self, pid: Pid, status: WaitStatus) {
        let Some(entry) = self.children.borrow_mut().remove(&pid.as_raw_nonzero().get()) else {
            return;
        };
        entry.let_go();
        if status.exit_status() != Some(0) {
            // It could not say so itself.
            let how = match status.terminating_signal() {
                Some(signal) => format!("its process was killed by signal {signal}"),
                None => "its process died".to_owned(),
            };
            let reason = if entry.is_cut() {
                Reason::Cut
            } else {
                Reason::Failed(how)
            };
            let (id, peer) = (entry.id, entry.peer.clone());
            self.shared.tell(&Event::Closed {
                id,
                peer,
                received: 0,
                sent: 0,
                reason,
            });
        }
        self.shared.registry.remove(&entry);
    }

    /// The server's patience is over.
    fn end(&self) {
        for pid in self
            .children
            .borrow()
            .keys()
            .filter_map(|pid| Pid::from_raw(*pid))
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.reap(WaitOptions::empty());
    }
}

/// A child's life: one connection.
fn live(work: &StreamWork, arrival: Arrival, remote: Arc<Remote>, shared: &Arc<Shared>, spin: Duration) {
    shared.alone_with(&arrival.entry);
    let entry = arrival.entry.clone();
    entry.let_go();
    let shutdown = Shutdown {
        shared: shared.clone(),
    };
    let over = move || {
        match signals::told() {
            signals::Told::Nothing => {}
            signals::Told::Drain => shutdown.stop(),
            signals::Told::Cut => entry.cut(),
        }
        entry.is_cut()
    };
    thread::converse(work, arrival, remote, spin, over);
}
