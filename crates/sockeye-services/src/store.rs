//! What services keep: accounts, the shop's books, quotas of files.
//!
//! [`Store`] is what they know of it, a trait in parts, one for each subject. [`Sqlite`] keeps it all in one file and needs nothing installed.
//! What is answered is durable, but for what is counted anew at each start anyway. Another database would be another implementation: no SQL is outside of `sqlite/`.

mod accounts;
mod error;
mod quotas;
mod sqlite;
pub mod till;

pub use accounts::{Account, Accounts, Added, InvitationHash, MAX_INVITATIONS};
pub use error::Failure;
pub use quotas::{MOST, Quotas, Reserved, Usage};
pub use sqlite::Sqlite;
pub use till::Till;

use std::future::Future;
use std::pin::Pin;

/// What a store will answer. It may be awaited under any model.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// All of it.
pub trait Store: Accounts + Till + Quotas + Send + Sync {}

impl<S: Accounts + Till + Quotas + Send + Sync> Store for S {}
