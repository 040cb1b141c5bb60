//! Who a client is, and whom it trusts: options that clients have in common.
//!
//! | file | what it holds |
//! |---|---|
//! | [`pins`] | the certificates that were met before |
//! | [`prompt`] | a password, typed unseen |

pub(crate) mod pins;
pub(crate) mod prompt;

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use sockeye::{Connection, Dialer, Distrust, Endpoint, TlsClient, fingerprint};
use sockeye_proto::challenge::Digest;
use sockeye_services::auth::{client, read_secret};
use zeroize::Zeroizing;

use crate::discovered::{Destination, Found, readable};
use crate::exit::{Usage, tell};
use crate::hex;
use pins::{Pin, Pins, Seen, one_spelling};

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scheme {
    /// Not at all
    None,
    /// By the legacy challenge: a digest under a shared secret
    Challenge,
    /// By a user's password
    Scram,
}

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Who we are, and whom we trust")]
pub(crate) struct Credentials {
    /// The user to log in as; the password is asked for on the terminal
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The file of the password, which nobody else may read; else the one that SOCKEYE_PASSWORD_FILE names
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What the server asks for (scram if there is a user, else none)
    #[arg(long, value_name = "SCHEME")]
    auth: Option<Scheme>,
    /// The hash function of the challenge: md5 or sha256 (sha256)
    #[arg(long, value_name = "NAME")]
    digest: Option<Digest>,
    /// The file of the challenge's secret, which nobody else may read
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Trust the authorities, or the very certificates, of this PEM file
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint alone
    #[arg(long, value_name = "HEX", value_parser = hex::parse_fingerprint, conflicts_with = "ca")]
    fingerprint: Option<[u8; 32]>,
    /// The certificate to show the server, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    #[arg(skip)]
    known: Known,
}

/// A password that was asked for already: who connects again isn't asked again.
#[derive(Clone, Default)]
struct Known(OnceLock<Zeroizing<String>>);

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

