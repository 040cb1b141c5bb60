//! `epoll`: one thread for all its connections, told by `epoll(7)` which of them can go on.
//!
//! Level-triggered, a descriptor is registered for what somebody waits for; the wish to write comes and goes with
//! full send buffers, and the wish to read stays until something arrives that nobody wants yet. Edge-triggered, it is
//! registered once for everything, and what the kernel said is remembered until an attempt uses it up.

use super::local::Turn;
use super::name::Trigger;
use super::ready::{Done, Permit, Reactor, Way, Wish};
use super::sources::{Source, Sources};
use super::task::Tasks;
use super::timers::Timers;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Events taken from the kernel in one call. More makes a turn longer for those at its end, fewer makes more calls.
const EVENTS: usize = 1024;

/// The descriptor by which other threads rouse this one.
const ROUSE: u64 = u64::MAX;

pub(crate) struct Epoll {
    epoll: OwnedFd,
    trigger: Trigger,
    sources: Sources,
    timers: Timers,
    tasks: Tasks,
    events: RefCell<Vec<Event>>,
}

fn token(key: usize, birth: u32) -> u64 {
    (u64::from(birth) << 32) | key as u64 & 0xffff_ffff
}

impl Epoll {
    pub(crate) fn new(trigger: Trigger) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let tasks = Tasks::new()?;
        epoll::add(
            &epoll,
            tasks.rouse_fd(),
            EventData::new_u64(ROUSE),
            EventFlags::IN,
        )?;
        let events = RefCell::new(Vec::with_capacity(EVENTS));
        Ok(Epoll {
            epoll,
            trigger,
            sources: Sources::new(),
            timers: Timers::new(),
            tasks,
            events,
        })
    }

    /// Level: asks for what is waited for. Edge: everything was asked for at the beginning.
    fn arm(&self, source: &mut Source, key: usize, way: Way) -> io::Result<()> {
        let wish = match way {
            Way::Read => EventFlags::IN,
            Way::Write => EventFlags::OUT,
        };
        match self.trigger {
            Trigger::Edge => Ok(()),
            Trigger::Level if source.armed & wish.bits() != 0 => Ok(()),
            Trigger::Level => self.register_for(source, key, source.armed | wish.bits()),
        }
    }

    fn register_for(&self, source: &mut Source, key: usize, armed: u32) -> io::Result<()> {
        source.armed = armed;
        // A broken connection is told of even when nobody asked. Edge-triggered, it is told of once and not for ever.
        let asked = if armed == 0 { EventFlags::ET.bits() } else { armed };
        // SAFETY: the descriptor belongs to a link that deregisters it here before it closes it.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(source.fd) };
        let data = EventData::new_u64(token(key, source.birth));
        Ok(epoll::modify(
            &self.epoll,
            fd,
            data,
            EventFlags::from_bits_retain(asked),
        )?)
    }

    fn raise(&self, event: Event) {
        let (key, birth) = (
            (event.data.u64() & 0xffff_ffff) as usize,
            (event.data.u64() >> 32) as u32,
        );
        let flags = event.flags;
        self.sources.with(key, |source| {
            if source.birth != birth {
                return; // a descriptor that was closed in this very turn
            }
            let broken = EventFlags::ERR | EventFlags::HUP;
            let mut once = 0;
            for (way, wish) in [(Way::Read, EventFlags::IN), (Way::Write, EventFlags::OUT)] {
                let told = wish
                    | broken
                    | if way == Way::Read {
                        EventFlags::RDHUP
                    } else {
                        EventFlags::empty()
                    };
                if flags.intersects(told) {
                    source.sides[way as usize].last |= flags.intersects(told - wish);
                    let waker = source.sides[way as usize].rise();
                    // Told of something that nobody waits for: level-triggered, it would be told again at once and
                    // for ever. A wish to write is over as soon as it is fulfilled.
                    if waker.is_none() || way == Way::Write {
                        once |= wish.bits();
                    }
                    waker.into_iter().for_each(Waker::wake_by_ref);
                }
            }
            if self.trigger == Trigger::Edge {
                once = 0; // asked for once, told once
            }
            if source.armed & once != 0 {
                // It fails only for a descriptor that is no longer there, of which nothing is told any more.
                let _ = self.register_for(source, key, source.armed & !once);
            }
        });
    }
}

impl Reactor for Epoll {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let key = self.sources.insert(fd.as_raw_fd());
        let wish = match self.trigger {
            Trigger::Level => EventFlags::IN,
            Trigger::Edge => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
        };
        let birth = self.sources.with(key, |source| {
            source.armed = wish.bits();
            source.birth
        });
        let data = EventData::new_u64(token(key, birth.unwrap_or_default()));
        if let Err(error) = epoll::add(&self.epoll, fd, data, wish) {
            self.sources.remove(key, &self.timers);
            return Err(error.into());
        }
        Ok(key)
    }

    fn deregister(&self, key: usize, fd: BorrowedFd<'_>) {
        // Closing alone would not do it if the descriptor has been handed to another process.
        let _ = epoll::delete(&self.epoll, fd);
        self.sources.remove(key, &self.timers);
    }

    fn poll_io<T>(
        &self,
        key: usize,
        wish: Wish,
        cx: &mut Context<'_>,
        attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        self.sources.poll_io(
            key,
            wish,
            cx,
            &self.timers,
            |source, way| self.arm(source, key, way),
            attempt,
        )
    }
}

impl Turn for Epoll {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.map(|limit| {
            Timespec::try_from(limit).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            })
        });
        let mut events = self.events.borrow_mut();
        events.clear();
        match epoll::wait(
            self.epoll.as_fd(),
            rustix::buffer::spare_capacity(&mut events),
            limit.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            if event.data.u64() == ROUSE {
                self.tasks.collect_roused();
            } else {
                self.raise(event);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Connection, Model, Result, run};
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    /// Bytes and the end behind them may make one edge, and a short receive is no proof that nothing is left.
    #[test]
    fn an_end_that_comes_with_the_last_bytes_is_not_lost() {
        for model in Model::ALL {
            let conversation = async {
                let (ours, mut theirs) = UnixStream::pair()?;
                let mut conn = Connection::adopt(ours.into())?;
                conn.set_read_timeout(Some(std::time::Duration::from_secs(30)));
                theirs.write_all(b"bye")?;
                theirs.shutdown(Shutdown::Write)?;
                assert_eq!(&conn.recv().await?[..], b"bye", "{model}");
                assert_eq!(&conn.recv().await?[..], b"", "{model}");
                Result::Ok(())
            };
            let ended: Result<()> = run(model, conversation).expect("the model");
            ended.unwrap_or_else(|error| panic!("{model}: {error}"));
        }
    }
}
