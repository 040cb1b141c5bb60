//! A handler whose peers prove who they are before it begins.

use super::gate::wall_clock;
use super::penalty::Table;
use super::{Dialogue, Gate, Policy, Scheme, Secret, certificate, password};
use crate::data::Data;
use serde_json::{Value, json};
use sockeye::{Class, Connection, Error, Handler, Result};
use sockeye_proto::frames;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

/// How long a peer may take to prove who it is: long enough to type a password, and for a slow machine to derive a key.
pub const LOGIN_TIME: Duration = Duration::from_secs(60);
/// How many may be about to do so at once, in one process: their buffers are 16 MiB then. Who comes beyond is closed at once.
pub const MAX_LOGGING_IN: usize = 2048;
/// The longest request of a login: four times what a name, a salt and two keys need.
const MAX_REQUEST: usize = 8 << 10;

/// How the peers of a listener prove who they are.
#[derive(Debug)]
pub struct Guard {
    how: How,
    limit: Duration,
    /// Those that are about to.
    logging_in: AtomicUsize,
}

#[derive(Debug)]
enum How {
    Challenge(Secret, Table),
    Scram(Arc<Gate>),
    Cert(Arc<Gate>),
}

impl Guard {
    /// What an operator has chosen; `None` when nothing is to be proved.
    ///
    /// # Errors
    /// When what the scheme needs is missing: the secret, or the folder of the accounts.
    pub fn new(policy: &Policy, data: Option<&Data>) -> Result<Option<Self>> {
        let gate = || {
            let data = data.cloned().ok_or_else(|| {
                let why = "there is no data folder to keep accounts in";
                Error::new("authenticate", Class::General, why).advise("name one with --data DIR")
            })?;
            Ok::<_, Error>(Arc::new(Gate::new(data, policy.register)))
        };
        let how = match policy.scheme {
            Scheme::None => return Ok(None),
            Scheme::Challenge => {
                let secret = policy.secret.clone().ok_or_else(|| {
                    let why = "the secret that peers must know is missing";
                    Error::new("authenticate", Class::General, why)
                        .advise("name its file with secret-file=PATH")
                })?;
                How::Challenge(secret, Table::new(password::random()?)?)
            }
            Scheme::Scram => How::Scram(gate()?),
            Scheme::Cert => How::Cert(gate()?),
        };
        Ok(Some(Guard {
            how,
            limit: LOGIN_TIME,
            logging_in: AtomicUsize::new(0),
        }))
    }

    /// By accounts and passwords.
    pub fn scram(gate: Arc<Gate>) -> Self {
        Guard {
            how: How::Scram(gate),
            limit: LOGIN_TIME,
            logging_in: AtomicUsize::new(0),
        }
    }

    /// Gives peers another time than [`LOGIN_TIME`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Returns when the peer is known.
    async fn admit(&self, conn: &mut Connection) -> Result<()> {
        let _place = Place::take(&self.logging_in)
            .ok_or_else(|| denied(conn, "too many others are about to log in"))?;
        let proved = sockeye::time::timeout(self.limit, async {
            match &self.how {
                How::Challenge(secret, failures) => challenge(conn, secret, failures).await,
                How::Scram(gate) => scram(conn, gate).await,
                How::Cert(gate) => cert(conn, gate).await,
            }
        });
        let proved = match proved.await {
            Ok(proved) => proved,
            Err(error) if error.class() == Class::Timeout => Err(Error::timed_out("log in", self.limit)),
            Err(error) => Err(error),
        };
        if proved.is_err() {
            // The last answer is to arrive before the close.
            let _ = conn.close_write().await;
        }
        proved
    }
}

/// One of the places of those that are about to log in.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize) -> Option<Self> {
        let place = Place(taken);
        (taken.fetch_add(1, Ordering::Relaxed) < MAX_LOGGING_IN).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn denied(conn: &Connection, why: impl Into<String>) -> Error {
    Error::new("log in", Class::General, why.into()).at(conn.peer())
}

/// The digest is read and not a byte more: the peer's first message may follow at once.
async fn challenge(conn: &mut Connection, secret: &Secret, failures: &Table) -> Result<()> {
    in_turn(conn, failures)?;
    let challenge = password::random()?;
    conn.send_all(&challenge).await?;
    let mut answer = [0; 64];
    let answer = &mut answer[..secret.digest.answer_len()];
    if let Err(error) = conn.read_exact(answer).await {
        return Err(Error::io("log in", error).at(conn.peer()));
    }
    in_turn(conn, failures)?; // others may have failed since
    match secret.digest.accepts(&secret.bytes, &challenge, answer) {
        true => Ok(()),
        false => {
            failures.failed(conn.peer(), wall_clock());
            Err(denied(conn, "the digest of the challenge is wrong"))
        }
    }
}