impl Credentials {
    /// The user to log in as.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn scheme(&self) -> Scheme {
        let usual = if self.user.is_some() {
            Scheme::Scram
        } else {
            Scheme::None
        };
        self.auth.unwrap_or(usual)
    }

    /// Whether nothing is to be proved to the server.
    pub(crate) fn prove_nothing(&self) -> bool {
        self.scheme() == Scheme::None
    }

    /// Whether these options can be had together.
    ///
    /// # Errors
    /// [`Usage`], when they can't.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let challenge = self.scheme() == Scheme::Challenge;
        let wrong = match (challenge, &self.secret_file) {
            (true, None) => "--auth challenge needs the secret: name its file with --secret-file",
            (false, Some(_)) => "--secret-file is of no use without --auth challenge",
            _ if !challenge && self.digest.is_some() => "--digest is of no use without --auth challenge",
            _ if self.scheme() == Scheme::Scram && self.user.is_none() => "say who: --user NAME",
            _ if self.user.as_deref() == Some("") => "a user has a name: --user NAME",
            _ => return Ok(()),
        };
        Err(Usage::new(wrong))
    }

    /// Whether they can be had with this endpoint.
    ///
    /// # Errors
    /// [`Usage`], when they can't.
    pub(crate) fn check_for(&self, endpoint: &Endpoint) -> Result<(), Usage> {
        let of_tls = [
            (self.ca.is_some(), "--ca"),
            (self.fingerprint.is_some(), "--fingerprint"),
            (self.client_cert.is_some(), "--client-cert"),
        ];
        match of_tls.into_iter().find(|(given, _)| *given) {
            Some((_, option)) if !matches!(endpoint, Endpoint::Tls(_)) => {
                Err(Usage::new(format!("{option} is for tls:// endpoints")))
            }
            _ => Ok(()),
        }
    }

    /// Who has just chosen a password isn't asked for it again.
    pub(crate) fn remember(&self, password: Zeroizing<String>) {
        let _ = self.known.0.set(password); // the one that is known is the same
    }

    /// A connection to the endpoint; over TLS to somebody who is trusted. A certificate that vouches for itself is kept in
    /// mind at the first contact, and a change of it is a hard stop.
    ///
    /// A server that was found by a name is known by that, wherever it is; one whose name is new, and its address isn't, has to be the
    /// one that was met at that address.
    pub(crate) async fn dial(&self, there: &Destination) -> Result<Connection> {
        self.check()?;
        let endpoint = &there.endpoint;
        self.check_for(endpoint)?;
        self.suit(there)?;
        let Endpoint::Tls(at) = endpoint else {
            there.found.as_ref().map_or(Ok(()), never_met_over_tls)?;
            return Ok(sockeye::dial(endpoint).await?);
        };
        if let Some(path) = &self.ca {
            return self
                .dial_trusting(endpoint, TlsClient::trusting_file(path)?)
                .await;
        }
        if let Some(expected) = self.fingerprint {
            return self.dial_trusting(endpoint, TlsClient::pinned(expected)?).await;
        }
        let pins = Pins::usual()?;
        let address = one_spelling(&at.to_string());
        let place = there.found.as_ref().map_or(&address, |found| &found.known_as);
        let known = match pins.look_up(place)? {
            Some(pin) => Some((place, pin)),
            None => pins.look_up(&address)?.map(|pin| (&address, pin)),
        };
        let Some((known_as, pin)) = known else {
            return self.first_contact(there, place, &pins).await;
        };
        let conn = self.dial_known(endpoint, known_as, pin, &pins).await?;
        if known_as != place {
            pins.remember(place, pin)?; // a change of address won't make it a stranger
        }
        Ok(conn)
    }

    /// Whether who was found says what is to be proved to it, and we don't.
    fn suit(&self, there: &Destination) -> Result<()> {
        let Some(found) = there.found.as_ref().filter(|_| self.prove_nothing()) else {
            return Ok(());
        };
        let option = match found.auth.as_deref() {
            Some("scram") => "--user NAME",
            Some("challenge") => "--auth challenge --secret-file FILE",
            _ => return Ok(()),
        };
        bail!(
            "{} announces that it wants to know who comes: {option}",
            readable(&found.known_as)
        )
    }

    /// Does something over a connection to there, and takes leave whatever came of it: one that just breaks off over TLS is a failure to the
    /// server.
    pub(crate) async fn over<T>(
        &self,
        there: &Destination,
        job: impl AsyncFnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let mut conn = self.dial(there).await?;
        let done = job(&mut conn).await;
        let _ = conn.close().await; // nothing depends on it
        done
    }

    async fn dial_known(
        &self,
        endpoint: &Endpoint,
        known_as: &str,
        pin: Pin,
        pins: &Pins,
    ) -> Result<Connection> {
        match pin {
            Pin::Authority => {
                let dialled = self.dial_trusting(endpoint, TlsClient::system()?).await;
                dialled.map_err(|error| unvouched(error, known_as, pins))
            }
            Pin::Fingerprint(pinned) => {
                let dialled = self.dial_trusting(endpoint, TlsClient::pinned(pinned)?).await;
                dialled.map_err(|error| changed(error, known_as, endpoint, &pinned, pins))
            }
        }
    }

    async fn dial_trusting(&self, endpoint: &Endpoint, tls: TlsClient) -> Result<Connection> {
        let tls = match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => tls.certificate(certificate, key)?,
            _ => tls,
        };
        Ok(Dialer::new().tls(tls).dial(endpoint).await?)
    }

    /// An authority may vouch for it; else it is believed this once, and known again from then on.
    async fn first_contact(&self, there: &Destination, place: &str, pins: &Pins) -> Result<Connection> {
        let endpoint = &there.endpoint;
        // A machine without a list of authorities has none that could vouch.
        if let Ok(authorities) = TlsClient::system() {
            match self.dial_trusting(endpoint, authorities).await {
                Err(error) if distrust(&error) == Some(Distrust::UnknownIssuer) => {}
                Err(error) => return Err(error),
                Ok(conn) => {
                    // From now on nobody who vouches for himself is believed here.
                    pins.remember(place, Pin::Authority)?;
                    return Ok(conn);
                }
            }
        }
        let conn = self.dial_trusting(endpoint, TlsClient::unverified()?).await?;
        let shown = conn.tls().and_then(|tls| tls.certificates.into_iter().next());
        let shown = fingerprint(&shown.context("the server showed no certificate")?);
        let announced = there.found.as_ref().and_then(|found| found.fingerprint);
        if announced.is_some_and(|announced| announced != shown) {
            let _ = conn.close().await; // nothing depends on it
            bail!(differs(place, &shown));
        }
        match pins.remember(place, Pin::Fingerprint(shown))? {
            Seen::New => tell(&format!(
                "{} is new here. Its certificate vouches for itself; its fingerprint (SHA-256) is\n    {}\nCompare it \
                 with what its operator says; a change of it will be an error from now on ({}).",
                readable(place),
                hex::hex(&shown),
                pins.path().display()
            )),
            Seen::Same => {}
            Seen::Other => bail!(
                "{} has just been met with another certificate: try again",
                readable(place)
            ),
        }
        Ok(conn)
    }

    /// Proves who we are, as the server asks for it.
    pub(crate) async fn prove(&self, conn: &mut Connection) -> Result<()> {
        match self.scheme() {
            Scheme::None => Ok(()),
            Scheme::Challenge => {
                let path = self
                    .secret_file
                    .as_deref()
                    .context("the secret's file is missing")?;
                let secret = read_secret(path)?;
                Ok(client::answer_challenge(conn, self.digest.unwrap_or_default(), &secret).await?)
            }
            Scheme::Scram => {
                let user = self.user().context("the user is missing")?;
                Ok(client::log_in(conn, user, &self.password()?).await?)
            }
        }
    }

    /// The user's password: out of its file, or typed.
    pub(crate) fn password(&self) -> Result<Zeroizing<String>> {
        if let Some(password) = self.known.0.get() {
            return Ok(password.clone());
        }
        let password = match self.file() {
            Some(path) => from_file(&path)?,
            None => prompt::password(&format!("Password of {}: ", self.user().unwrap_or("the user")))?,
        };
        let _ = self.known.0.set(password.clone()); // nobody else has set it
        Ok(password)
    }

    fn file(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("SOCKEYE_PASSWORD_FILE").filter(|name| !name.is_empty());
        self.password_file.clone().or_else(|| named().map(PathBuf::from))
    }

    /// A new password: out of its file, or typed twice.
    pub(crate) fn new_password(&self) -> Result<Zeroizing<String>> {
        new_password(self.file().as_deref(), self.user().unwrap_or("the user"))
    }
}

