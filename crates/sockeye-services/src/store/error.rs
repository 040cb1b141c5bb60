use sockeye::{Class, Error};
use std::path::Path;

/// What went wrong in a store. That somebody may not do something is no failure but an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    why: String,
    uncertain: bool,
}

impl Failure {
    /// Nothing was kept, for this reason.
    pub fn new(why: impl Into<String>) -> Self {
        Failure {
            why: why.into(),
            uncertain: false,
        }
    }

    /// Nobody knows whether it was kept, for this reason.
    pub fn uncertain(why: impl Into<String>) -> Self {
        Failure {
            why: format!(
                "{} (it may or may not have been kept: look before you try again)",
                why.into()
            ),
            uncertain: true,
        }
    }

    /// Whether nobody knows if it was kept.
    pub fn is_uncertain(&self) -> bool {
        self.uncertain
    }

    /// As an error of this library.
    pub fn into_error(self, op: &'static str, path: &Path) -> Error {
        Error::new(op, Class::General, self.why).at(path.display())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new("store", Class::General, failure.why)
    }
}
