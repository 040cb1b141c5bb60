//! Who is woken on one thread, and who is polled.
//!
//! A waker may be woken from anywhere. On the thread of its tasks that costs a push to a queue; from another thread
//! it goes through [`Remote`], which also rouses the thread from its wait by an eventfd.

use rustix::event::{EventfdFlags, eventfd};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Operations that a task may complete in one go before the others have their turn: a peer that sends without end
/// must not keep its handler on the thread for ever.
const BUDGET: u32 = 128;

thread_local! {
    /// The queue of the tasks that run on this thread, told by its address.
    static HERE: Cell<*const Remote> = const { Cell::new(std::ptr::null()) };
    /// Emptied by [`Entered`]: without a destructor of its own, a look at it asks no questions.
    static LOCAL: RefCell<ManuallyDrop<VecDeque<Call>>> =
        const { RefCell::new(ManuallyDrop::new(VecDeque::new())) };
    static LEFT: Cell<u32> = const { Cell::new(BUDGET) };
    /// The task that is polled now, and what its waker is made of.
    static NOW: Cell<(*const (), Ticket)> = const { Cell::new((std::ptr::null(), Ticket::MAIN)) };
}

/// Takes one operation from the running task's budget; false when it is used up (the task has been woken again).
pub(crate) fn spend(cx: &Context<'_>) -> bool {
    LEFT.with(|left| match left.get() {
        0 => {
            cx.waker().wake_by_ref();
            false
        }
        some => {
            left.set(some - 1);
            true
        }
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) index: u32,
    pub(super) birth: u32,
}

impl Ticket {
    /// The future that the thread was given to drive, which is not in the slab.
    pub(super) const MAIN: Ticket = Ticket {
        index: u32::MAX,
        birth: 0,
    };
}

/// A task in the queue.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) ticket: Ticket,
    /// Whether its [`Caller`] knows that it is in the queue.
    pub(super) by_waker: bool,
}

impl Call {
    fn by_alarm(ticket: Ticket) -> Self {
        let by_waker = false;
        Call { ticket, by_waker }
    }

    fn by_waker(ticket: Ticket) -> Self {
        let by_waker = true;
        Call { ticket, by_waker }
    }
}

/// Whom to wake, on the thread of the tasks themselves. As a rule that is the task that waits, and then its ticket is
/// enough: its waker, which is shared with other threads, stays untouched.
pub(crate) enum Alarm {
    Nobody,
    Task(Ticket),
    Other(Waker),
}

impl Alarm {
    /// For who is polled in this context.
    pub(crate) fn for_task(cx: &Context<'_>) -> Self {
        match own_ticket(cx) {
            Some(ticket) => Alarm::Task(ticket),
            None => Alarm::Other(cx.waker().clone()),
        }
    }

    #[inline]
    pub(crate) fn rings_for(&self, cx: &Context<'_>) -> bool {
        match self {
            Alarm::Nobody => false,
            Alarm::Task(ticket) => own_ticket(cx) == Some(*ticket),
            Alarm::Other(waker) => waker.will_wake(cx.waker()),
        }
    }

    #[inline]
    pub(crate) fn ring(&self) {
        match self {
            Alarm::Nobody => {}
            Alarm::Task(ticket) => LOCAL.with_borrow_mut(|queue| queue.push_back(Call::by_alarm(*ticket))),
            Alarm::Other(waker) => waker.wake_by_ref(),
        }
    }
}

/// The task that is polled now, if it is what the context's waker wakes.
#[inline]
fn own_ticket(cx: &Context<'_>) -> Option<Ticket> {
    let (data, ticket) = NOW.get();
    let own = !data.is_null() && std::ptr::eq(cx.waker().data(), data);
    own.then_some(ticket)
}

/// Tells for a while which task is polled; whatever ends that, what was told before is told again.
pub(super) struct Polled((*const (), Ticket));

