//! The futures of one thread, and who of them may go on.
//!
//! A waker may be woken from anywhere. On the thread of its tasks that costs a push to a queue; from another thread
//! it goes through [`Remote`], which also rouses the thread from its wait by an eventfd.

use super::Group;
use super::prefetch::prefetch;
use crate::server::guard::words;
use rustix::event::{EventfdFlags, eventfd};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Operations that a task may complete in one go before the others have their turn: a peer that sends without end
/// must not keep its handler on the thread for ever.
const BUDGET: u32 = 128;

pub(crate) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

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
pub(crate) struct Ticket {
    index: u32,
    birth: u32,
}

impl Ticket {
    /// The future that the thread was given to drive, which is not in the slab.
    const MAIN: Ticket = Ticket {
        index: u32::MAX,
        birth: 0,
    };
}

/// A task in the queue.
#[derive(Clone, Copy)]
struct Call {
    ticket: Ticket,
    /// Whether its [`Caller`] knows that it is in the queue.
    by_waker: bool,
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
struct Polled((*const (), Ticket));

impl Polled {
    fn now(waker: &Waker, ticket: Ticket) -> Self {
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

    fn take(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Caller {
    ticket: Ticket,
    queued: AtomicBool,
    home: Arc<Remote>,
}

impl Caller {
    /// It is out of the queue, and its task about to be polled. Not a mere store: whoever finds that it is queued still, and so leaves
    /// it at that, did before what the poll is to see.
    fn taken(&self) {
        self.queued.swap(false, Ordering::AcqRel);
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
struct Bell {
    caller: Arc<Caller>,
    waker: Waker,
}

impl Bell {
    fn new(ticket: Ticket, home: Arc<Remote>) -> Self {
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

struct Task {
    birth: u32,
    group: Group,
    /// Not there while it is polled.
    future: Option<(LocalFuture, Waker)>,
    caller: Arc<Caller>,
}

/// The tasks of one thread.
pub(crate) struct Tasks {
    all: RefCell<Slab<Task>>,
    births: Cell<u32>,
    /// The last group that was made.
    groups: Cell<Group>,
    /// The one that is polled now.
    polled: Cell<usize>,
    remote: Arc<Remote>,
    main: Bell,
    main_ready: Cell<bool>,
    closed: Cell<bool>,
}

impl Tasks {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::reached_by(Remote::new()?))
    }

    pub(crate) fn reached_by(remote: Arc<Remote>) -> Self {
        let main = Bell::new(Ticket::MAIN, remote.clone());
        Tasks {
            all: RefCell::default(),
            births: Cell::new(0),
            groups: Cell::new(Group::LASTING),
            polled: Cell::new(usize::MAX),
            remote,
            main,
            main_ready: Cell::new(true),
            closed: Cell::new(false),
        }
    }

    /// Readable once another thread has woken a task; [`Tasks::collect`] then brings it in.
    pub(crate) fn rouse_fd(&self) -> BorrowedFd<'_> {
        self.remote.rouse.as_fd()
    }

    /// Marks this thread as the one where the tasks run, until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        let before = HERE.replace(Arc::as_ptr(&self.remote));
        let queue = LOCAL.replace(ManuallyDrop::default());
        Entered { before, queue }
    }

    /// Adds one that is dropped with its group; at once when nobody polls any more.
    pub(crate) fn spawn(&self, group: Group, future: LocalFuture) {
        if self.closed.get() {
            return;
        }
        self.births.set(self.births.get().wrapping_add(1));
        let mut all = self.all.borrow_mut();
        let slot = all.vacant_entry();
        let ticket = Ticket {
            index: slot.key() as u32, // there is no memory for more
            birth: self.births.get(),
        };
        let Bell { caller, waker } = Bell::new(ticket, self.remote.clone());
        let first = waker.clone();
        slot.insert(Task {
            birth: ticket.birth,
            group,
            future: Some((future, waker)),
            caller,
        });
        drop(all);
        first.wake();
    }

    /// Polls the thread's main future, if it has been woken (as it is at the beginning).
    pub(crate) fn poll_main<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        if self.main_ready.replace(false) {
            self.repoll_main(future)
        } else {
            Poll::Pending
        }
    }

    /// Polls the main future, woken or not.
    #[inline(always)]
    pub(crate) fn repoll_main<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        let _polled = Polled::now(&self.main.waker, Ticket::MAIN);
        future.poll(&mut Context::from_waker(&self.main.waker))
    }

    /// Brings in what other threads have woken, if there is any; a look that costs no system call.
    pub(crate) fn collect(&self) {
        if self.remote.news.load(Ordering::Acquire) {
            self.collect_roused();
        }
    }

    /// Brings in what other threads have woken, when the descriptor has said so. It must be read even if an earlier look
    /// has brought the news, or it would be readable for ever.
    pub(crate) fn collect_roused(&self) {
        self.remote.news.store(false, Ordering::Release);
        let mut count = [0; 8];
        // "Would block" only says that nobody roused us, or not yet.
        let _ = rustix::io::read(&self.remote.rouse, &mut count);
        let woken = self.remote.take();
        LOCAL.with_borrow_mut(|queue| queue.extend(woken.into_iter().map(Call::by_waker)));
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.main_ready.get() || LOCAL.with_borrow(|queue| !queue.is_empty())
    }

    /// Polls each task that is ready now, once. The main future is left to [`Tasks::poll_main`].
    #[inline]
    pub(crate) fn run_ready(&self) {
        let ready = LOCAL.with_borrow(|queue| queue.len());
        if ready > 0 {
            self.run(ready);
        }
    }

    fn run(&self, mut left: usize) {
        while left > 0 {
            let turn = catch_unwind(AssertUnwindSafe(|| {
                while left > 0 {
                    left -= 1;
                    let (call, next) =
                        LOCAL.with_borrow_mut(|queue| (queue.pop_front(), queue.front().copied()));
                    if let Some(next) = next {
                        self.prefetch(next);
                    }
                    if let Some(call) = call {
                        self.poll(call);
                    }
                }
            }));
            if let Err(panic) = turn {
                tracing::error!(panic = words(&*panic), "a task panicked");
                let gone = self.all.borrow_mut().try_remove(self.polled.get());
                drop(gone);
            }
        }
    }

    fn prefetch(&self, Call { ticket, .. }: Call) {
        let all = self.all.borrow();
        if let Some((future, _)) = all
            .get(ticket.index as usize)
            .and_then(|task| task.future.as_ref())
        {
            prefetch(&**future);
        }
    }

    fn poll(&self, Call { ticket, by_waker }: Call) {
        let index = ticket.index as usize;
        let mut all = self.all.borrow_mut();
        let Some(task) = all.get_mut(index).filter(|task| task.birth == ticket.birth) else {
            drop(all);
            return self.main_called(ticket);
        };
        if by_waker {
            task.caller.taken();
        }
        let Some((mut future, waker)) = task.future.take() else {
            return;
        };
        drop(all);
        self.polled.set(index);
        let told = Polled::now(&waker, ticket);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        drop(told);
        let mut all = self.all.borrow_mut();
        if polled.is_pending() {
            all[index].future = Some((future, waker));
            return;
        }
        let task = all.remove(index);
        self.polled.set(usize::MAX); // its place may be another's from now on
        drop(all); // what a future holds may look at the tasks as it goes
        drop((future, task));
    }

    fn main_called(&self, ticket: Ticket) {
        if ticket == Ticket::MAIN {
            self.main.caller.taken();
            self.main_ready.set(true);
        }
    }

    /// Whether this waker is the main future's own.
    #[inline(always)]
    pub(crate) fn are_led_by(&self, waker: &Waker) -> bool {
        self.main.waker.will_wake(waker)
    }

    /// Whether the main future is all there is, and nobody keeps a waker of it but one operation, which is known to: then nothing but that can
    /// wake it.
    #[inline(always)]
    pub(crate) fn main_is_alone(&self) -> bool {
        // The caller here, its waker here, and the one that the operation keeps.
        const KNOWN: usize = 3;
        let alone = self.all.borrow().is_empty() && Arc::strong_count(&self.main.caller) == KNOWN;
        // Another thread may have woken it and let go of its waker just now. Whoever sees that it has let go must see
        // that it has been woken as well.
        fence(Ordering::Acquire);
        alone && !self.main.caller.queued.load(Ordering::Acquire)
    }

    /// Drops every task where it stands.
    pub(crate) fn drop_all(&self) {
        self.closed.set(true);
        let tasks: Vec<Task> = self.all.borrow_mut().drain().collect();
        drop(tasks);
    }

    /// Drops those that needn't come to their end; whether there are others. The main future has ended: that it is called means nothing any
    /// more.
    pub(crate) fn drop_passing(&self) -> bool {
        self.main_ready.set(false);
        self.drop_those(|group| group != Group::LASTING);
        !self.all.borrow().is_empty()
    }

    pub(crate) fn new_group(&self) -> Group {
        self.groups.set(self.groups.get().next());
        self.groups.get()
    }

    /// Drops those of a group. Not to be called by one of them.
    pub(crate) fn drop_group(&self, gone: Group) {
        self.drop_those(|group| group == gone);
    }

    fn drop_those(&self, go: impl Fn(Group) -> bool) {
        let mut all = self.all.borrow_mut();
        let keys: Vec<usize> = all
            .iter()
            .filter(|(_, task)| go(task.group))
            .map(|(key, _)| key)
            .collect();
        let tasks: Vec<Task> = keys.into_iter().map(|key| all.remove(key)).collect();
        drop(all);
        drop(tasks); // what they hold may leave something behind
    }
}

/// See [`Tasks::enter`].
pub(crate) struct Entered {
    before: *const Remote,
    queue: ManuallyDrop<VecDeque<Call>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.set(self.before);
        let queue = std::mem::take(&mut self.queue);
        drop(ManuallyDrop::into_inner(LOCAL.replace(queue)));
    }
}