fn in_turn(conn: &Connection, failures: &Table) -> Result<()> {
    let Some(wait) = failures.wait(conn.peer(), wall_clock()) else {
        return Ok(());
    };
    let seconds = wait.as_secs() + 1;
    let why = format!("too many failures of its address; it may try again in {seconds} s");
    Err(denied(conn, why))
}

async fn scram(conn: &mut Connection, gate: &Arc<Gate>) -> Result<()> {
    let mut dialogue = Dialogue::new(gate, conn);
    loop {
        let request = match receive(conn).await {
            Ok(Some(request)) => request,
            Ok(None) => return Err(denied(conn, "the peer left")),
            Err(error) => {
                let _ = send(conn, &not_a_login()).await; // it may have gone
                return Err(error);
            }
        };
        let answer = dialogue.answer(&request).await;
        send(conn, &answer).await?;
        if let Some(user) = dialogue.user() {
            conn.set_user(user.clone());
            return Ok(());
        }
        if dialogue.over() {
            return Err(denied(conn, "it failed too often"));
        }
    }
}

async fn send(conn: &mut Connection, answer: &Value) -> Result<()> {
    let frame = frames::encode(answer).map_err(|error| denied(conn, error.to_string()))?;
    conn.send_all(&frame).await
}

/// To who doesn't know that there is to be a login, and has begun with the service's own words.
fn not_a_login() -> Value {
    json!({"id": null, "error": {"code": "login", "message": "log in first: this server asks for a user and a password"}})
}

/// The next request; what follows it stays with the connection.
async fn receive(conn: &mut Connection) -> Result<Option<Value>> {
    let (mut decoder, mut count) = (frames::Decoder::new(), 0);
    loop {
        let bytes = conn.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let taken = decoder.push(&bytes[..bytes.len().min(MAX_REQUEST + 1 - count)]);
        conn.consume(taken);
        count += taken;
        let frame = decoder.next().map_err(|error| denied(conn, error.to_string()))?;
        if let Some(frame) = frame {
            let request = frames::decode(&frame);
            return request.map(Some).map_err(|error| denied(conn, error.to_string()));
        }
        if count > MAX_REQUEST {
            return Err(denied(
                conn,
                format!("a request has more than {MAX_REQUEST} bytes"),
            ));
        }
    }
}

/// TLS has seen to it that the peer holds the key, and an authority has signed who it is.
async fn cert(conn: &mut Connection, gate: &Arc<Gate>) -> Result<()> {
    let shown = conn.tls().and_then(|tls| tls.certificates.into_iter().next());
    let shown = shown.ok_or_else(|| denied(conn, "the peer showed no certificate"))?;
    let Some(user) = certificate::user_of(&shown) else {
        return Err(denied(
            conn,
            "there is no name of an account in the peer's certificate",
        ));
    };
    match gate.store()?.account(&user).await? {
        Some(account) if !account.disabled => {
            conn.set_user(account.name);
            Ok(())
        }
        Some(_) => Err(denied(conn, format!("the account {user} is disabled"))),
        None => Err(denied(conn, format!("there is no account {user}"))),
    }
}

/// A handler with a guard in front of it.
pub struct Guarded<H> {
    inner: H,
    guard: Guard,
}

impl<H> Guarded<H> {
    /// Puts the guard in front of the handler.
    pub fn new(inner: H, guard: Guard) -> Self {
        Guarded { inner, guard }
    }
}

impl<H: Handler> Handler for Guarded<H> {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        // Boxed: it is over when the conversation begins, and no part of what an idle connection costs.
        Box::pin(self.guard.admit(conn)).await?;
        self.inner.setup(conn).await?;
        let handled = self.inner.handle(conn).await;
        self.inner.finish(conn).await;
        handled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_about_to_log_in() {
        let taken = AtomicUsize::new(0);
        let places: Vec<_> = (0..MAX_LOGGING_IN).map(|_| Place::take(&taken)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(Place::take(&taken).is_none());
        drop(places);
        assert!(Place::take(&taken).is_some());
        assert_eq!(taken.into_inner(), 0);
    }
}
