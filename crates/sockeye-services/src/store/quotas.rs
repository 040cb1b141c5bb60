//! How much each user keeps, and may keep.

/// The quotas of files.
pub trait Quotas {}
