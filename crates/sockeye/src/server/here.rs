//! A server on somebody's own thread: how long it stays, and what ends with it.

use super::work::{AtWork, Job};
use super::{Shared, Stage};
use crate::error::{Error, Result};
use crate::model::{Driver, Group, current};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

impl Job {
    /// Has the one worker that it is for serve on this thread, beside what its driver drives already.
    pub(super) fn start_here(self) -> Result<()> {
        let (shared, at_work) = (self.shared.clone(), self.at_work.clone());
        let driver = current()?;
        for worker in self.into_workers() {
            let opened = worker.open().map_err(|error| Error::io("serve", error))?;
            let stay = Stay::new(driver.clone(), shared.clone(), at_work.clone());
            let serve = async move {
                opened.serve_here(stay.lodging.clone()).await;
                stay.end().await;
            };
            driver.spawn(Group::MAIN, Box::pin(serve));
        }
        Ok(())
    }
}

thread_local! {
    /// How many servers this thread serves beside its own futures.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread serves beside its own futures, so that a fork would copy what it has of those servers.
pub(crate) fn serves_here() -> bool {
    HERE.get() > 0
}

/// A worker's stay on somebody's own thread, until it ends: by a panic, too, or because nobody drives that thread's futures any more. What it
/// has begun ends with it.
struct Stay {
    driver: Rc<dyn Driver>,
    shared: Arc<Shared>,
    /// Dropped last.
    lodging: Lodging,
}

impl Stay {
    fn new(driver: Rc<dyn Driver>, shared: Arc<Shared>, at_work: AtWork) -> Self {
        HERE.set(HERE.get() + 1);
        let lodging = Lodging {
            group: driver.new_group(),
            _at_work: Some(at_work),
        };
        Stay {
            driver,
            shared,
            lodging,
        }
    }

    /// Whoever is there yet has been cut, and has had time to notice.
    async fn end(self) {
        if *self.shared.stage.borrow() == Stage::Running {
            self.shared.fail("it can't go on; the log says why");
        }
        self.driver.drop_group(self.lodging.group);
        self.shared.registry.below(1).await;
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        HERE.set(HERE.get() - 1);
        self.driver.drop_group(self.lodging.group);
        if *self.shared.stage.borrow() == Stage::Running {
            self.shared.fail(match std::thread::panicking() {
                true => "a worker panicked",
                false => "the thread that served it has ended",
            });
        }
        self.shared.close();
        self.shared.announce_end();
    }
}

/// Where that belongs which a worker begins: to its thread's main future, or to a stay on somebody's own.
#[derive(Clone)]
pub(crate) struct Lodging {
    pub(crate) group: Group,
    /// Whoever has it is at work.
    _at_work: Option<AtWork>,
}

impl Lodging {
    pub(super) const MAIN: Lodging = Lodging {
        group: Group::MAIN,
        _at_work: None,
    };
}
