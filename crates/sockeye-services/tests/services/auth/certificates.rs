//! Who a certificate is about.

use super::{Accounts, client, echoes, guarded, start_echo};
use rcgen::{CertificateParams, DnType, KeyPair};
use sockeye::{Dialer, Model, Server, TlsClient, TlsServer, block_on};
use sockeye_services::auth::{Guard, Policy, Scheme};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use crate::serving::{Served, each_model};

/// A certificate that vouches for itself, and its key.
fn certificate(folder: &tempfile::TempDir, names: &[&str], common: &str) -> (PathBuf, PathBuf) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, common);
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("signed");
    let (path, own) = (
        folder.path().join(common),
        folder.path().join(format!("{common}.key")),
    );
    fs::write(&path, made.pem()).expect("write");
    fs::write(&own, key.serialize_pem()).expect("write");
    (path, own)
}

fn serve(accounts: &Accounts, authorities: &Path, model: Model) -> Served {
    let (teller, events) = channel();
    let tls = TlsServer::self_signed(&["localhost"]).and_then(|tls| tls.client_authority(authorities));
    let server = Server::bind("tls://127.0.0.1:0").expect("bind").model(model);
    let server = server.tls(tls.expect("authorities")).observe(move |event| {
        let _ = teller.send(event.clone()); // nobody has to listen
    });
    let policy = Policy {
        scheme: Scheme::Cert,
        ..Policy::default()
    };
    let guard = Guard::new(&policy, Some(&accounts.data))
        .expect("accounts")
        .expect("a guard");
    let running = start_echo(server, guard);
    Served { running, events }
}

#[test]
fn the_bearer_is_the_account_of_that_name() {
    let accounts = Accounts::of(&["anna", "bert"]);
    let store = accounts.data.store().expect("a store");
    block_on(store.set_disabled("bert", true))
        .expect("a model")
        .expect("a store");
    let folder = tempfile::tempdir().expect("a folder");
    let known = [
        (
            certificate(&folder, &["not/a.name", "anna"], "by-its-alternative-name"),
            "",
        ),
        (certificate(&folder, &[], "anna"), ""),
        (
            certificate(&folder, &["anna@example.org"], "bert"),
            "the account bert is disabled",
        ),
        (certificate(&folder, &[], "carl"), "there is no account carl"),
        (certificate(&folder, &[], "a b"), "there is no name of an account"),
    ];
    let all: String = known
        .iter()
        .map(|((path, _), _)| fs::read_to_string(path).expect("PEM"))
        .collect();
    let authorities = folder.path().join("authorities.pem");
    fs::write(&authorities, all).expect("write");
    each_model(|model| {
        let served = serve(&accounts, &authorities, model);
        for ((path, key), refused) in &known {
            let talk = client(async {
                let tls = TlsClient::unverified()?.certificate(path, key)?;
                let mut conn = Dialer::new().tls(tls).dial(&served.running.endpoint()).await?;
                match refused.is_empty() {
                    true => echoes(&mut conn, "hello\n").await,
                    false => conn.recv().await.map(|chunk| assert!(chunk.is_empty())),
                }
            });
            talk.unwrap_or_else(|error| panic!("{model} {}: {error}", path.display()));
            let reason = served.next_reason();
            assert!(reason.contains(refused), "{model}: {reason}");
        }
    });
}

#[test]
fn without_a_certificate_nobody_is_let_in() {
    let accounts = Accounts::of(&["anna"]);
    let policy = Policy {
        scheme: Scheme::Cert,
        ..Policy::default()
    };
    let guard = Guard::new(&policy, Some(&accounts.data))
        .expect("accounts")
        .expect("a guard");
    let served = guarded("tls://127.0.0.1:0", Model::default(), guard);
    let talk = client(async {
        let dialer = Dialer::new().tls(TlsClient::unverified()?);
        dialer.dial(&served.running.endpoint()).await?.recv().await
    });
    assert!(talk.expect("an end").is_empty());
    assert!(served.next_reason().contains("showed no certificate"));
}
