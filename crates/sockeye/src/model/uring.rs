//! `uring`: one thread for all its connections, told by an io_uring what has been done, not what could be.
//!
//! The kernel goes on with an operation when the future that wanted it is long gone, and writes into its buffer. So the
//! ring owns operations and their buffers: a [`Link`](stream::Stream) only has the number of its place here, and a place
//! is given up when the last operation on it has completed.
//!
//! A connection has one multishot receive, which takes a buffer of the pool at the moment when bytes arrive, so that an
//! idle connection has none; and one send at a time, from the memory that the bytes came in, if they came from here.

mod accept;
mod buffers;
mod polls;
mod rest;
mod state;
mod stream;

use super::clock::Clock;
use super::local::{AT_ONCE, Turn};
use super::sources::Sources;
use super::task::{LocalFuture, Tasks};
use super::timers::Timers;
use super::{AcceptLink, Driver, Group, PacketLink, StreamLink};
use crate::buffer::Loans;
use buffers::Buffers;
use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode, squeue};
use polls::Polls;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// Operations that can be handed over in one call; more make more calls.
const SUBMISSIONS: u32 = 1024;
/// Completions that the kernel can have waiting without falling back to slower memory: several for each of a few
/// thousand connections that become active at once.
const COMPLETIONS: u32 = 16 << 10;

/// Places where there is but one connection to serve, or two: its own, a listener's, and one for what else a program waits for, such
/// as its signals.
const ALONE: usize = 3;

/// What a completion belongs to: four bits of kind, and the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Kind {
    Rouse = 0,
    Receive = 1,
    Send = 2,
    Accept = 3,
    Poll = 4,
    Cancel = 5,
    Clock = 6,
}

const KINDS: [Kind; 7] = [
    Kind::Rouse,
    Kind::Receive,
    Kind::Send,
    Kind::Accept,
    Kind::Poll,
    Kind::Cancel,
    Kind::Clock,
];

/// How often the kernel is called for the end of something that was called off. It does some twenty pieces of its work in each call,
/// and of a thousand connections each may have one.
const CALLS: usize = 64;

fn token(kind: Kind, place: usize) -> u64 {
    (place as u64) << 4 | kind as u64
}

/// A completion, as much of it as is used.
#[derive(Clone, Copy)]
struct Completion {
    token: u64,
    result: i32,
    flags: u32,
}

impl Completion {
    fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    fn outcome(self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// A place of a link and its operations.
enum Place {
    Stream(Rc<RefCell<state::State>>),
    Accept(Box<accept::State>),
    Poll(polls::State),
}

pub(crate) struct Uring {
    shared: Rc<Ring>,
    polls: Rc<Polls>,
}

/// The ring and what is on it.
struct Ring {
    io: RefCell<IoUring>,
    places: RefCell<Slab<Place>>,
    /// Operations that the kernel has, and will complete.
    under_way: Cell<usize>,
    buffers: Rc<Buffers>,
    loans: Loans,
    /// What is only polled.
    sources: Sources,
    tasks: Tasks,
    clock: Clock,
    completed: RefCell<VecDeque<Completion>>,
    /// The last wait has brought one completion only, and there is hardly more than one connection.
    quiet: Cell<bool>,
    /// Connections that are gone, and something of theirs is still to be sent.
    lingering: Cell<usize>,
}

/// Says which of a container's or a kernel's rules forbids io_uring.
fn explain(error: io::Error) -> io::Error {
    let why = match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring (it came with Linux 5.1)",
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden here, by kernel.io_uring_disabled or the container's seccomp rules"
        }
        Some(libc::EINVAL) => "this kernel's io_uring is too old; Linux 6.1 has what is needed",
        Some(libc::ENOMEM) => "no memory for an io_uring; RLIMIT_MEMLOCK may be too low",
        _ => return error,
    };
    io::Error::new(
        error.kind(),
        format!("{why}; choose another model, such as epoll-lt"),
    )
}

