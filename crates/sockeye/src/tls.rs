//! TLS over any connection, by rustls.

mod clients;
mod distrust;
mod kept;
mod self_signed;
mod spoken;
mod verify;

pub use distrust::Distrust;
pub(crate) use spoken::{is_none, unheard_farewell};

use crate::connection::Carrier;
use crate::endpoint::{Host, ascii_name};
use crate::error::{Class, Error, Result};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use verify::Verifier;

/// Where Linux distributions keep the certificates that a machine trusts.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    // The cipher that every TLS 1.3 has to know (RFC 8446, section 9.1) first: ten rounds of AES instead of fourteen. It is the
    // client's order that counts.
    let is_first =
        |suite: &rustls::SupportedCipherSuite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| !is_first(suite));
    Arc::new(provider)
}

fn failed(op: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(op, Class::General, cause)
}

/// What a server needs for TLS 1.2 and 1.3: a certificate and its key.
///
/// Under [`Model::Process`](crate::Model::Process) each connection's process seeds its own random numbers. aws-lc takes
/// 40 ms for that unless it is built with `AWS_LC_SYS_NO_JITTER_ENTROPY=1` in the environment, which this project's
/// `.cargo/config.toml` sets and a program that depends on the crate sets in its own.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl TlsServer {
    /// A certificate (chain, the server's own first) and its key from PEM files.
    ///
    /// # Errors
    /// When a file can't be read or holds no such thing, or the key isn't the certificate's.
    pub fn from_files(certificates: &Path, key: &Path) -> Result<Self> {
        let chain = read_certificates(certificates)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| failed("read TLS key", error.to_string()).at(key.display()))?;
        Self::new(chain, key)
    }

    /// A certificate made now for these names and addresses, signed by itself and valid for a year. Its clients must be
    /// told to trust it.
    ///
    /// # Errors
    /// When a name can't be part of a certificate.
    ///
    /// ```
    /// let tls = sockeye::TlsServer::self_signed(&["localhost", "127.0.0.1"])?;
    /// assert!(!tls.certificate_der().is_empty());
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn self_signed(names: &[&str]) -> Result<Self> {
        let made = self_signed::make(names, self_signed::A_YEAR)?;
        Self::new(vec![made.certificate], made.key)
    }

    /// A self-signed certificate for this machine by every name that it has for itself, and for these hosts.
    pub(crate) fn self_signed_for<'a>(hosts: impl Iterator<Item = &'a Host>) -> Result<Self> {
        let names = names_of(hosts);
        Self::self_signed(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self> {
        let certificate = chain
            .first()
            .cloned()
            .ok_or_else(|| failed("read TLS certificate", "there is none"))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| failed("configure TLS", error))?;
        Ok(TlsServer {
            config: Arc::new(config),
            certificate,
        })
    }

    /// The server's own certificate, as DER (RFC 5280).
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

/// The names that this machine has for itself, and those of these hosts.
fn names_of<'a>(hosts: impl Iterator<Item = &'a Host>) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let is_one = |host: &&Host| match host {
        Host::Any => false,
        Host::Name(_) => true,
        Host::V4(address) => !address.is_unspecified(),
        Host::V6(address, _) => !address.is_unspecified(),
    };
    for name in hosts.filter(is_one).map(Host::server_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error: rustls::pki_types::pem::Error| {
        failed("read TLS certificates", error.to_string()).at(path.display())
    };
    CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// Whom a client trusts.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts the authorities that this machine trusts.
    ///
    /// # Errors
    /// When the machine has no list of them (Debian's package `ca-certificates`).
    pub fn system() -> Result<Self> {
        let path = SYSTEM_ROOTS
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or_else(|| {
                failed("read trusted authorities", "this machine has no list of them")
                    .advise("install the package ca-certificates, or name a file")
            })?;
        Self::trusting_file(path)
    }

    /// Trusts the authorities, or the very certificates, of a PEM file.
    ///
    /// # Errors
    /// When the file can't be read or holds none.
    pub fn trusting_file(path: &Path) -> Result<Self> {
        Self::trusting(read_certificates(path)?).map_err(|error| error.at(path.display()))
    }

    /// Trusts the authorities, or the very certificates, given as DER.
    ///
    /// # Errors
    /// When none of them is usable.
    pub fn trusting_der(certificates: &[&[u8]]) -> Result<Self> {
        Self::trusting(
            certificates
                .iter()
                .map(|der| CertificateDer::from(der.to_vec()))
                .collect(),
        )
    }

    fn trusting(certificates: Vec<CertificateDer<'static>>) -> Result<Self> {
        let own = certificates.iter().map(|der| fingerprint(der)).collect();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(failed(
                "read trusted authorities",
                "there is no usable certificate",
            ));
        }
        let verifier =
            Verifier::trusting(roots, own, provider()).map_err(|error| failed("configure TLS", error))?;
        Self::verified_by(Arc::new(verifier))
    }

    fn verified_by(verifier: Arc<dyn ServerCertVerifier>) -> Result<Self> {
        // Unless aws-lc was built without it, the first random number gathers entropy for up to a tenth of a second: not
        // in the first handshake.
        if let Err(error) = provider().secure_random.fill(&mut [0]) {
            return Err(failed("configure TLS", format!("{error:?}")));
        }
        let config = builder()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(TlsClient {
            config: Arc::new(config),
        })
    }

    /// Trusts anybody: for looking at a server, never for telling it something.
    ///
    /// # Errors
    /// Never with the built-in cryptography.
    pub fn unverified() -> Result<Self> {
        Self::verified_by(Arc::new(Verifier::credulous(&provider())))
    }

    /// Trusts the bearer of the certificate with this [`fingerprint`] alone, whatever its names, its time and its issuer
    /// are: who has seen it before, or was told it by its owner, need not believe any authority.
    ///
    /// # Errors
    /// Never with the built-in cryptography.
    pub fn pinned(fingerprint: [u8; 32]) -> Result<Self> {
        Self::verified_by(Arc::new(Verifier::pinned(fingerprint, &provider())))
    }

    /// Offers these protocols to the server, the one liked best first (ALPN, RFC 7301): `h2`, `http/1.1`.
    #[must_use]
    pub fn protocols(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::make_mut(&mut self.config).alpn_protocols = names;
        self
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.config.clone())
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("configure TLS", error))
}

