//! Authentication as peers meet it, and as attackers do.

mod attacks;
mod certificates;
mod challenge;
mod interop;
mod login;
mod registration;
mod sessions;
mod turns;

use crate::serving::{PATIENCE, Served};
use aws_lc_rs::pbkdf2;
use sockeye::{Connection, Dialer, Model, Running, Server, TlsClient, block_on};
use sockeye_proto::scram::{KEY, Keys};
use sockeye_services::auth::{Gate, Guard, Register, new_verifier};
use sockeye_services::catalog::{self, How};
use sockeye_services::data::Data;
use sockeye_services::settings::Settings;
use sockeye_services::store::Added;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

pub(crate) const PASSWORD: &str = "correct horse";

/// The keys of the password.
pub(crate) fn keys(salt: &[u8], iterations: u32) -> Keys {
    let (hash, mut salted) = (pbkdf2::PBKDF2_HMAC_SHA256, [0; KEY]);
    let iterations = NonZeroU32::new(iterations).expect("some");
    pbkdf2::derive(hash, iterations, salt, PASSWORD.as_bytes(), &mut salted);
    Keys::of(&salted)
}

/// Accounts in a folder that goes when the test ends.
pub(crate) struct Accounts {
    pub(crate) data: Data,
    _folder: tempfile::TempDir,
}

impl Accounts {
    /// With these users, who all have the same password.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self::below(&std::env::temp_dir(), names)
    }

    /// The same in this folder, if it is there.
    pub(crate) fn below(folder: &Path, names: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(folder).or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a folder");
        let data = Data::at(folder.path());
        data.open().expect("a folder of ours");
        let verifier = new_verifier(PASSWORD).expect("a good password");
        let store = data.store().expect("a store");
        for name in names {
            let added = block_on(store.add_account(name, verifier.clone(), None, 0)).expect("a model");
            assert_eq!(added.expect("a store"), Added::Done);
        }
        Accounts {
            data,
            _folder: folder,
        }
    }

    pub(crate) fn gate(&self) -> Gate {
        Gate::new(self.data.clone(), Register::Closed)
    }
}

/// The echo service behind a guard.
pub(crate) fn guarded(endpoint: &str, model: Model, guard: Guard) -> Served {
    let (teller, events) = channel();
    let server = Server::bind(endpoint)
        .expect("bind")
        .model(model)
        .observe(move |event| {
            let _ = teller.send(event.clone()); // nobody has to listen
        });
    let running = start_echo(server, guard);
    Served { running, events }
}

/// The echo service on this server, for whom the guard lets in.
fn start_echo(server: Server, guard: Guard) -> Running {
    let echo = catalog::named("echo").expect("a service");
    let starter = (echo.make)(&Settings::new()).expect("nothing is set");
    let guard = Some(guard);
    let how = How { guard, here: false };
    starter.start_as(server, how).expect("start")
}

/// The same behind accounts.
pub(crate) fn behind(accounts: &Accounts, endpoint: &str, model: Model) -> Served {
    guarded(endpoint, model, Guard::scram(Arc::new(accounts.gate())))
}

/// A client that is driven by a Tokio runtime.
pub(crate) fn client<T>(talk: impl Future<Output = sockeye::Result<T>>) -> sockeye::Result<T> {
    block_on(async { sockeye::time::timeout(PATIENCE, talk).await? }).expect("a model")
}

pub(crate) async fn dial(served: &Served) -> sockeye::Result<Connection> {
    let endpoint = served.running.endpoint();
    match served.running.certificate_der() {
        Some(der) => {
            Dialer::new()
                .tls(TlsClient::trusting_der(&[&der])?)
                .dial(&endpoint)
                .await
        }
        None => sockeye::dial(&endpoint).await,
    }
}

/// Sends a line and expects it back.
pub(crate) async fn echoes(conn: &mut Connection, line: &str) -> sockeye::Result<()> {
    use tokio::io::AsyncReadExt;
    conn.send_all(line.as_bytes()).await?;
    let mut back = vec![0; line.len()];
    conn.read_exact(&mut back).await?;
    assert_eq!(String::from_utf8_lossy(&back), line);
    Ok(())
}