impl Uring {
    pub(crate) fn new() -> io::Result<Self> {
        Self::make().map_err(explain)
    }

    fn make() -> io::Result<Self> {
        let io = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let buffers = Buffers::new(&io)?;
        let shared = Rc::new(Ring {
            io: RefCell::new(io),
            places: RefCell::default(),
            under_way: Cell::new(0),
            loans: Loans::of(buffers.clone()),
            buffers,
            sources: Sources::new(),
            tasks: Tasks::new()?,
            clock: Clock::new()?,
            completed: RefCell::default(),
            quiet: Cell::new(true),
            lingering: Cell::new(0),
        });
        shared.listen(shared.tasks.rouse_fd(), Kind::Rouse)?;
        shared.listen(shared.clock.fd(), Kind::Clock)?;
        let polls = Rc::new(Polls::new(shared.clone()));
        Ok(Uring { shared, polls })
    }
}

impl Ring {
    /// Hands an operation over with the next call.
    ///
    /// # Safety
    /// What the entry points to stays where it is, and is used by nobody else as the operation uses it, until its last
    /// completion has been seen.
    #[allow(unsafe_code)]
    unsafe fn push(&self, entry: &squeue::Entry) -> io::Result<()> {
        let mut io = self.io.borrow_mut();
        loop {
            // SAFETY: as promised by the caller.
            if unsafe { io.submission().push(entry) }.is_ok() {
                self.under_way.set(self.under_way.get() + 1);
                return Ok(());
            }
            // The queue is full: the kernel takes what is in it.
            match io.submit() {
                Ok(_) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the ring tell, again and again, that a descriptor of its own can be read.
    fn listen(&self, fd: BorrowedFd<'_>, kind: Kind) -> io::Result<()> {
        let fd = Fd(fd.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        // SAFETY: a poll points to nothing.
        #[allow(unsafe_code)]
        unsafe {
            self.push(&entry.user_data(token(kind, 0)))
        }
    }

    /// Asks for the end of an operation; it completes all the same.
    fn cancel(&self, kind: Kind, place: usize) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(token(kind, place))
            .build()
            .user_data(token(Kind::Cancel, place));
        // SAFETY: a cancellation points to nothing.
        #[allow(unsafe_code)]
        unsafe {
            self.push(&entry)
        }
    }

    /// Asks for the end of an operation, if it is there, that nobody waits for.
    fn call_off(&self, is_there: bool, kind: Kind, place: usize) {
        if is_there && self.cancel(kind, place).is_err() {
            tracing::debug!("an operation goes on until its peer ends it");
        }
    }

    /// Has the kernel end now, and not with the next turn, what was called off: until then it holds on to the descriptor. The first
    /// call hands the cancellation over, others have the kernel do what follows from that, after what it had to do before. Whether it
    /// has all that was pushed.
    fn let_go(&self) -> bool {
        for _ in 0..CALLS {
            if let Err(error) = self.enter(0) {
                tracing::debug!(%error, "what was called off ends with the ring");
                return false;
            }
            let mut io = self.io.borrow_mut();
            let queue = io.submission();
            if queue.is_empty() && !queue.taskrun() {
                return true;
            }
        }
        self.io.borrow_mut().submission().is_empty()
    }

    /// Submits what has been pushed, and waits for `want` completions.
    fn enter(&self, want: usize) -> io::Result<()> {
        match self.io.borrow().submit_and_wait(want) {
            Ok(_) => Ok(()),
            // A signal came, or the kernel wants its completions taken first.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the completions that are there.
    fn collect(&self) {
        let mut io = self.io.borrow_mut();
        let mut completed = self.completed.borrow_mut();
        completed.extend(io.completion().map(|entry| Completion {
            token: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
        self.quiet
            .set(completed.len() <= 1 && self.places.borrow().len() <= ALONE);
    }

    /// The next completion that was taken, no longer counted as under way.
    fn next(&self) -> Option<Completion> {
        let next = self.completed.borrow_mut().pop_front()?;
        if !next.more() {
            self.under_way.set(self.under_way.get() - 1);
        }
        Some(next)
    }

    fn take_effect(&self, completion: Completion) {
        let place = (completion.token >> 4) as usize;
        let Some(&kind) = KINDS.get((completion.token & 15) as usize) else {
            return;
        };
        match kind {
            Kind::Rouse => {
                self.tasks.collect_roused();
                self.listen_again(completion, self.tasks.rouse_fd(), kind);
            }
            Kind::Clock => {
                self.clock.rang();
                self.listen_again(completion, self.clock.fd(), kind);
            }
            Kind::Cancel => {}
            Kind::Receive => self.with_stream(place, |state| {
                state.received(completion, (&self.buffers, &self.loans))
            }),
            Kind::Send => self.with_stream(place, |state| state.sent(completion)),
            Kind::Accept => self.accepted(place, completion),
            Kind::Poll => self.polled(place),
        }
    }

    fn listen_again(&self, completion: Completion, fd: BorrowedFd<'_>, kind: Kind) {
        // Without it this thread would miss what it is told; it fails only when the ring itself has.
        if !completion.more()
            && let Err(error) = self.listen(fd, kind)
        {
            tracing::error!(%error, "io_uring");
        }
    }

    /// Gives a place up whose link is gone and whose operations are over.
    fn remove(&self, place: usize) {
        let gone = self.places.borrow_mut().try_remove(place);
        drop(gone); // closes the descriptor, when nothing is borrowed any more
    }
}

impl Turn for Uring {
    fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    fn timers(&self) -> &Timers {
        &self.shared.sources.timers
    }

    fn more(&self) -> bool {
        let next = std::iter::from_fn(|| self.shared.next()).take(AT_ONCE);
        next.map(|completion| self.shared.take_effect(completion)).count() > 0
    }

    fn limit(&self) -> io::Result<Option<Duration>> {
        self.shared.clock.set(&self.shared.sources.timers)
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let want = usize::from(limit != Some(Duration::ZERO));
        self.shared.enter(want)?;
        self.shared.collect();
        self.more();
        Ok(())
    }
}

impl Driver for Uring {
    fn stream(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn StreamLink>> {
        Ok(Box::new(stream::Stream::new(self.shared.clone(), fd)))
    }

    fn acceptor(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn AcceptLink>> {
        Ok(Box::new(accept::Acceptor::new(self.shared.clone(), fd)?))
    }

    fn packets(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn PacketLink>> {
        Ok(Box::new(super::ready::Packets::new(self.polls.clone(), fd)?))
    }

    fn timers(&self) -> &Timers {
        &self.shared.sources.timers
    }

    fn spawn(&self, group: Group, future: LocalFuture) {
        self.shared.tasks.spawn(group, future);
    }

    fn new_group(&self) -> Group {
        self.shared.tasks.new_group()
    }

    fn drop_group(&self, group: Group) {
        self.shared.tasks.drop_group(group);
    }
}

impl Drop for Ring {
    /// The kernel must have let go of the buffers before they are freed.
    fn drop(&mut self) {
        let all = opcode::AsyncCancel2::new(io_uring::types::CancelBuilder::any()).build();
        // SAFETY: a cancellation points to nothing.
        #[allow(unsafe_code)]
        let pushed = unsafe { self.push(&all.user_data(token(Kind::Cancel, 0))) };
        let mut failed = pushed.is_err();
        while self.under_way.get() > 0 && !failed {
            failed = self.enter(1).is_err();
            self.collect();
            while let Some(completion) = self.next() {
                // A descriptor that has come is closed; everything else has nobody left whom it concerns.
                if completion.token & 15 == Kind::Accept as u64 {
                    self.take_effect(completion);
                }
            }
        }
        if failed {
            // Leaking a little beats memory that the kernel writes to after it has become something else's.
            #[allow(clippy::mem_forget)]
            std::mem::forget((
                self.buffers.clone(),
                std::mem::take(&mut *self.places.borrow_mut()),
            ));
        }
    }
}