pub(crate) fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    let ascii = ascii_name(name)?;
    ServerName::try_from(ascii.into_owned()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is no name for a certificate"),
        )
    })
}

/// See [`Connection::tls_binding`](crate::Connection::tls_binding).
pub(crate) fn binding(stream: &TlsStream<Carrier>) -> Option<[u8; 32]> {
    // Before TLS 1.3 two sessions can be made to have the same secret (RFC 9266, section 3).
    let (_, session) = stream.get_ref();
    if session.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
        return None;
    }
    let (label, context) = (b"EXPORTER-Channel-Binding", Some(&b""[..]));
    let exported = match stream {
        TlsStream::Client(client) => client.get_ref().1.export_keying_material([0; 32], label, context),
        TlsStream::Server(server) => server.get_ref().1.export_keying_material([0; 32], label, context),
    };
    exported.ok()
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: String,
    /// The cipher suite's IANA name.
    pub cipher: String,
    /// The key exchange group's name, where the handshake had one.
    pub group: Option<String>,
    /// The protocol chosen by ALPN (RFC 7301).
    pub alpn: Option<String>,
    /// The peer's certificates as DER, its own first; empty when it showed none.
    pub certificates: Vec<Vec<u8>>,
}

impl TlsFacts {
    pub(crate) fn of(stream: &TlsStream<Carrier>) -> Self {
        let (_, session) = stream.get_ref();
        let text = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        let version = session.protocol_version().and_then(|version| version.as_str());
        TlsFacts {
            protocol: text(version.map(|name| name.replace('_', "."))),
            cipher: text(
                session
                    .negotiated_cipher_suite()
                    .map(|suite| format!("{:?}", suite.suite())),
            ),
            group: session
                .negotiated_key_exchange_group()
                .map(|group| format!("{:?}", group.name())),
            alpn: session
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            certificates: session
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|der| der.to_vec())
                .collect(),
        }
    }
}

