//! Who may log in.

use super::Answer;
use crate::auth::penalty::{Attempt, Early, Flight};
use sockeye_proto::scram::{KEY, Verifier};

/// The most invitations that are open at once: an operator who hands out more has lost count.
pub const MAX_INVITATIONS: i64 = 10_000;

/// The hash of an invitation's code.
pub type InvitationHash = [u8; 32];

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its number, for as long as it is kept.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What a proof of its password is checked by.
    pub verifier: Verifier,
    /// Whether it may not be used at present.
    pub disabled: bool,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// There is such an account now.
    Done,
    /// There was one of this name already, or of one that differs in capital letters alone.
    Taken,
    /// There is no such invitation, or it has been used.
    Uninvited,
}

/// The accounts.
pub trait Accounts {
    /// The account of this name.
    fn account(&self, name: &str) -> Answer<'_, Option<Account>>;

    /// All of them, by name.
    fn accounts(&self) -> Answer<'_, Vec<Account>>;

    /// Makes an account, at this time in seconds since 1970. With an invitation that is used up by it.
    fn add_account(
        &self,
        name: &str,
        verifier: Verifier,
        invitation: Option<InvitationHash>,
        now: i64,
    ) -> Answer<'_, Added>;

    /// Gives an account another password; false if there is none of this name.
    fn set_verifier(&self, name: &str, verifier: Verifier) -> Answer<'_, bool>;

    /// The same by its owner; false also if it is disabled, or has another password by now than the one with this `stored_key`.
    fn change_verifier(&self, name: &str, proved: Option<[u8; KEY]>, verifier: Verifier) -> Answer<'_, bool>;

    /// A number that becomes another whenever any account is changed or removed, by whatever program.
    fn account_changes(&self) -> Answer<'_, i64>;

    /// Keeps its owner out, or lets them in again; false if there is none of this name.
    fn set_disabled(&self, name: &str, disabled: bool) -> Answer<'_, bool>;

    /// Keeps an invitation; false if there are [`MAX_INVITATIONS`] already.
    fn add_invitation(&self, code: InvitationHash, now: i64) -> Answer<'_, bool>;

    /// Random bytes that stay the same: `fresh` ones, if there were none of this name.
    fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Answer<'_, [u8; 32]>;

    /// An attempt to log in is about to be looked at, unless it comes too early. Until it has ended it counts as one that may
    /// fail: so attempts at the same time count each other. `now` is in milliseconds since 1970.
    fn attempt(&self, attempt: Attempt, now: i64) -> Answer<'_, Result<Flight, Early>>;

    /// It was none that failed: keeps in mind where the account was used.
    fn attempt_succeeded(&self, flight: Flight, now: i64) -> Answer<'_, ()>;

    /// It was one.
    fn attempt_failed(&self, flight: Flight, now: i64) -> Answer<'_, ()>;
}
