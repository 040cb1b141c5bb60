//! Saying which services are here.

mod course;
mod setbacks;

use super::link::Link;
use super::offer::joined;
use super::{Offer, ServiceType, check_name};
use course::Course;
use sockeye::{Class, Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The most that is announced. The thread of multicast DNS has a queue of 100 commands, and under another name all is taken back and
/// said anew.
pub const MAX_OFFERS: usize = 32;

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nobody else has the name, and everybody has been told.
    As {
        /// What is served.
        kind: ServiceType,
        /// The name of it.
        name: String,
    },
    /// What nobody can be told of: this machine has no network at which it could be reached. It is announced once there is one.
    Nowhere {
        /// What is served.
        kinds: Vec<ServiceType>,
    },
    /// Somebody else has the name.
    Renamed {
        /// The name of the server until now.
        from: String,
        /// Its name from now on.
        to: String,
    },
    /// Nothing is announced for so long, and why; then it is tried again.
    Paused {
        /// What others do.
        why: String,
        /// How long.
        pause: Duration,
    },
    /// Nothing is announced any more, and why.
    Failed(String),
}

/// Announces services for as long as it lives. At its end it says that they are gone.
///
/// ```no_run
/// use sockeye_services::discovery::{Announcer, Facts, Offer, Reach, ServiceType};
///
/// let offer = Offer {
///     kind: ServiceType::of("echo", false),
///     port: 8080,
///     reach: vec![Reach::EveryV4],
///     facts: Facts::default(),
/// };
/// let announcer = Announcer::start("kitchen", vec![offer], |what| println!("{what:?}"))?;
/// drop(announcer);
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Announcer {
    hold: Arc<Hold>,
    thread: Option<JoinHandle<()>>,
}

/// What an announcer and its thread share.
#[derive(Default)]
struct Hold {
    slot: Mutex<Slot>,
    /// Told at the end.
    ended: Condvar,
}

/// The link by which it is announced: another one after each change of name.
#[derive(Default)]
struct Slot {
    link: Option<Link>,
    ended: bool,
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // Whatever has panicked, a link is there or not.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all back, and waits so long, or until the end.
    fn pause(&self, pause: Duration) {
        let mut slot = self.lock();
        slot.link = None;
        let waited = self.ended.wait_timeout_while(slot, pause, |slot| !slot.ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Announcer {
    /// Announces these under a name, or, where another server has that, under that name and a number. `tell` is called on a thread of
    /// its own. Interfaces that come up later are told as well.
    ///
    /// # Errors
    /// When it is no name, there are too many offers, or multicast DNS can't be had.
    pub fn start(name: &str, offers: Vec<Offer>, tell: impl Fn(Announced) + Send + 'static) -> Result<Self> {
        check_name(name)?;
        let offers = joined(offers);
        if offers.len() > MAX_OFFERS {
            let why = format!(
                "{} services are more than the {MAX_OFFERS} that can be",
                offers.len()
            );
            return Err(Error::new("announce", Class::General, why));
        }
        let hold = Arc::new(Hold::default());
        let mut course = Course::new(hold.clone(), name, offers, Box::new(tell));
        let begun = course.open()?;
        let run = move || course.run(begun);
        let thread = thread::Builder::new()
            .name("sockeye-announce".to_owned())
            .spawn(run);
        Ok(Announcer {
            hold,
            thread: Some(thread.map_err(|error| Error::io("start a thread", error))?),
        })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let mut slot = self.hold.lock();
        slot.ended = true;
        slot.link = None; // it says farewell
        drop(slot);
        self.hold.ended.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its panic has been told of
        }
    }
}
