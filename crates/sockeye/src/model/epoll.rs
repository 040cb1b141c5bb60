//! `epoll`: one thread for all its connections, told by `epoll(7)` which of them can go on.
//!
//! Level-triggered, a descriptor is registered for what somebody waits for; the wish to write comes and goes with
//! full send buffers, and the wish to read stays until something arrives that nobody wants yet. Edge-triggered, it is
//! registered once for everything, and what the kernel said is remembered until an attempt uses it up.

use super::clock::Clock;
use super::local::{AT_ONCE, Turn};
use super::name::Trigger;
use super::ready::Way;
use super::sources::{Source, Sources, Watch};
use super::task::Tasks;
use super::timers::{Timers, kernel_time};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// Events taken from the kernel in one call. More makes a turn longer for those at its end, fewer makes more calls.
const EVENTS: usize = 1024;

/// The descriptor by which other threads rouse this one.
const ROUSE: u64 = u64::MAX;
/// The descriptor that tells of a deadline.
const CLOCK: u64 = u64::MAX - 1;

pub(crate) struct Epoll {
    epoll: OwnedFd,
    trigger: Trigger,
    sources: Sources,
    tasks: Tasks,
    clock: Clock,
    events: RefCell<Vec<Event>>,
    /// How many of the events have taken effect.
    seen: Cell<usize>,
}

fn token(source: &Source) -> EventData {
    EventData::new_u64(u64::from(source.birth) << 32 | u64::from(source.key as u32))
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
        let clock = Clock::new()?;
        epoll::add(&epoll, clock.fd(), EventData::new_u64(CLOCK), EventFlags::IN)?;
        let events = RefCell::new(Vec::with_capacity(EVENTS));
        Ok(Epoll {
            epoll,
            trigger,
            sources: Sources::new(),
            tasks,
            clock,
            events,
            seen: Cell::new(0),
        })
    }

    fn register_for(&self, source: &Source, armed: u32) -> io::Result<()> {
        source.armed.set(armed);
        // A broken connection is told of even when nobody asked. Edge-triggered, it is told of once and not for ever.
        let asked = if armed == 0 { EventFlags::ET.bits() } else { armed };
        // SAFETY: the descriptor belongs to a link that deregisters it here before it closes it.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(source.fd) };
        let asked = EventFlags::from_bits_retain(asked);
        Ok(epoll::modify(&self.epoll, fd, token(source), asked)?)
    }

    fn raise(&self, event: &Event) {
        let birth = (event.data.u64() >> 32) as u32;
        let Some(source) = self
            .sources
            .get(key(event))
            .filter(|source| source.birth == birth)
        else {
            return; // a descriptor that was closed in this very turn
        };
        let flags = event.flags;
        let (mut read, mut write) = (EventFlags::IN, EventFlags::OUT);
        let broken = flags & (EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP);
        if flags.contains(EventFlags::PRI) {
            // A receive stops before urgent data (tcp(7)), and nothing more is told of what is behind it.
            source.side(Way::Read).ends();
        }
        if !broken.is_empty() {
            source.side(Way::Read).ends();
            if broken != EventFlags::RDHUP {
                source.side(Way::Write).ends();
                write |= broken;
            }
            read |= broken;
        }
        // Told of something that nobody waits for: level-triggered, it would be told again at once and for ever. A wish to
        // write is over as soon as it is fulfilled.
        let mut once = EventFlags::empty();
        if flags.intersects(read) && !source.side(Way::Read).rise() {
            once |= EventFlags::IN;
        }
        if flags.intersects(write) {
            source.side(Way::Write).rise();
            once |= EventFlags::OUT;
        }
        let armed = source.armed.get();
        if armed & once.bits() != 0 && self.trigger == Trigger::Level {
            // It fails only for a descriptor that is no longer there, of which nothing is told any more.
            let _ = self.register_for(&source, armed & !once.bits());
        }
    }
}

/// Whom an event is about: the half of its token that is the source's place.
fn key(event: &Event) -> usize {
    event.data.u64() as u32 as usize
}

impl Watch for Epoll {
    fn sources(&self) -> &Sources {
        &self.sources
    }

    fn watch(&self, source: &Source, fd: BorrowedFd<'_>) -> io::Result<()> {
        let wish = match self.trigger {
            Trigger::Level => EventFlags::IN,
            Trigger::Edge => {
                EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET
            }
        };
        source.armed.set(wish.bits());
        Ok(epoll::add(&self.epoll, fd, token(source), wish)?)
    }

    fn unwatch(&self, _: &Source, fd: BorrowedFd<'_>) {
        // Closing alone would not do it if the descriptor has been handed to another process.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Level: asks for what is waited for. Edge: everything was asked for at the beginning.
    #[inline]
    fn arm(&self, source: &Rc<Source>, way: Way) -> io::Result<()> {
        let wish = match way {
            Way::Read => EventFlags::IN,
            Way::Write => EventFlags::OUT,
        };
        let armed = source.armed.get();
        if armed & wish.bits() != 0 {
            return Ok(());
        }
        self.register_for(source, armed | wish.bits())
    }
}

impl Turn for Epoll {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn timers(&self) -> &Timers {
        &self.sources.timers
    }

    fn more(&self) -> bool {
        let events = self.events.borrow();
        let rest = &events[self.seen.get()..];
        let now = &rest[..rest.len().min(AT_ONCE)];
        rest[now.len()..]
            .iter()
            .take(AT_ONCE)
            .for_each(|event| self.sources.prefetch(key(event)));
        self.seen.set(self.seen.get() + now.len());
        for event in now {
            match event.data.u64() {
                ROUSE => self.tasks.collect_roused(),
                CLOCK => self.clock.rang(),
                _ => self.raise(event),
            }
        }
        !now.is_empty()
    }

    fn limit(&self) -> io::Result<Option<Duration>> {
        self.clock.set(self.timers())
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.map(kernel_time);
        let mut events = self.events.borrow_mut();
        events.clear();
        self.seen.set(0);
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(self.epoll.as_fd(), room, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drop(events);
        self.more();
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
