//! `process`: a forked process per connection, which blocks in its calls.
//!
//! Three kinds of process take part. The one that called us keeps the server's handle. It forks the *acceptor*, which
//! is single-threaded for as long as it forks, since only the forking thread survives in a child, with every lock as it
//! was. The acceptor forks a *child* for each connection. Acceptor and children tell their events through a socket whose
//! other end is in the calling process. Another socket, the *helm*, is between that and the acceptor alone: each sees at
//! once when the other dies. Then nobody accepts any more, and the children drain.

mod counts;
mod inherited;
mod report;
mod signals;

use super::blocking::{self, Blocking};
use super::gate::Gate;
use super::local::Ready;
use super::wake::Remote;
use super::{StreamLink, Workers, current, thread};
use crate::buffer::{Chunk, Spare};
use crate::server::registry::{Entry, Grip, lock};
use crate::server::{
    Arrival, AtWork, BACKOFF, Event, Job, NoPlace, Reason, Shared, Shutdown, Stage, StreamWork, Worker,
    serves_here,
};
use crate::time::sleep;
use counts::Pool;
pub(crate) use inherited::keep_to_itself;
use report::{Report, Reporter, Voice};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Held for reading by our own threads while they do anything but wait, and for writing over a fork, so that a child
/// never inherits a lock that one of them holds.
static QUIET: RwLock<()> = RwLock::new(());
/// How many such threads there are.
static OURS: AtomicUsize = AtomicUsize::new(0);

/// The words by which the calling process steers the acceptor.
const STOP: &[u8] = b"stop";
const CUT: &[u8] = b"cut";

/// How often it is looked, a millisecond apart, whether threads have ended: those of a server that has been stopped just now take a
/// few.
const LOOKS: u32 = 50;

/// How a child leaves whose end has been told already.
const TOLD: i32 = 2;

/// Forks; `child` says how it leaves.
#[allow(unsafe_code)]
fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the caller sees to it that no other thread holds a lock that the child could want.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: leaves at once; what was registered to run at exit belongs to the process that was forked.
            unsafe { libc::_exit(ended.unwrap_or(1)) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::Other.into()),
    }
}

