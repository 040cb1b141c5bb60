//! The names of the models.

use crate::error::{Class, Error};
use std::fmt;
use std::str::FromStr;

/// How `epoll(7)` tells of readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// As long as a descriptor is ready.
    #[default]
    Level,
    /// Once, when it becomes ready.
    Edge,
}

/// A model of concurrency: where a connection's handler runs, and how it waits.
///
/// ```
/// use sockeye::{Model, Trigger};
/// assert_eq!("epoll-et".parse::<Model>()?, Model::Epoll(Trigger::Edge));
/// assert_eq!(Model::ALL.len(), 8);
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// A forked process per connection, which blocks in its calls.
    Process,
    /// A thread per connection, which blocks in its calls.
    Thread,
    /// One thread for all, which tries again and again.
    Spin,
    /// One thread for all, which waits by `select(2)`: a thousand connections at the most.
    Select,
    /// One thread for all (or N with a listener each), which waits by `epoll(7)`.
    Epoll(Trigger),
    /// N single-threaded Tokio runtimes.
    Coroutine,
    /// N threads with an io_uring each.
    Uring,
}

impl Model {
    /// Every model, from the oldest to the newest.
    pub const ALL: [Model; 8] = [
        Model::Process,
        Model::Thread,
        Model::Spin,
        Model::Select,
        Model::Epoll(Trigger::Level),
        Model::Epoll(Trigger::Edge),
        Model::Coroutine,
        Model::Uring,
    ];

    /// The name that the command line knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Model::Process => "process",
            Model::Thread => "thread",
            Model::Spin => "spin",
            Model::Select => "select",
            Model::Epoll(Trigger::Level) => "epoll-lt",
            Model::Epoll(Trigger::Edge) => "epoll-et",
            Model::Coroutine => "coroutine",
            Model::Uring => "uring",
        }
    }

    /// How many connections one server can hold under this model, where the model itself sets a bound.
    pub fn max_connections(self) -> Option<usize> {
        match self {
            Model::Select => Some(super::select::MAX_CONNECTIONS),
            _ => None,
        }
    }

    /// Whether handlers of different connections share the memory of one process.
    pub fn shares_memory(self) -> bool {
        self != Model::Process
    }

    /// Whether more than one worker means anything: `thread` and `process` have a worker per connection.
    pub fn has_workers(self) -> bool {
        !matches!(self, Model::Process | Model::Thread)
    }
}

/// Level-triggered epoll: fast for any number of connections, and allowed by every kernel and container.
impl Default for Model {
    fn default() -> Self {
        Model::Epoll(Trigger::Level)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Model {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        if name == "epoll" {
            return Ok(Model::default());
        }
        Model::ALL
            .into_iter()
            .find(|model| model.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Model::ALL.iter().map(|model| model.name()).collect();
                Error::new(
                    "choose model",
                    Class::General,
                    format!("there is no model {name:?}"),
                )
                .advise(format!("the models are {}", names.join(", ")))
            })
    }
}