impl Polled {
    pub(super) fn now(waker: &Waker, ticket: Ticket) -> Self {
        LEFT.set(BUDGET);
        Polled(NOW.replace((waker.data(), ticket)))
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        NOW.set(self.0);
    }
}

/// What other threads reach of a thread's tasks.
pub(crate) struct Remote {
    woken: Mutex<Vec<Ticket>>,
    /// Something came since the last look, which so costs no system call when nothing did.
    news: AtomicBool,
    rouse: OwnedFd,
}

impl Remote {
    /// It takes a descriptor.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let rouse = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Remote {
            woken: Mutex::default(),
            news: AtomicBool::new(false),
            rouse,
        }))
    }

    /// Makes the thread look around, though none of its tasks has been woken. It ends no call that has begun, or is about to: who blocks in
    /// one is reached by its socket, which is to be shut down before.
    pub(crate) fn rouse(&self) {
        self.news.store(true, Ordering::Release);
        // It fails only when its count is at the maximum, and then the thread is roused already.
        let _ = rustix::io::write(&self.rouse, &1u64.to_ne_bytes());
    }

    fn push(&self, ticket: Ticket) {
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ticket);
        self.rouse();
    }

    /// Readable once another thread has woken something; [`Remote::collect`] then brings it in.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.rouse.as_fd()
    }

    /// Whether another thread has woken something since the last look.
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// Brings in what other threads have woken, on the thread where it belongs.
    pub(super) fn collect(&self) {
        self.news.store(false, Ordering::Release);
        let mut count = [0; 8];
        // "Would block" only says that nobody roused us, or not yet.
        let _ = rustix::io::read(&self.rouse, &mut count);
        let woken = std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        LOCAL.with_borrow_mut(|queue| queue.extend(woken.into_iter().map(Call::by_waker)));
    }
}

pub(super) struct Caller {
    ticket: Ticket,
    queued: AtomicBool,
    home: Arc<Remote>,
}

impl Caller {
    /// It is out of the queue, and its task about to be polled. Not a mere store: whoever finds that it is queued still, and so leaves
    /// it at that, did before what the poll is to see.
    pub(super) fn taken(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }

    #[inline(always)]
    pub(super) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Acquire)
    }
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let local = HERE
            .try_with(|here| std::ptr::eq(here.get(), Arc::as_ptr(&self.home)))
            .unwrap_or(false);
        if local {
            LOCAL.with_borrow_mut(|queue| queue.push_back(Call::by_waker(self.ticket)));
        } else {
            self.home.push(self.ticket);
        }
    }
}

/// A waker and what it is made of, to see who else keeps it.
pub(super) struct Bell {
    pub(super) caller: Arc<Caller>,
    pub(super) waker: Waker,
}

impl Bell {
    pub(super) fn new(ticket: Ticket, home: Arc<Remote>) -> Self {
        let caller = Arc::new(Caller {
            ticket,
            queued: AtomicBool::new(false),
            home,
        });
        Bell {
            waker: Waker::from(caller.clone()),
            caller,
        }
    }
}

/// How many calls are in this thread's queue.
#[inline]
pub(super) fn waiting() -> usize {
    LOCAL.with_borrow(|queue| queue.len())
}

/// Takes the first call out of this thread's queue, and looks at the one behind it.
#[inline]
pub(super) fn next() -> (Option<Call>, Option<Call>) {
    LOCAL.with_borrow_mut(|queue| (queue.pop_front(), queue.front().copied()))
}

/// A thread is the one where a `Remote`'s calls are answered, as long as this is there.
pub(crate) struct Entered {
    before: *const Remote,
    queue: ManuallyDrop<VecDeque<Call>>,
}

impl Entered {
    pub(super) fn at(home: &Arc<Remote>) -> Self {
        let before = HERE.replace(Arc::as_ptr(home));
        let queue = LOCAL.replace(ManuallyDrop::default());
        Entered { before, queue }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.set(self.before);
        let queue = std::mem::take(&mut self.queue);
        drop(ManuallyDrop::into_inner(LOCAL.replace(queue)));
    }
}
