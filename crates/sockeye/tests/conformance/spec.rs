//! What a server under test is to be, as it travels to its process in an environment variable.

use crate::dice::Dice;
use sockeye::Model;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a process finds that it is to be a server under test.
pub(crate) const VARIABLE: &str = "SOCKEYE_CONFORMANCE";

thread_local! {
    /// Whether the servers of this thread's test are served by the thread that starts them.
    pub(crate) static HERE: Cell<bool> = const { Cell::new(false) };
}

/// An address of this machine that no other test has: its ports are nobody else's, even once they are free again.
pub(crate) fn own_address() -> Ipv4Addr {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let seed = u64::from(std::process::id()) << 32 | u64::from(MADE.fetch_add(1, Ordering::Relaxed));
    let host = Dice::new(seed).within(2..0xff_ffff) as u32;
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 0).to_bits() | host)
}

/// Handler, model, endpoint, limits: names and values.
///
/// | name | value |
/// |---|---|
/// | `handler`, `argument` | which of the handlers, and what it is told |
/// | `model`, `endpoint`, `workers` | as the library's |
/// | `connections`, `packets` | limits, as numbers |
/// | `idle`, `write`, `handshake`, `drain`, `quiet` | limits, in milliseconds |
/// | `nofile` | how many descriptors the process may have |
/// | `held` | how many it has before it begins |
/// | `processes` | how many processes and threads it may have, as a user who has no others |
/// | `blocks` | it blocks all signals before it begins |
/// | `beside` | a second server like this one |
/// | `observer` | what it panics with at each event; or `held`: it waits at each end until it is told `heed` |
/// | `adopt` | the socket is made by the test's means and adopted |
/// | `here` | the process' first thread serves, where one thread does |
#[derive(Clone)]
pub(crate) struct Spec(BTreeMap<String, String>);

impl Spec {
    pub(crate) fn new(model: Model, handler: &str) -> Self {
        let spec = Spec(BTreeMap::new())
            .with("model", model)
            .with("handler", handler)
            .with("endpoint", format_args!("tcp://{}:0", own_address()));
        match HERE.get() {
            true => spec.with("here", "yes"),
            false => spec,
        }
    }

    /// Whether the thread that starts the server is to serve.
    pub(crate) fn is_here(&self) -> bool {
        let has_one = |name: &str, one: u64| self.value(name).is_none_or(|value: u64| value == one);
        self.text("here").is_some() && has_one("workers", 1) && has_one("spin", 0)
    }

    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A line for each, which no value may contain.
    pub(crate) fn encode(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect()
    }

    pub(crate) fn decode(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Spec(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}
