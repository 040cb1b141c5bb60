//! Whose files are together.

use crate::background::Party;
use sockeye::Address;
use std::sync::Arc;

/// No user's name has a `*`.
const ANONYMOUS: &str = "*anonymous";
const EVERYBODY: &str = "*everybody";

/// Whose place it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) enum Owner {
    /// Somebody who has logged in.
    User(Arc<str>),
    /// All clients of a listener where nobody logs in.
    Everybody,
    /// All old clients together.
    Anonymous,
}

impl Owner {
    /// Whose work is done for a client that reaches these files: an account's over all of its connections, others' by address.
    pub(in crate::files) fn party(&self, peer: &Address) -> Party {
        match self {
            Owner::User(name) => Party::User(name.clone()),
            Owner::Everybody | Owner::Anonymous => Party::of_peer(peer),
        }
    }

    /// What the books call it.
    pub(in crate::files) fn account(&self) -> &str {
        match self {
            Owner::User(name) => name,
            Owner::Everybody => EVERYBODY,
            Owner::Anonymous => ANONYMOUS,
        }
    }

    pub(in crate::files) fn of_account(account: &str) -> Self {
        match account {
            EVERYBODY => Owner::Everybody,
            ANONYMOUS => Owner::Anonymous,
            name => Owner::User(name.into()),
        }
    }
}
