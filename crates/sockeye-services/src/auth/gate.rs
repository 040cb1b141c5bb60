//! A listener's accounts, and how they are used.

use super::penalty::Attempt;
use super::{Register, Watch, made_up, password};
use crate::data::Data;
use crate::settings::Settings;
use crate::store::{Account, Store};
use sockeye::{Address, Class, Error, Result};
use sockeye_proto::scram::Verifier;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// What time it is, in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

pub(super) fn wall_clock() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// The accounts behind a listener, for all of its connections.
pub struct Gate {
    data: Data,
    pub(super) register: Register,
    clock: Clock,
    pub(super) watch: Arc<Watch>,
    /// What only this server knows: buckets and made-up verifiers are derived from it.
    secret: OnceLock<[u8; 32]>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// Somebody who wants to log in, known or not.
pub(super) struct Candidate {
    pub(super) account: Option<Account>,
    pub(super) verifier: Verifier,
    pub(super) attempt: Attempt,
}

impl Gate {
    /// The accounts of this data folder.
    pub fn new(data: Data, register: Register) -> Self {
        Gate {
            watch: Arc::new(Watch::over(data.clone())),
            data,
            register,
            clock: Arc::new(wall_clock),
            secret: OnceLock::new(),
        }
    }

    /// What a service that has the login in its own dialogue needs of its settings.
    ///
    /// # Errors
    /// When there is no data folder.
    pub fn of(settings: &Settings) -> Result<Arc<Self>> {
        let data = settings.data.clone().ok_or_else(|| {
            Error::new("keep accounts", Class::General, "there is no data folder")
                .advise("name one with --data DIR")
        })?;
        Ok(Arc::new(Gate::new(data, settings.auth.register)))
    }

    /// Goes by another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.watch = Arc::new(Watch::by(self.data.clone(), clock.clone()));
        self.clock = clock;
        self
    }

    pub(super) fn now(&self) -> i64 {
        (self.clock)()
    }

    pub(super) fn store(&self) -> Result<Arc<dyn Store>> {
        self.data.store()
    }

    pub(super) async fn secret(&self) -> Result<[u8; 32]> {
        if let Some(secret) = self.secret.get() {
            return Ok(*secret);
        }
        let fresh = password::random()?;
        let kept = self.store()?.secret("logins", fresh).await?;
        Ok(*self.secret.get_or_init(|| kept))
    }

    /// Looks somebody up. For a name that nobody has the same is done.
    pub(super) async fn candidate(&self, name: &str, peer: &Address) -> Result<Candidate> {
        let secret = self.secret().await?;
        let account = self.store()?.account(name).await?;
        let made_up = made_up::verifier(&secret, name);
        let id = account.as_ref().map(|account| account.id);
        Ok(Candidate {
            verifier: account
                .as_ref()
                .map_or(made_up, |account| account.verifier.clone()),
            attempt: Attempt::new(&secret, name, id, peer),
            account,
        })
    }
}
