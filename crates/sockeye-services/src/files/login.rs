//! Who the client is.

use super::place::Owner;
use super::trouble::{self, Outcome};
use crate::auth::{self, Gate, Register, Scheme};
use crate::settings::Settings;
use serde_json::Value;
use sockeye::{Class, Connection, Error, Result};
use sockeye_proto::files::{Code, Failure};
use sockeye_proto::{frames, scram};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What the one user is called where nobody logs in; an account of this name has other files.
const EVERYBODY: &str = "local";

/// How clients of this listener log in.
pub(super) enum Access {
    /// They don't: all of them are the same user.
    Free,
    /// By accounts.
    Accounts { gate: Arc<Gate>, register: Register },
}

impl Access {
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        match settings.auth.scheme {
            // With a challenge they have shown that they know the secret, which all of them share.
            Scheme::None | Scheme::Challenge => Ok(Access::Free),
            Scheme::Scram | Scheme::Cert => Ok(Access::Accounts {
                gate: Gate::of(settings)?,
                register: settings.auth.register,
            }),
        }
    }

    /// Who may register, in the protocol's words.
    pub(super) fn register(&self) -> &'static str {
        match self {
            Access::Accounts {
                register: Register::Open,
                ..
            } => "open",
            Access::Accounts {
                register: Register::Invite,
                ..
            } => "invite",
            Access::Accounts {
                register: Register::Closed,
                ..
            }
            | Access::Free => "closed",
        }
    }
}

/// The login of one connection.
pub(super) enum Login {
    Free,
    Dialogue(Box<auth::Dialogue>),
}

impl Login {
    pub(super) fn new(access: &Access, conn: &Connection) -> Self {
        match access {
            Access::Free => Login::Free,
            Access::Accounts { gate, .. } => Login::Dialogue(Box::new(auth::Dialogue::new(gate, conn))),
        }
    }

    pub(super) fn knows(operate: &str) -> bool {
        auth::Dialogue::knows(operate)
    }

    pub(super) fn user(&self) -> Option<Arc<str>> {
        match self {
            Login::Free => Some(EVERYBODY.into()),
            Login::Dialogue(dialogue) => dialogue.user().cloned(),
        }
    }

    /// Whose files the client may reach.
    pub(super) fn owner(&self) -> Option<Owner> {
        match self {
            Login::Free => Some(Owner::Everybody),
            Login::Dialogue(dialogue) => dialogue.user().cloned().map(Owner::User),
        }
    }

    pub(super) fn mechanisms(&self, conn: &Connection) -> Vec<String> {
        let mechanism = match self {
            Login::Free => return Vec::new(),
            Login::Dialogue(_) if conn.tls().is_some() => scram::PLUS,
            Login::Dialogue(_) => scram::PLAIN,
        };
        vec![mechanism.to_owned()]
    }

    /// Answers a request of the login, as a frame.
    pub(super) async fn answer(&mut self, frame: &[u8], conn: &mut Connection) -> Result<Vec<u8>> {
        let request: Value = frames::decode(frame).unwrap_or_default();
        let answer = match self {
            Login::Dialogue(dialogue) => {
                let answer = dialogue.answer(&request).await;
                if let Some(user) = dialogue.user() {
                    conn.set_user(user.clone());
                }
                answer
            }
            Login::Free => serde_json::json!({
                "id": request.get("id"),
                "error": {"code": "denied", "message": "this service knows no accounts; nobody needs to log in"},
            }),
        };
        frames::encode(&answer).map_err(|error| Error::new("answer", Class::General, error))
    }

    /// Refuses whatever comes when the account isn't any more what it was at the login.
    pub(super) async fn lasts(&mut self) -> Outcome<()> {
        let Login::Dialogue(dialogue) = self else {
            return Ok(());
        };
        match dialogue.ended().await.map_err(trouble::busy)? {
            Some(why) => Err(Failure::new(Code::Ended, why.to_string())),
            None => Ok(()),
        }
    }

    /// Whether it failed so often that the connection is to be closed.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Login::Dialogue(dialogue) if dialogue.over())
    }
}

/// As long as nobody knows who it is, each word of theirs must come in time.
pub(super) async fn in_time<T>(limit: Duration, waited: impl Future<Output = T>) -> Result<T> {
    match sockeye::time::timeout(limit, waited).await {
        Err(error) if error.class() == Class::Timeout => Err(Error::timed_out("hear from a stranger", limit)),
        other => other,
    }
}
