//! Sessions: an account may be disabled, or get another password, while somebody is logged in.

use super::gate::{Clock, wall_clock};
use crate::data::Data;
use crate::store::{Account, Failure};
use sockeye::Result;
use sockeye_proto::scram::KEY;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So long after an account was changed its sessions end, at the latest, with their next request. A server looks at the books
/// as often, and not once for each request.
pub const NOTICE: Duration = Duration::from_secs(2);

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The operator keeps the account out.
    Disabled,
    /// It has another password than the one that was proved.
    Changed,
    /// There is no such account any more.
    Gone,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Over::Disabled => "this account has been disabled; ask the operator",
            Over::Changed => "the password of this account was changed; log in again",
            Over::Gone => "there is no such account any more; ask the operator",
        })
    }
}

/// Looks now and then whether any account was changed, for all sessions of a listener.
pub(crate) struct Watch {
    data: Data,
    clock: Clock,
    /// When it looked last, and the number of changes that it saw.
    seen: Mutex<Option<(i64, i64)>>,
}

impl Watch {
    pub(crate) fn over(data: Data) -> Self {
        Watch::by(data, Arc::new(wall_clock))
    }

    pub(super) fn by(data: Data, clock: Clock) -> Self {
        Watch {
            data,
            clock,
            seen: Mutex::new(None),
        }
    }

    async fn changes(&self) -> Result<i64, Failure> {
        let now = (self.clock)();
        let notice = i64::try_from(NOTICE.as_millis()).unwrap_or(i64::MAX);
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Some((at, changes)) if (0..notice).contains(&(now - at)) => return Ok(changes),
            _ => {}
        }
        let changes = self.store()?.account_changes().await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, changes));
        Ok(changes)
    }

    fn store(&self) -> Result<Arc<dyn crate::store::Store>, Failure> {
        self.data.store().map_err(|error| Failure::new(error.to_string()))
    }
}

/// Somebody who is logged in.
pub(crate) struct Session {
    watch: Arc<Watch>,
    user: Arc<str>,
    /// The key of the password that was proved, if it was one.
    key: Option<[u8; KEY]>,
    /// As many changes of accounts were there when this one was looked at; at first it wasn't.
    changes: Option<i64>,
}

impl Session {
    /// Of somebody who has proved to know the password with this key, or who they are by other means.
    pub(crate) fn of(watch: &Arc<Watch>, user: Arc<str>, key: Option<[u8; KEY]>) -> Self {
        Session {
            watch: watch.clone(),
            user,
            key,
            changes: None,
        }
    }

    /// Of somebody who has proved just now to know the password of their account.
    pub(crate) async fn by_password(watch: &Arc<Watch>, user: Arc<str>) -> Result<Self, Failure> {
        let account = watch.store()?.account(&user).await?;
        let key = account.map(|account| account.verifier.stored_key);
        Ok(Session::of(watch, user, key))
    }

    pub(super) fn key(&self) -> Option<[u8; KEY]> {
        self.key
    }

    /// It was itself who has changed the password.
    pub(super) fn changed(&mut self, key: [u8; KEY]) {
        self.key = self.key.and(Some(key));
    }

    /// Whether it is over, and why.
    pub(crate) async fn over(&mut self) -> Result<Option<Over>, Failure> {
        let changes = self.watch.changes().await?;
        if self.changes == Some(changes) {
            return Ok(None);
        }
        let over = self.look().await?;
        if over.is_none() {
            self.changes = Some(changes);
        }
        Ok(over)
    }

    pub(super) async fn look(&self) -> Result<Option<Over>, Failure> {
        let account = self.watch.store()?.account(&self.user).await?;
        Ok(self.why(account.as_ref()))
    }

    fn why(&self, account: Option<&Account>) -> Option<Over> {
        let Some(account) = account else {
            return Some(Over::Gone);
        };
        let same = self.key.is_none_or(|key| key == account.verifier.stored_key);
        match (account.disabled, same) {
            (true, _) => Some(Over::Disabled),
            (false, false) => Some(Over::Changed),
            (false, true) => None,
        }
    }
}
