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
use rustix::event::{FdSetElement, FdSetIter, fd_set_insert, fd_set_num_elements, fd_set_remove};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

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
    /// What the last call told and has not taken effect yet.
    told: RefCell<Vec<(RawFd, Way)>>,
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
            sources: Sources::new(),
            tasks,
            clock,
        })
    }
}

impl Select {
    fn raise(&self, fd: RawFd, way: Way) {
        let key = self.sets.borrow().key_of[fd as usize];
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
            .get(key)
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
        let mut some = false;
        for _ in 0..AT_ONCE {
            let Some((fd, way)) = self.told.borrow_mut().pop() else {
                break;
            };
            some = true;
            self.raise(fd, way);
        }
        some
    }

    fn limit(&self, due: Option<Instant>) -> io::Result<Option<Duration>> {
        self.clock.set(due)?;
        Ok(None)
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.map(kernel_time);
        let mut sets = self.sets.borrow_mut();
        let Sets {
            wanted,
            answer,
            highest,
            ..
        } = &mut *sets;
        answer[0].copy_from_slice(&wanted[0]);
        answer[1].copy_from_slice(&wanted[1]);
        let [read, write] = answer;
        // SAFETY: a descriptor is in a set only between `register` and `deregister`, and its link closes it afterwards.
        #[allow(unsafe_code)]
        let answered =
            unsafe { rustix::event::select(*highest + 1, Some(read), Some(write), None, limit.as_ref()) };
        match answered {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut told = self.told.borrow_mut();
        for way in [Way::Write, Way::Read] {
            told.extend(FdSetIter::new(&sets.answer[way as usize]).map(|fd| (fd, way)));
        }
        drop((sets, told));
        self.more();
        Ok(())
    }
}
