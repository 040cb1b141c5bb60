//! The futures of one thread; who of them may go on is known to `wake`.

use super::Group;
use super::prefetch::prefetch;
use super::wake::{self, Bell, Call, Caller, Entered, Polled, Remote, Ticket};
use crate::server::guard::words;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Waker};

pub(crate) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

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
        self.remote.fd()
    }

    /// Marks this thread as the one where the tasks run, until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered::at(&self.remote)
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
        if self.remote.has_news() {
            self.collect_roused();
        }
    }

    /// Brings in what other threads have woken, when the descriptor has said so. It must be read even if an earlier look
    /// has brought the news, or it would be readable for ever.
    pub(crate) fn collect_roused(&self) {
        self.remote.collect();
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.main_ready.get() || wake::waiting() > 0
    }

    /// Polls each task that is ready now, once. The main future is left to [`Tasks::poll_main`].
    #[inline]
    pub(crate) fn run_ready(&self) {
        let ready = wake::waiting();
        if ready > 0 {
            self.run(ready);
        }
    }

    fn run(&self, mut left: usize) {
        while left > 0 {
            let turn = catch_unwind(AssertUnwindSafe(|| {
                while left > 0 {
                    left -= 1;
                    let (call, next) = wake::next();
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
        alone && !self.main.caller.is_queued()
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
