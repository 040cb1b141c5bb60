//! The login as requests and answers, for a service's own dialogue or in front of it.
//!
//! docs/protocols/auth.md specifies it.

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

use super::penalty::{Attempt, Early, Flight};
use super::{Gate, Over, Register, Session, gate::Candidate, invitation_hash, is_name, password};
use crate::patience::Patience;
use crate::store::{Account, Added, Store};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sockeye::{Address, Connection, Result};
use sockeye_proto::scram::{self, ClientFirst, KEY, MAX_ITERATIONS, MIN_ITERATIONS, MIN_SALT, Verifier};
use std::sync::Arc;
use std::time::Duration;

/// After so many failures on one connection it is closed: who mistypes has another try or two, and a guesser pays for a new
/// connection.
const MAX_FAILURES: u32 = 3;
/// How long an attempt waits for others of the same account or address to come to their ends: each of them takes two commits of
/// the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it asks meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// The longest salt that is kept.
const MAX_SALT: usize = 64;

/// How a refusal is named in an answer, and what it says.
struct Refusal {
    code: &'static str,
    message: String,
    seconds: Option<u64>,
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        code,
        message: message.into(),
        seconds: None,
    })
}

/// One sentence for every wrong proof: whether there is such an account is not for strangers to know.
fn denied<T>() -> Result<T, Refusal> {
    refuse("denied", "the user name or the password is wrong")
}

impl From<sockeye::Error> for Refusal {
    fn from(error: sockeye::Error) -> Self {
        tracing::error!(%error, "a login failed for no fault of the peer's");
        Refusal {
            code: "unavailable",
            message: "the server can't look into its accounts at present; try again later".to_owned(),
            seconds: None,
        }
    }
}

impl From<crate::store::Failure> for Refusal {
    fn from(failure: crate::store::Failure) -> Self {
        sockeye::Error::from(failure).into()
    }
}

#[derive(Deserialize)]
#[serde(tag = "operate", rename_all = "lowercase")]
enum Request {
    Login {
        mechanism: String,
        message: String,
    },
    Proof {
        message: String,
    },
    Register {
        user: String,
        invite: Option<String>,
        #[serde(flatten)]
        verifier: Sent,
    },
    Password {
        #[serde(flatten)]
        verifier: Sent,
    },
}

/// A verifier as it travels.
#[derive(Deserialize, Serialize)]
pub(super) struct Sent {
    salt: String,
    iterations: u32,
    stored_key: String,
    server_key: String,
}

impl Sent {
    pub(super) fn of(verifier: &Verifier) -> Self {
        Sent {
            salt: STANDARD.encode(&verifier.salt),
            iterations: verifier.iterations,
            stored_key: STANDARD.encode(verifier.stored_key),
            server_key: STANDARD.encode(verifier.server_key),
        }
    }

    fn read(&self) -> Result<Verifier, Refusal> {
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&self.iterations) {
            let range = format!("derive the key with {MIN_ITERATIONS} to {MAX_ITERATIONS} iterations");
            return refuse("weak", range);
        }
        let salt = decode(&self.salt)?;
        if !(MIN_SALT..=MAX_SALT).contains(&salt.len()) {
            return refuse("weak", format!("the salt has {MIN_SALT} to {MAX_SALT} bytes"));
        }
        Ok(Verifier {
            salt,
            iterations: self.iterations,
            stored_key: key(&self.stored_key)?,
            server_key: key(&self.server_key)?,
        })
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, Refusal> {
    let decoded = STANDARD.decode(base64);
    decoded.or_else(|_| refuse("malformed", "a value is no base64"))
}

fn key(base64: &str) -> Result<[u8; KEY], Refusal> {
    let decoded = decode(base64)?.try_into();
    decoded.or_else(|_| refuse("malformed", format!("a key has {KEY} bytes")))
}

/// What a proof is bound to.
#[derive(Clone, Copy)]
enum Channel {
    /// There is no TLS.
    Plain,
    /// The TLS session.
    Tls([u8; KEY]),
    /// TLS of a version that has nothing to bind to.
    OldTls,
}

/// A login under way.
struct Pending {
    server: scram::Server,
    account: Option<Account>,
    attempt: Attempt,
}

/// The login of one connection, a request at a time.
pub struct Dialogue {
    gate: Arc<Gate>,
    peer: Address,
    channel: Channel,
    pending: Option<Pending>,
    user: Option<Arc<str>>,
    session: Option<Session>,
    failures: u32,
}

impl Dialogue {
    /// For a connection, which may have proved already who it is.
    pub fn new(gate: &Arc<Gate>, conn: &Connection) -> Self {
        let channel = match conn.tls_binding() {
            Some(binding) => Channel::Tls(binding),
            None if conn.tls().is_some() => Channel::OldTls,
            None => Channel::Plain,
        };
        Dialogue {
            gate: gate.clone(),
            peer: conn.peer().clone(),
            channel,
            pending: None,
            user: conn.user().cloned(),
            session: conn
                .user()
                .map(|user| Session::of(&gate.watch, user.clone(), None)),
            failures: 0,
        }
    }

