//! TLS: who is trusted, and what is shown of who isn't.

use std::net::TcpListener;
use std::path::PathBuf;

use ::sockeye::{Connection, Handler, Running, Server, TlsServer};
use serde_json::json;

use super::{found, info, page};
use crate::serve::Serving;
use crate::sockeye::{sockeye, words};

struct Quiet;

impl Handler for Quiet {
    async fn handle(&self, conn: &mut Connection) -> ::sockeye::Result<()> {
        while !conn.recv().await?.is_empty() {}
        Ok(())
    }
}

/// A server whose certificate signed itself, and a file with that certificate.
struct Site {
    server: Running,
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Site {
    fn new() -> Self {
        let tls = TlsServer::self_signed(&["localhost", "127.0.0.1"]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("site.pem");
        std::fs::write(&file, pem(tls.certificate_der())).expect("a file");
        let server = Server::bind("tls://127.0.0.1:0").expect("bind").tls(tls);
        Site {
            server: server.start(Quiet).expect("a server"),
            _folder: folder,
            file,
        }
    }

    fn port(&self) -> String {
        self.server.endpoint().port().expect("a port").to_string()
    }

    fn endpoint(&self) -> String {
        format!("tls://localhost:{}", self.port())
    }

    fn file(&self) -> &str {
        self.file.to_str().expect("text")
    }
}

/// A certificate as a text (RFC 7468).
fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= three.len() {
                DIGITS[value].into()
            } else {
                '='
            });
        }
    }
    text + "\n-----END CERTIFICATE-----\n"
}