/// A process with threads of unknown doings can't be forked safely.
fn refuse_threads() -> io::Result<()> {
    if serves_here() {
        return Err(io::Error::other(
            "this thread serves connections already, which a fork would copy; start servers of the model `process` first",
        ));
    }
    let mut looks = 0;
    loop {
        let threads = std::fs::read_dir("/proc/self/task").map_err(|error| {
            let why = format!("count this program's threads, of which a fork copies only one: {error}; mount /proc, or choose another model");
            io::Error::new(error.kind(), why)
        })?;
        let threads = threads.count();
        if threads <= 1 + OURS.load(Ordering::Acquire) {
            return Ok(());
        }
        looks += 1;
        if looks > LOOKS {
            return Err(io::Error::other(format!(
                "this program has {threads} threads already, and a fork copies only one; start servers of the model `process` \
                 first, from the main thread"
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The calling process' ends of what is between it and its acceptor.
struct Ends {
    reports: OwnedFd,
    helm: OwnedFd,
    /// The helm once more, to write to.
    writer: OwnedFd,
    acceptor: Pid,
}

/// A pair of sockets for packets; forked processes of other servers don't keep the first.
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    keep_to_itself(ours.as_fd());
    Ok((ours, theirs))
}

fn fork_acceptor(job: Job) -> io::Result<Ends> {
    let ((reports, reporter), (helm, rudder)) = (pair()?, pair()?);
    let reporter = Reporter::new(reporter);
    let quiet = QUIET.write().unwrap_or_else(PoisonError::into_inner);
    let acceptor = fork(move || {
        drop(quiet); // a handler may start a server of its own
        OURS.store(0, Ordering::Release); // those threads are not here
        let own: Vec<RawFd> = job.listeners.iter().map(AsRawFd::as_raw_fd).collect();
        inherited::close_all_but(&own);
        accept(job, &reporter, rudder);
        0
    })?;
    let writer = helm.try_clone()?;
    keep_to_itself(writer.as_fd());
    Ok(Ends {
        reports,
        helm,
        writer,
        acceptor,
    })
}

/// Waits for the acceptor to say that it accepts.
fn wait_until_ready(reports: &OwnedFd) -> io::Result<()> {
    let mut first = vec![0; report::LARGEST];
    let receive = || rustix::net::recv(reports, &mut first[..], rustix::net::RecvFlags::empty());
    let (count, _) = retry_on_intr(receive)?;
    match Report::read(&first[..count]) {
        Some(Report::Ready) => Ok(()),
        Some(Report::Failed(why)) => Err(io::Error::other(why)),
        _ => Err(io::Error::other("the accepting process died as it began")),
    }
}

pub(crate) fn launch(job: Job) -> io::Result<Workers> {
    refuse_threads()?;
    let (shared, at_work) = (job.shared.clone(), job.at_work.clone());
    let ends = fork_acceptor(job)?;
    let acceptor = ends.acceptor;
    let launched = wait_until_ready(&ends.reports).and_then(|()| start_relay(ends, shared, at_work));
    if launched.is_err() {
        // It has failed, or sees that its helm is gone.
        let _ = waitpid(Some(acceptor), WaitOptions::empty());
    }
    Ok(vec![launched?])
}

fn start_relay(ends: Ends, shared: Arc<Shared>, at_work: AtWork) -> io::Result<JoinHandle<()>> {
    OURS.fetch_add(1, Ordering::AcqRel);
    let acceptor = ends.acceptor;
    let relay = std::thread::Builder::new().name("sockeye-relay".to_owned());
    let started = relay.spawn(move || {
        if let Err(error) = blocking::run(relay_all(ends, &shared)).flatten() {
            tracing::error!(%error, "the events of forked processes are no longer told");
            bury_acceptor(acceptor, &shared, WaitOptions::empty());
        }
        shared.close();
        OURS.fetch_sub(1, Ordering::AcqRel);
        drop(at_work);
    });
    started.inspect_err(|_| {
        OURS.fetch_sub(1, Ordering::AcqRel);
    })
}

/// How far the acceptor's is, as the calling process sees it.
#[derive(PartialEq)]
enum Life {
    Steered,
    /// It has let go of the helm, and may have something to tell yet.
    Ending,
    Over,
}

/// In the calling process: tells the events of the others, and passes on what they are to do.
async fn relay_all(ends: Ends, shared: &Arc<Shared>) -> io::Result<()> {
    let Ends {
        reports,
        helm,
        writer,
        acceptor,
    } = ends;
    let driver = current()?;
    let (mut reports, mut helm) = (driver.clone().stream(reports)?, driver.stream(helm)?);
    let mut stage = shared.stage.subscribe();
    stage.mark_changed(); // the server may have been stopped before this thread began to look
    let mut life = Life::Steered;
    let mut open = HashSet::new();
    loop {
        // Not waited for: as it ends it may have much to tell, and waits until that is read.
        if life == Life::Ending && bury_acceptor(acceptor, shared, WaitOptions::NOHANG) {
            life = Life::Over;
        }
        tokio::select! {
            received = recv(&mut reports) => match received {
                Some(bytes) => {
                    let _busy = QUIET.read().unwrap_or_else(PoisonError::into_inner);
                    if let Some(Report::Event(event)) = Report::read(&bytes)
                        && is_news(&event, &mut open)
                    {
                        shared.tell(&event);
                    }
                }
                None => break, // the last of its processes is gone
            },
            _ = recv(&mut helm), if life == Life::Steered => life = Life::Ending,
            _ = sleep(BACKOFF), if life == Life::Ending => {}
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
    if life != Life::Over {
        bury_acceptor(acceptor, shared, WaitOptions::empty());
    }
    Ok(())
}

/// A child that has told its end may be killed before it has left, and then its acceptor tells it, too.
fn is_news(event: &Event, open: &mut HashSet<u64>) -> bool {
    match event {
        Event::Opened { id, .. } => open.insert(*id),
        Event::Closed { id, .. } => open.remove(id),
        _ => true,
    }
}

/// The next packet; `None` when the other end is gone.
async fn recv(link: &mut Box<dyn StreamLink>) -> Option<Chunk> {
    let received = poll_fn(|cx| link.poll_recv(cx)).await;
    received.ok().filter(|bytes| !bytes.is_empty())
}

/// Whether it has died.
fn bury_acceptor(acceptor: Pid, shared: &Shared, options: WaitOptions) -> bool {
    let how = match retry_on_intr(|| waitpid(Some(acceptor), options)) {
        Ok(None) => return false,
        Ok(Some((_, status))) => died(status),
        Err(_) => "is gone".to_owned(),
    };
    let _busy = QUIET.read().unwrap_or_else(PoisonError::into_inner);
    if *shared.stage.borrow() == Stage::Running {
        shared.fail(&format!("the process that accepts {how}"));
    }
    true
}

fn died(status: WaitStatus) -> String {
    match status.terminating_signal() {
        Some(signal) => format!("was killed by signal {signal}"),
        None => "died".to_owned(),
    }
}

/// The acceptor's life.
fn accept(job: Job, reporter: &Reporter, rudder: OwnedFd) {
    let shared = job.shared.clone();
    // A child finds a buffer to receive into, and copies only those of its pages that it writes to: a new one would be
    // sixteen page faults, a fifth of what a connection costs.
    drop(Spare::take());
    let voice = Arc::new(Voice::new(reporter.clone()));
    let told = voice.clone();
    shared.tell_by(Arc::new(move |event: &Event| told.tell(event)));
    let driven = signals::acceptor().and_then(|died| {
        let gate = Gate::new()?;
        let driver = Rc::new(Blocking::accepting(gate.clone())?);
        let Some(worker) = job.into_workers().next() else {
            return Ok(None);
        };
        blocking::drive(
            &driver,
            steer(worker, died, voice, rudder, gate),
            Duration::ZERO,
            || false,
        )
    });
    if let Err(error) = driven {
        reporter.send(&Report::Failed(error.to_string()));
    }
}

async fn steer(worker: Worker, died: OwnedFd, voice: Arc<Voice>, rudder: OwnedFd, gate: Arc<Gate>) {
    let nursery = Rc::new(Nursery {
        alive: Arc::default(),
        counts: RefCell::default(),
        shared: worker.shared.clone(),
        voice: voice.clone(),
        gate,
        acceptors: [worker.listener.as_raw_fd(), rudder.as_raw_fd()],
    });
    let (spin, nurse) = (worker.spin(), nursery.clone());
    let place = move |work: &StreamWork, arrival: Arrival| nurse.bear(work, arrival, spin);
    let ready = Ready::new(move |result: io::Result<()>| {
        voice
            .reporter
            .send(&result.map_or_else(|error| Report::Failed(error.to_string()), |()| Report::Ready));
    });
    let shutdown = Shutdown {
        shared: worker.shared.clone(),
    };
    tokio::select! {
        () = worker.serve(ready, place) => {}
        () = obey(rudder, shutdown) => {}
        () = nursery.reap_on(died) => {}
    }
    nursery.end();
}

/// Does what the calling process says; drains when it is gone.
async fn obey(rudder: OwnedFd, shutdown: Shutdown) {
    let driver = current().map_err(io::Error::from);
    if let Ok(mut link) = driver.and_then(|driver| driver.stream(rudder)) {
        while let Some(word) = recv(&mut link).await {
            match &*word {
                CUT => shutdown.cut(),
                _ => shutdown.stop(),
            }
        }
    }
    shutdown.stop();
    std::future::pending::<()>().await;
}

/// The children that are not reaped yet. Held while one is reaped and while one is sent a signal: afterwards its number may be that of
/// any process.
type Alive = Mutex<HashMap<i32, Arc<Entry>>>;

/// A hold on a forked process.
struct ChildGrip {
    pid: Pid,
    alive: Arc<Alive>,
}

impl ChildGrip {
    fn send(&self, signal: Signal) {
        if lock(&self.alive).contains_key(&self.pid.as_raw_nonzero().get()) {
            let _ = kill_process(self.pid, signal); // it may have ended, and not been reaped
        }
    }
}

impl Grip for ChildGrip {
    fn stop(&self) {
        self.send(Signal::TERM);
    }

    /// The child sees for itself who is quiet.
    fn end_input(&self) {}

    fn cut(&self) {
        self.send(Signal::USR2);
    }
}

/// The children that the acceptor has.
struct Nursery {
    alive: Arc<Alive>,
    counts: RefCell<Pool>,
    shared: Arc<Shared>,
    voice: Arc<Voice>,
    gate: Arc<Gate>,
    /// The descriptors that are the acceptor's alone. With a child, the port would stay open for as long as its
    /// connection.
    acceptors: [RawFd; 2],
}

impl Nursery {
    fn bear(&self, work: &StreamWork, arrival: Arrival, spin: Duration) -> Result<(), NoPlace> {
        if *self.shared.stage.borrow() != Stage::Running {
            // The drain has a thread of its own, whose locks a child must not inherit.
            return Err(io::Error::other("the server is stopping").into());
        }
        let entry = arrival.entry.clone();
        let (remote, counts) = (self.gate.remote()?, self.counts.borrow_mut().take()?);
        entry.count_in(counts);
        let (id, peer) = (entry.id, entry.peer.clone());
        self.shared.tell(&Event::Opened { id, peer });
        let pid = fork(|| {
            self.acceptors.into_iter().for_each(signals::close);
            signals::child(self.voice.acceptor, arrival.entry.clone());
            live(work, arrival, remote, &self.shared, spin, self.gate.clone());
            self.voice.last_word()
        })
        .map_err(|error| {
            self.tell_closed(&entry, Reason::Failed(format!("fork: {error}")));
            self.counts.borrow_mut().give_back(counts);
            NoPlace::Told
        })?;
        lock(&self.alive).insert(pid.as_raw_nonzero().get(), entry.clone());
        let alive = self.alive.clone();
        entry.hold(|| Box::new(ChildGrip { pid, alive }));
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
            let mut alive = lock(&self.alive);
            let reaped = waitpid(None, options);
            let dead = match &reaped {
                Ok(Some((pid, _))) => alive.remove(&pid.as_raw_nonzero().get()),
                _ => None,
            };
            drop(alive); // who has its grip may wait for it
            match (reaped, dead) {
                (Ok(Some((_, status))), Some(entry)) => self.bury(&entry, status),
                (Ok(Some(_)) | Err(Errno::INTR), _) => {}
                _ => return,
            }
        }
    }

    fn bury(&self, entry: &Arc<Entry>, status: WaitStatus) {
        entry.let_go();
        match status.exit_status() {
            Some(TOLD) => {}
            Some(0) => self.tell_closed(entry, Reason::Finished),
            _ if entry.is_cut() => self.tell_closed(entry, Reason::Cut),
            _ => self.tell_closed(entry, Reason::Failed(format!("its process {}", died(status)))),
        }
        if let Some(counts) = entry.counted_in() {
            self.counts.borrow_mut().give_back(counts);
        }
        self.shared.registry.remove(entry);
    }

    fn tell_closed(&self, entry: &Entry, reason: Reason) {
        self.shared.tell(&Event::Closed {
            id: entry.id,
            peer: entry.peer.clone(),
            received: entry.received(),
            sent: entry.sent(),
            reason,
        });
    }

    /// The server's patience is over.
    fn end(&self) {
        for pid in lock(&self.alive).keys().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.reap(WaitOptions::empty());
    }
}

/// A child's life: one connection.
fn live(
    work: &StreamWork,
    arrival: Arrival,
    remote: Arc<Remote>,
    shared: &Arc<Shared>,
    spin: Duration,
    gate: Arc<Gate>,
) {
    shared.alone_with(&arrival.entry);
    let entry = arrival.entry.clone();
    entry.let_go();
    let shutdown = Shutdown {
        shared: shared.clone(),
    };
    let look = move || {
        if entry.is_called() {
            match signals::told() {
                signals::Told::Nothing => {}
                signals::Told::Drain => shutdown.stop(),
                signals::Told::Cut => entry.cut(),
            }
        }
    };
    thread::converse(work, arrival, remote, spin, gate, look);
}
