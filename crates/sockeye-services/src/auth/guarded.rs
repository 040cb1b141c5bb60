//! A handler whose peers prove who they are before it begins.

use super::gate::wall_clock;
use super::penalty::{Table, near};
use super::places::{Place, Places};
use super::{Dialogue, Gate, Policy, Scheme, Secret, certificate, password};
use crate::data::Data;
use serde_json::{Value, json};
use sockeye::{Class, Connection, Error, Handler, Result};
use sockeye_proto::frames;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

/// How long a peer may take to prove who it is: long enough to type a password, and for a slow machine to derive a key.
pub const LOGIN_TIME: Duration = Duration::from_secs(60);
/// The longest request of a login: four times what a name, a salt and two keys need.
const MAX_REQUEST: usize = 8 << 10;

/// How the peers of a listener prove who they are.
#[derive(Debug)]
pub struct Guard {
    how: How,
    limit: Duration,
    places: Places,
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
            places: Places::new(),
        }))
    }

    /// By accounts and passwords.
    pub fn scram(gate: Arc<Gate>) -> Self {
        Guard {
            how: How::Scram(gate),
            limit: LOGIN_TIME,
            places: Places::new(),
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
        let place = self.places.take(near(conn.peer()));
        let (place, give_way) = place.ok_or_else(|| denied(conn, "too many others are about to log in"))?;
        let proved = give_way.unless(async {
            match &self.how {
                How::Challenge(secret, failures) => challenge(conn, secret, failures, &place).await,
                How::Scram(gate) => scram(conn, gate, &place).await,
                How::Cert(gate) => cert(conn, gate).await,
            }
        });
        let proved = match sockeye::time::timeout(self.limit, proved).await {
            Ok(Some(proved)) => proved,
            Ok(None) => Err(denied(
                conn,
                "it said nothing, and its place was needed for another",
            )),
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

fn denied(conn: &Connection, why: impl Into<String>) -> Error {
    Error::new("log in", Class::General, why.into()).at(conn.peer())
}

/// The digest is read and not a byte more: the peer's first message may follow at once.
async fn challenge(
    conn: &mut Connection,
    secret: &Secret,
    failures: &Table,
    place: &Place<'_>,
) -> Result<()> {
    in_turn(conn, failures)?;
    let challenge = password::random()?;
    conn.send_all(&challenge).await?;
    let mut answer = [0; 64];
    let answer = &mut answer[..secret.digest.answer_len()];
    if let Err(error) = conn.read_exact(answer).await {
        return Err(Error::io("log in", error).at(conn.peer()));
    }
    place.heard();
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

async fn scram(conn: &mut Connection, gate: &Arc<Gate>, place: &Place<'_>) -> Result<()> {
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
        place.heard();
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
    use sockeye::{Model, Server};

    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::channel;
    use std::thread;

    /// Far longer than a slow machine needs.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Says nothing.
    struct Nothing;

    impl Handler for Nothing {
        async fn handle(&self, _: &mut Connection) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_says_nothing_gives_way_under_every_model() {
        let folder = tempfile::tempdir().expect("a folder");
        let gate = Arc::new(Gate::new(Data::at(folder.path()), crate::auth::Register::Closed));
        // Under `process` each connection has a process, and all the places of it.
        for model in Model::ALL.into_iter().filter(|model| model.shares_memory()) {
            let mut guard = Guard::scram(gate.clone());
            guard.places = Places::of(2);
            let server = Server::bind("tcp://127.0.0.1:0").expect("bind").model(model);
            let running = server.start(Guarded::new(Nothing, guard)).expect("start");
            let address = running.endpoint().to_string();
            let address = address.trim_start_matches("tcp://");
            let request = json!({"id": 1, "operate": "proof", "message": ""});
            let request = frames::encode(&request).expect("short");
            let mut known = TcpStream::connect(address).expect("connect");
            known.write_all(&request).expect("send");
            known.read_exact(&mut [0; 4]).expect("an answer");
            let (tell, told) = channel();
            let mut silent: Vec<_> = (0..2)
                .map(|number| {
                    let peer = TcpStream::connect(address).expect("connect");
                    let (mut heard, tell) = (peer.try_clone().expect("a handle"), tell.clone());
                    thread::spawn(move || tell.send((number, heard.read(&mut [0]).ok())));
                    peer
                })
                .collect();
            let (gone, heard) = told.recv_timeout(PATIENCE).expect("there is one place");
            assert_eq!(heard, Some(0), "{model}");
            silent[1 - gone].write_all(&request).expect("send");
            let (left, heard) = told.recv_timeout(PATIENCE).expect("an answer");
            assert_eq!((left, heard), (1 - gone, Some(1)), "{model}");
        }
    }
}