/// A new password of this user: out of this file, or typed twice.
pub(crate) fn new_password(file: Option<&std::path::Path>, user: &str) -> Result<Zeroizing<String>> {
    if let Some(path) = file {
        return from_file(path);
    }
    let first = prompt::password(&format!("New password of {user}: "))?;
    let second = prompt::password("The same again: ")?;
    ensure!(first == second, "the two passwords differ");
    Ok(first)
}

fn from_file(path: &std::path::Path) -> Result<Zeroizing<String>> {
    let mut bytes = read_secret(path)?;
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    let text = text.map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        anyhow::anyhow!("read password {}: it is no UTF-8", path.display())
    })?;
    Ok(Zeroizing::new(text))
}

fn distrust(error: &anyhow::Error) -> Option<Distrust> {
    error.downcast_ref().and_then(Distrust::of)
}

/// Who was met over TLS isn't met without: whoever announces the same name could be anybody.
fn never_met_over_tls(found: &Found) -> Result<()> {
    let Ok(pins) = Pins::usual() else {
        return Ok(()); // nobody was ever met
    };
    let place = &found.known_as;
    ensure!(
        pins.look_up(place)?.is_none(),
        "{} was met over TLS before, and is announced without now: somebody else may go by its name. Nothing was sent. Ask \
         its operator; if that is theirs, remove the line of {place} from {} and connect again",
        readable(place),
        pins.path().display()
    );
    Ok(())
}

fn differs(place: &str, shown: &[u8; 32]) -> String {
    format!(
        "{} shows another certificate than it announces: somebody may be in between, or it has just been started anew. \
         Nothing was sent. Its fingerprint (SHA-256) is\n    {}\nAsk its operator, and insist with --fingerprint, or try again",
        readable(place),
        hex::hex(shown)
    )
}

fn unvouched(error: anyhow::Error, place: &str, pins: &Pins) -> anyhow::Error {
    if distrust(&error).is_none() {
        return error;
    }
    error.context(format!(
        "an authority has vouched for {} before, and none does for what it shows now: somebody may be in between. \
         Nothing was sent. Ask its operator; if that is theirs, remove the line of {place} from {} and connect again",
        readable(place),
        pins.path().display()
    ))
}

fn changed(
    error: anyhow::Error,
    place: &str,
    endpoint: &Endpoint,
    pinned: &[u8; 32],
    pins: &Pins,
) -> anyhow::Error {
    if distrust(&error) != Some(Distrust::Another) {
        return error;
    }
    anyhow::anyhow!(
        "{} shows another certificate than before: somebody may be in between, or its operator has changed it. Nothing \
         was sent.\nExpected was the fingerprint (SHA-256)\n    {}\nAsk the operator; `sockeye info {endpoint}` says which \
         it is now. If the change is theirs, remove the line of {place} from {} and connect again.",
        readable(place),
        hex::hex(pinned),
        pins.path().display()
    )
}