/// The SHA-256 digest of a certificate's DER, by which people compare certificates.
///
/// ```
/// let digest = sockeye::fingerprint(b"abc");
/// assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
/// ```
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().map(|suite| suite.common.hash_provider.hash(der));
    let digest = hash.and_then(|output| output.as_ref().try_into().ok());
    digest.expect("the hash of a suite of TLS 1.3 that is named after SHA-256")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Listener, block_on, dial};

    /// Both ends of a handshake, and what the client has to say of it.
    fn shake(client: &TlsClient, server: &TlsServer, name: &str) -> Result<TlsFacts> {
        block_on(async {
            let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
            let mut near = dial(listener.endpoint()).await?;
            let mut far = listener.accept().await?;
            let (near_end, far_end) = tokio::join!(near.start_tls(client, name), far.accept_tls(server));
            // Neither has hung up: a client that isn't content says so.
            assert_eq!(near_end.is_err(), far_end.is_err());
            near_end?;
            near.tls()
                .ok_or_else(|| failed("ask", "there is no TLS on this connection"))
        })?
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        let server = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let trusting = TlsClient::trusting_der(&[server.certificate_der()]).expect("trust");
        let facts = shake(&trusting, &server, "localhost").expect("trusted");
        assert_eq!(facts.certificates, [server.certificate_der()]);
        let error = shake(&trusting, &server, "example.org").expect_err("another name");
        assert_eq!(Distrust::of(&error), Some(Distrust::WrongName));
        assert!(error.to_string().ends_with("; it is for other names"), "{error}");

        let authority = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "another authority");
        let other = params.self_signed(&authority).expect("signed");
        let elsewhere = TlsClient::trusting_der(&[other.der()]).expect("trust");
        let error = shake(&elsewhere, &server, "localhost").expect_err("unknown");
        assert_eq!(Distrust::of(&error), Some(Distrust::UnknownIssuer));

        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let old = params.self_signed(&authority).expect("signed");
        let key = PrivateKeyDer::Pkcs8(authority.serialize_der().into());
        let server = TlsServer::new(vec![old.der().clone()], key).expect("a server");
        let trusting = TlsClient::trusting_der(&[old.der()]).expect("trust");
        let error = shake(&trusting, &server, "localhost").expect_err("expired");
        assert_eq!(Distrust::of(&error), Some(Distrust::Expired));

        let unverified = TlsClient::unverified().expect("a client");
        shake(&unverified, &server, "example.org").expect("anybody is believed");
    }

    #[test]
    fn an_authority_may_be_its_own_server_when_it_is_trusted_itself() {
        // What `openssl req -x509` makes unless told otherwise.
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).expect("signed");
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server = TlsServer::new(vec![made.der().clone()], key).expect("a server");
        let client = TlsClient::trusting_der(&[made.der()]).expect("trust");
        shake(&client, &server, "localhost").expect("it is the very one");
        let error = shake(&client, &server, "example.org").expect_err("another name");
        assert_eq!(Distrust::of(&error), Some(Distrust::WrongName));

        let other = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let client = TlsClient::trusting_der(&[other.certificate_der()]).expect("trust");
        let error = shake(&client, &server, "localhost").expect_err("another one");
        assert_eq!(Distrust::of(&error), Some(Distrust::WrongPurpose));
    }

    #[test]
    fn a_peer_without_tls_is_not_distrusted() {
        let unrelated = Error::new("dial", Class::General, "no");
        assert_eq!(Distrust::of(&unrelated), None);
    }

    #[test]
    fn protocols_are_offered() {
        let server = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let mut config = (*server.config).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let server = TlsServer {
            config: Arc::new(config),
            ..server
        };
        let client = TlsClient::unverified().expect("a client");
        let facts = shake(
            &client.clone().protocols(&["h2", "http/1.1"]),
            &server,
            "localhost",
        );
        assert_eq!(facts.expect("shaken").alpn.as_deref(), Some("http/1.1"));
        assert_eq!(shake(&client, &server, "localhost").expect("shaken").alpn, None);
    }
}
