//! What every model must do, by subject.

mod crowd;
mod deadlines;
mod death;
mod dialling;
mod echo;
mod faults;
mod halves;
mod here;
mod packets;
mod sending;
mod shortage;
mod stopping;
mod tls;
mod traces;
mod unix;
mod waits;

use sockeye::Model;

/// A behaviour: its name, and what panics when it isn't met.
pub(crate) type Behaviour = (&'static str, fn(Model));

/// The behaviours of a file, each named by its function.
macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        pub(super) const ALL: &[super::Behaviour] = &[$((stringify!($name), $name)),+];
    };
}
use behaviours;

pub(crate) fn all() -> impl Iterator<Item = Behaviour> {
    let subjects = [
        echo::ALL,
        crowd::ALL,
        halves::ALL,
        faults::ALL,
        deadlines::ALL,
        death::ALL,
        waits::ALL,
        shortage::ALL,
        stopping::ALL,
        packets::ALL,
        unix::ALL,
        tls::ALL,
        sending::ALL,
        dialling::ALL,
        traces::ALL,
        here::ALL,
    ];
    subjects.into_iter().flatten().copied()
}
