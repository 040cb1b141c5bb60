//! What every model must do, by subject.

mod echo;

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
    [echo::ALL].into_iter().flatten().copied()
}