    /// Whether a request with this `operate` is to be answered here.
    pub fn knows(operate: &str) -> bool {
        matches!(operate, "login" | "proof" | "register" | "password")
    }

    /// Who has logged in.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// Whether the login counts no longer, and why: to be asked before each request of a service. What has changed is noticed
    /// within [`NOTICE`](super::NOTICE); the connection is to be closed then.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn ended(&mut self) -> Result<Option<Over>> {
        match &mut self.session {
            Some(session) => Ok(session.over().await?),
            None => Ok(None),
        }
    }

    /// Whether there were too many failures: the connection is to be closed when the answer is sent.
    pub fn over(&self) -> bool {
        self.failures >= MAX_FAILURES
    }

    /// Answers a request.
    pub async fn answer(&mut self, request: &Value) -> Value {
        let id = request.get("id").cloned().unwrap_or_default();
        let answer = match Request::deserialize(request) {
            Ok(request) => self.perform(request).await,
            // Its words may have a part of the request in them, and go back to who sent it alone.
            Err(error) => refuse("malformed", format!("the request can't be read: {error}")),
        };
        match answer {
            Ok(ok) => json!({"id": id, "ok": ok}),
            Err(refusal) => {
                if matches!(refusal.code, "denied" | "wait" | "invite" | "mechanism") {
                    self.failures += 1;
                }
                let mut error = json!({"code": refusal.code, "message": refusal.message});
                if let Some(seconds) = refusal.seconds {
                    error["seconds"] = seconds.into();
                }
                json!({"id": id, "error": error})
            }
        }
    }

    async fn perform(&mut self, request: Request) -> Result<Value, Refusal> {
        match request {
            Request::Login { mechanism, message } => self.login(&mechanism, &decode(&message)?).await,
            Request::Proof { message } => self.proof(&decode(&message)?).await,
            Request::Register {
                user,
                invite,
                verifier,
            } => self.register(user, invite, verifier.read()?).await,
            Request::Password { verifier } => self.password(verifier.read()?).await,
        }
    }

    async fn login(&mut self, mechanism: &str, message: &[u8]) -> Result<Value, Refusal> {
        self.pending = None;
        if self.user.is_some() {
            return refuse("login", "this connection has logged in already");
        }
        let binding = match self.channel {
            Channel::Plain => None,
            Channel::Tls(binding) => Some(binding),
            Channel::OldTls => return refuse("mechanism", "a login over TLS needs TLS 1.3"),
        };
        let first = match ClientFirst::read(message) {
            Ok(first) if first.user.len() <= scram::MAX_MESSAGE => first,
            Ok(_) => return refuse("malformed", "the name is too long"),
            Err(scram::Failed::Binding) => return self.wrong_mechanism(),
            Err(error) => return refuse("malformed", error.to_string()),
        };
        let Candidate {
            account,
            verifier,
            attempt,
        } = self.gate.candidate(&first.user, &self.peer).await?;
        let random = password::random::<18>()?;
        let challenged = scram::Server::challenge(mechanism, first, verifier, binding, &random);
        let Ok((server, challenge)) = challenged else {
            return self.wrong_mechanism();
        };
        self.pending = Some(Pending {
            server,
            account,
            attempt,
        });
        Ok(json!({"message": STANDARD.encode(challenge)}))
    }

    fn wrong_mechanism(&self) -> Result<Value, Refusal> {
        let mechanism = match self.channel {
            Channel::Plain => scram::PLAIN,
            _ => scram::PLUS,
        };
        let bound = if mechanism == scram::PLUS {
            " with tls-exporter"
        } else {
            ""
        };
        refuse(
            "mechanism",
            format!("on this connection the mechanism is {mechanism}{bound}"),
        )
    }

