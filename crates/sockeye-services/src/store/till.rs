//! The shop's books.

/// The goods, what customers have and owe, and the ledger.
pub trait Till {}