#[test]
fn a_certificate_that_signed_itself_is_refused_and_shown() {
    let (site, other) = (Site::new(), Site::new());
    let output = info(&[&site.endpoint(), "--ca", other.file()]);
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(
        said.starts_with("sockeye: the certificate is not trusted: TLS handshake tls://127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("--ca FILE, or look on with --insecure"), "{said}");
    let page = page(&output);
    for part in [
        "not trusted",
        "cert 1    CN=",
        "names    localhost, 127.0.0.1",
        "days left",
        "sha256 ",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
}

#[test]
fn programs_get_the_handshake_and_the_certificate() {
    let site = Site::new();
    let (report, code) = found(&[&site.endpoint(), "--ca", site.file()]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    let tls = &report["tls"];
    assert_eq!(
        (&tls["protocol"], &tls["trusted"]),
        (&json!("TLSv1.3"), &json!(true))
    );
    assert_eq!(
        (&tls["server_name"], &tls["distrust"]),
        (&json!("localhost"), &json!(null))
    );
    assert!(tls["cipher"].is_string() && tls["group"].is_string() && tls["took_us"].is_u64());
    let certificate = &tls["certificates"][0];
    let der = site.server.certificate_der().expect("TLS");
    let digest: String = ::sockeye::fingerprint(&der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(certificate["sha256"], digest);
    assert_eq!(certificate["subject"], certificate["issuer"]);
    assert_eq!(certificate["names"], json!(["localhost", "127.0.0.1"]));
    assert!(certificate["days_left"].as_i64().is_some_and(|days| days > 0));
    assert_eq!(
        (&certificate["key"], &certificate["key_bits"]),
        (&json!("ECDSA P-256"), &json!(256))
    );
    assert!(
        report["connection"]["tcp"]["bytes_received"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0)
    );
}

#[test]
fn a_certificate_made_at_start_is_for_this_machine_and_the_endpoint() {
    let serving = Serving::start(&[], &["echo@tls://127.0.0.2:0"]);
    let endpoint = format!("tls://{}", serving.address(0));
    let (report, _) = found(&[&endpoint, "--insecure"]);
    let certificate = &report["tls"]["certificates"][0];
    assert_eq!(certificate["subject"], "CN=Sockeye");
    assert_eq!(
        certificate["names"],
        json!(["localhost", "127.0.0.1", "::1", "127.0.0.2"])
    );
    assert!([json!(364), json!(365)].contains(&certificate["days_left"]));
}

#[test]
fn insecure_goes_on_and_says_why_it_should_not() {
    let site = Site::new();
    let (report, code) = found(&["localhost", &site.port(), "--tls", "--insecure"]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    let tls = &report["tls"];
    // A machine without a list of authorities has nobody to ask.
    if tls["trusted"] != json!(null) {
        assert_eq!(
            (&tls["trusted"], &tls["distrust"]["kind"]),
            (&json!(false), &json!("unknown-issuer"))
        );
    }
    assert_eq!(tls["certificates"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_name_must_be_the_certificates() {
    let site = Site::new();
    let with_ca = [
        &site.endpoint(),
        "--ca",
        site.file(),
        "--servername",
        "example.org",
    ];
    let (report, code) = found(&with_ca);
    assert_eq!((code, &report["error"]["kind"]), (Some(1), &json!("untrusted")));
    assert_eq!(report["tls"]["distrust"]["kind"], "wrong-name");
    let output = info(&with_ca);
    assert!(
        words(&output).contains("name one of its names with --servername"),
        "{}",
        words(&output)
    );
}

#[test]
fn what_our_clients_have_kept_of_a_certificate_is_told() {
    let site = Site::new();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("sockeye")).expect("made");
    let own = ::sockeye::fingerprint(&site.server.certificate_der().expect("TLS"));
    let own: String = own.iter().map(|byte| format!("{byte:02x}")).collect();
    for (pin, kind, said) in [
        ("", "new", "never met"),
        (own.as_str(), "same", "yes, it is the one"),
        (
            &"0a".repeat(32),
            "other",
            "CHANGED: our clients have kept another one",
        ),
        ("authority", "no-authority", "CHANGED: an authority vouched"),
    ] {
        let line = match pin {
            "" => String::new(),
            pin => format!("localhost:{} {pin}\n", site.port()),
        };
        std::fs::write(folder.path().join("sockeye/pins"), line).expect("written");
        let look = |format: &[&str]| {
            let endpoint = site.endpoint();
            let mut command = sockeye(&[&["info", &endpoint, "--insecure"], format].concat());
            command
                .env("XDG_CONFIG_HOME", folder.path())
                .output()
                .expect("it starts")
        };
        let report: serde_json::Value = serde_json::from_slice(&look(&["--json"]).stdout).expect("JSON");
        assert_eq!(report["tls"]["pin"], kind, "{report}");
        assert!(
            page(&look(&[])).contains(&format!("pinned           {said}")),
            "{pin}"
        );
    }
}

#[test]
fn names_of_any_letters_are_asked_for_in_ascii() {
    let site = Site::new();
    let endpoint = format!("tls://ｌｏｃａｌｈｏｓｔ:{}", site.port());
    let (report, code) = found(&[&endpoint, "--ca", site.file()]);
    assert_eq!(
        (code, &report["tls"]["trusted"]),
        (Some(0), &json!(true)),
        "{report}"
    );
    let output = info(&[&site.endpoint(), "--insecure", "--servername", "a b"]);
    assert!(
        words(&output).ends_with("\"a b\" is no name for a certificate\n"),
        "{}",
        words(&output)
    );
}

#[test]
fn a_server_without_tls_fails_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("bound");
    let hanging_up = std::thread::spawn(move || drop(listener.accept().expect("a client")));
    let output = info(&[&format!("tls://{address}"), "--insecure", "--json"]);
    hanging_up.join().expect("it hung up");
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(said.starts_with("sockeye: the TLS handshake failed: "), "{said}");
    assert!(said.contains("does the server speak TLS on this port?"), "{said}");
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("bound");
    let (report, code) = found(&[&format!("tls://{address}"), "--insecure", "--timeout", "500ms"]);
    assert_eq!(
        (code, &report["error"]["kind"]),
        (Some(1), &json!("timeout")),
        "{report}"
    );
    assert_eq!(report["error"]["step"], "tls");
    assert_eq!(report["connection"]["peer"], address.to_string());
}
