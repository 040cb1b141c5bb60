//! How much each user keeps, and may keep.

use super::Answer;

/// What can be counted. What is used and reserved is never more than that together, even where there is no limit.
pub const MOST: u64 = i64::MAX as u64;

/// What somebody keeps, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The sizes of all files.
    pub used: u64,
    /// What is on its way, and has its place already.
    pub reserved: u64,
    /// How much both may be; none where nobody has set a limit for this owner.
    pub limit: Option<u64>,
    /// Which server has counted it: a number that the server has drawn.
    pub counted_by: i64,
}

/// Whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is reserved; so much is left (`None`: there is no limit).
    Granted(Option<u64>),
    /// There is no room for it; this is what is kept.
    Refused(Usage),
}

/// The quotas of files. An owner is a user's name, or one that no user can have.
///
/// What an owner keeps and has reserved never becomes more than the limit by a reservation, however many are made at once. None of
/// it but a limit needs to outlive a power failure: each server counts anew.
pub trait Quotas {
    /// What an owner keeps.
    fn usage<'a>(&'a self, owner: &str) -> Answer<'a, Usage>;

    /// Reserves bytes, if there is room. `usual` is the limit of those who have none of their own.
    fn reserve<'a>(&'a self, owner: &str, bytes: u64, usual: Option<u64>) -> Answer<'a, Reserved>;

    /// Gives `freed` bytes of what was reserved back, and changes what is used.
    fn settle<'a>(&'a self, owner: &str, freed: u64, used: i64) -> Answer<'a, ()>;

    /// Says what was counted in the folder itself.
    fn recount<'a>(&'a self, owner: &str, counted: Usage) -> Answer<'a, ()>;

    /// All owners who have limits of their own, with them.
    fn limits(&self) -> Answer<'_, Vec<(String, u64)>>;

    /// Sets the limit of an owner, or takes it away. It goes before the usual one.
    fn set_limit<'a>(&'a self, owner: &str, limit: Option<u64>) -> Answer<'a, ()>;
}
