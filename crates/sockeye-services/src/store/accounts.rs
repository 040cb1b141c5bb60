//! Who may log in.

/// The accounts.
pub trait Accounts {}