    async fn proof(&mut self, message: &[u8]) -> Result<Value, Refusal> {
        let Some(pending) = self.pending.take() else {
            return refuse("malformed", "a proof follows a login");
        };
        let store = self.gate.store()?;
        let Pending {
            server,
            account,
            attempt,
        } = pending;
        let flight = self.turn(&*store, attempt, "failures").await?;
        let verified = server.verify(message);
        let (accepted, account) = match (verified, account) {
            (Ok(accepted), Some(account)) => (accepted, account),
            (verified, account) => {
                let why = verified.err().map(|error| error.to_string()).unwrap_or_default();
                tracing::info!(peer = %self.peer, known = account.is_some(), why, "a login was denied");
                store.attempt_failed(flight, self.gate.now()).await?;
                return denied();
            }
        };
        // The login may have begun a minute ago, and the password been changed since.
        let proved = account.verifier.stored_key;
        let now = store.account(&account.name).await?;
        let Some(account) = now.filter(|now| now.verifier.stored_key == proved) else {
            tracing::info!(peer = %self.peer, "a password was proved that has been changed meanwhile");
            store.attempt_failed(flight, self.gate.now()).await?;
            return denied();
        };
        if account.disabled {
            tracing::info!(peer = %self.peer, user = account.name, "a disabled account was tried");
            self.failures += 1;
            store.attempt_failed(flight, self.gate.now()).await?;
            return refuse("disabled", "this account is disabled; ask the operator");
        }
        store.attempt_succeeded(flight, self.gate.now()).await?;
        tracing::debug!(peer = %self.peer, user = account.name, "logged in");
        let user: Arc<str> = account.name.as_str().into();
        let proved = Some(account.verifier.stored_key);
        self.session = Some(Session::of(&self.gate.watch, user.clone(), proved));
        self.user = Some(user);
        Ok(json!({"message": STANDARD.encode(accepted.message), "user": account.name}))
    }

    /// Waits until an attempt may be looked at, unless it came too early.
    async fn turn(&self, store: &dyn Store, attempt: Attempt, what: &str) -> Result<Flight, Refusal> {
        let mut patience = Patience::new(PATIENCE, TRY_AGAIN);
        let wait = loop {
            match store.attempt(attempt, self.gate.now()).await? {
                Ok(flight) => return Ok(flight),
                Err(Early::Wait(wait)) => break wait,
                Err(Early::Crowded) if patience.again().await? => {}
                Err(Early::Crowded) => break Duration::ZERO,
            }
        };
        let seconds = wait.as_secs() + 1;
        Err(Refusal {
            code: "wait",
            message: format!("there were too many {what}; try again in {seconds} s"),
            seconds: Some(seconds),
        })
    }

    async fn register(
        &mut self,
        user: String,
        invite: Option<String>,
        verifier: Verifier,
    ) -> Result<Value, Refusal> {
        let invitation = match (self.gate.register, invite) {
            (Register::Closed, _) => return refuse("closed", "accounts are made by the operator alone"),
            (Register::Invite, None) => return refuse("invite", "an invitation is needed to register"),
            (Register::Invite, Some(code)) => Some(invitation_hash(&code)),
            (Register::Open, _) => None,
        };
        if !is_name(&user) {
            let rule = "a name has 1 to 64 letters, digits, dots, hyphens and underscores, and no dot first";
            return refuse("name", rule);
        }
        let (store, now) = (self.gate.store()?, self.gate.now());
        let attempt = Attempt::registration(&self.gate.secret().await?, &self.peer);
        let flight = self.turn(&*store, attempt, "registrations").await?;
        store.attempt_failed(flight, now).await?; // it counts as one, whatever comes of it
        match store.add_account(&user, verifier, invitation, now / 1000).await? {
            Added::Done => Ok(json!({"user": user})),
            Added::Taken => refuse(
                "taken",
                "there is an account of this name already; choose another",
            ),
            Added::Uninvited => refuse("invite", "there is no such invitation, or it was used"),
        }
    }

    async fn password(&mut self, verifier: Verifier) -> Result<Value, Refusal> {
        let (Some(user), Some(session)) = (self.user.clone(), &mut self.session) else {
            return refuse("login", "log in first");
        };
        let (proved, key, store) = (session.key(), verifier.stored_key, self.gate.store()?);
        if store.change_verifier(&user, proved, verifier).await? {
            session.changed(key);
            return Ok(json!({}));
        }
        self.failures = MAX_FAILURES;
        let why = session.look().await?.unwrap_or(Over::Gone);
        refuse("ended", why.to_string())
    }
}
