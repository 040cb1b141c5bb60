//! `select`: one thread for all its connections, which asks `select(2)` about the whole set each time.
//!
//! The set is a bitmap, as long as the highest descriptor is: `FD_SETSIZE` is the size of a type of the C library's, and the kernel takes
//! more. So a server has room whatever numbers the rest of its program has taken, but for no more connections than that type has bits.

use super::clock::Clock;
use super::local::{AT_ONCE, Turn};
use super::ready::Way;
use super::sources::{Source, Sources, Watch};
use super::task::Tasks;
use super::timers::{Timers, kernel_time};
use rustix::event::{
    FdSetElement, FdSetIter, fd_set_bound, fd_set_insert, fd_set_num_elements, fd_set_remove,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

/// What `fd_set` holds, by POSIX and glibc, and how long the sets are at first.
const FD_SETSIZE: usize = 1024;

/// Descriptors that are not connections: the standard streams, the listener, the eventfd, logs, a database, and some in reserve for
/// what a handler opens.
const RESERVED: usize = 24;

/// The most connections that one server can hold: what is promised wherever there is a `select(2)`. Each call goes through the whole set,
/// so that with more of them any other model is better.
pub(crate) const MAX_CONNECTIONS: usize = FD_SETSIZE - RESERVED;

type Set = Vec<FdSetElement>;

#[derive(Default)]
struct Sets {
    /// Who waits, per way.
    wanted: [Set; 2],
    /// What the last call answered.
    answer: [Set; 2],
    key_of: Vec<usize>,
    highest: RawFd,
}

pub(crate) struct Select {
    sets: RefCell<Sets>,
    /// What the last call told, and how much of it has taken effect.
    told: RefCell<Vec<(RawFd, Way)>>,
    seen: Cell<usize>,
    sources: Sources,
    tasks: Tasks,
    clock: Clock,
}

impl Select {
    pub(crate) fn new() -> io::Result<Self> {
        let tasks = Tasks::new()?;
        let clock = Clock::new()?;
        let mut sets = Sets::default();
        sets.grow(FD_SETSIZE);
        for fd in [tasks.rouse_fd().as_raw_fd(), clock.fd().as_raw_fd()] {
            sets.make_room(fd);
            fd_set_insert(&mut sets.wanted[Way::Read as usize], fd);
        }
        Ok(Select {
            sets: RefCell::new(sets),
            told: RefCell::default(),
            seen: Cell::new(0),
            sources: Sources::new(),
            tasks,
            clock,
        })
    }
}

impl Select {
    fn key(&self, fd: RawFd) -> usize {
        self.sets.borrow().key_of[fd as usize]
    }

    fn raise(&self, fd: RawFd, way: Way) {
        if fd == self.tasks.rouse_fd().as_raw_fd() {
            return self.tasks.collect_roused();
        }
        if fd == self.clock.fd().as_raw_fd() {
            return self.clock.rang();
        }
        // It stays wanted while its handler reads and waits again, as nearly all do; if it is told of once more and nobody
        // waits, it is taken out.
        let waited = self
            .sources
            .get(self.key(fd))
            .is_some_and(|source| source.side(way).rise());
        if !waited || way == Way::Write {
            fd_set_remove(&mut self.sets.borrow_mut().wanted[way as usize], fd);
        }
    }
}

impl Sets {
    /// Room for this descriptor and all below it: there are no more than the process may have open (`RLIMIT_NOFILE`).
    fn make_room(&mut self, fd: RawFd) {
        self.highest = self.highest.max(fd);
        let count = fd as usize + 1;
        if count > self.key_of.len() {
            self.grow(count.next_power_of_two());
        }
    }

    /// What is wanted, as the kernel is asked for it, and where it answers; nothing for a way that nobody wants.
    fn asked(&mut self) -> [Option<&mut [FdSetElement]>; 2] {
        let used = fd_set_num_elements(self.key_of.len(), self.highest + 1);
        let [read, write] = &mut self.answer;
        let [wants_read, wants_write] = &self.wanted;
        [(wants_read, read), (wants_write, write)].map(|(wanted, answer)| {
            let (wanted, answer) = (&wanted[..used], &mut answer[..used]);
            answer.copy_from_slice(wanted);
            (fd_set_bound(wanted) > 0).then_some(answer)
        })
    }

    fn grow(&mut self, count: usize) {
        let length = fd_set_num_elements(count, count as RawFd);
        for set in self.wanted.iter_mut().chain(&mut self.answer) {
            set.resize(length, FdSetElement::default());
        }
        self.key_of.resize(count, usize::MAX);
    }
}

impl Watch for Select {
    fn sources(&self) -> &Sources {
        &self.sources
    }

    fn watch(&self, source: &Source, _: BorrowedFd<'_>) -> io::Result<()> {
        let mut sets = self.sets.borrow_mut();
        sets.make_room(source.fd);
        sets.key_of[source.fd as usize] = source.key;
        Ok(())
    }

    fn unwatch(&self, source: &Source, _: BorrowedFd<'_>) {
        let mut sets = self.sets.borrow_mut();
        sets.key_of[source.fd as usize] = usize::MAX;
        sets.wanted
            .iter_mut()
            .for_each(|set| fd_set_remove(set, source.fd));
    }

    fn arm(&self, source: &Rc<Source>, way: Way) -> io::Result<()> {
        fd_set_insert(&mut self.sets.borrow_mut().wanted[way as usize], source.fd);
        Ok(())
    }
}

impl Turn for Select {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn timers(&self) -> &Timers {
        &self.sources.timers
    }

    fn more(&self) -> bool {
        let told = self.told.borrow();
        let rest = &told[self.seen.get()..];
        let (now, later) = rest.split_at(rest.len().min(AT_ONCE));
        later
            .iter()
            .take(AT_ONCE)
            .for_each(|(fd, _)| self.sources.prefetch(self.key(*fd)));
        self.seen.set(self.seen.get() + now.len());
        now.iter().for_each(|(fd, way)| self.raise(*fd, *way));
        !now.is_empty()
    }

    fn limit(&self) -> io::Result<Option<Duration>> {
        self.clock.set(self.timers())
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.map(kernel_time);
        let (mut told, mut sets) = (self.told.borrow_mut(), self.sets.borrow_mut());
        told.clear();
        self.seen.set(0);
        let bound = sets.highest + 1;
        let [mut read, mut write] = sets.asked();
        // SAFETY: a descriptor is in a set only between `register` and `deregister`, and its link closes it afterwards.
        #[allow(unsafe_code)]
        let answered = unsafe {
            let (read, write) = (read.as_deref_mut(), write.as_deref_mut());
            rustix::event::select(bound, read, write, None, limit.as_ref())
        };
        match answered {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        for (way, answer) in [(Way::Read, read), (Way::Write, write)] {
            let ready = FdSetIter::new(answer.as_deref().unwrap_or_default());
            told.extend(ready.map(|fd| (fd, way)));
        }
        drop((told, sets));
        self.more();
        Ok(())
    }
}
