//! `thread`: a thread per connection, which blocks in its calls.

use super::Workers;
use super::blocking::{self, Blocking};
use super::gate::Gate;
use super::local::{Ready, each_worker};
use super::wake::Remote;
use crate::server::registry::{Entry, Grip, SocketGrip};
use crate::server::{Arrival, Job, StreamWork, Worker};
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A handler's stack: the futures live on the heap, so this is for what they call. A connection costs the pages of it
/// that were touched.
pub(crate) const STACK: usize = 256 << 10;

/// A hold on a thread: its socket, and its wait for anything else.
struct ThreadGrip {
    socket: SocketGrip,
    remote: Arc<Remote>,
}

impl Grip for ThreadGrip {
    fn end_input(&self) {
        self.socket.end_input();
    }

    fn cut(&self) {
        self.socket.cut();
        self.remote.rouse();
    }
}

pub(crate) fn launch(job: Job) -> io::Result<Workers> {
    each_worker(job, accept_on_this_thread)
}

fn accept_on_this_thread(worker: Worker, ready: Ready) {
    let (spin, shared) = (worker.spin(), worker.shared.clone());
    let made = Gate::new().and_then(|gate| Ok((Blocking::accepting(gate.clone())?, gate)));
    let (driver, gate) = match made {
        Ok((driver, gate)) => (Rc::new(driver), gate),
        Err(error) => return ready.fail(error),
    };
    let place = move |work: &StreamWork, arrival: Arrival| {
        let (work, remote, gate) = (work.clone(), gate.remote()?, gate.clone());
        let thread = std::thread::Builder::new()
            .name(format!("sockeye-c{}", arrival.entry.id))
            .stack_size(STACK);
        thread.spawn(move || converse(&work, arrival, remote, spin, gate, || ()))?;
        Ok(())
    };
    let serve = worker.serve(ready, place);
    if let Err(error) = blocking::drive(&driver, serve, Duration::ZERO, || false) {
        shared.fail(&format!("the accepting thread can no longer wait: {error}"));
    }
}

/// A connection's whole life on this thread, unless it is cut. `look` is called after each wait, and may cut it. Its `remote` was made
/// before, by who can still refuse the connection when no descriptor is left.
pub(super) fn converse(
    work: &StreamWork,
    arrival: Arrival,
    remote: Arc<Remote>,
    spin: Duration,
    gate: Arc<Gate>,
    look: impl Fn(),
) {
    let entry: Arc<Entry> = arrival.entry.clone();
    let own = arrival.fd.as_raw_fd();
    let driver = Rc::new(Blocking::serving(own, remote.clone(), gate));
    let socket = SocketGrip(own);
    entry.hold(|| Box::new(ThreadGrip { socket, remote }));
    let over = || {
        look();
        entry.is_cut()
    };
    if let Err(error) = blocking::drive_connection(&driver, work(arrival), spin, over) {
        tracing::error!(%error, peer = %entry.peer, "a connection's thread can't wait and has ended");
    }
}
