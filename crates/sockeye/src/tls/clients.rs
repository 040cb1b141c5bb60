//! Certificates of clients: shown by them, checked by servers.

use super::{TlsClient, TlsServer, builder, failed, provider, read_certificates};
use crate::error::Result;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

impl TlsServer {
    /// Lets in only clients that show a certificate which an authority of this PEM file has signed (or that stands there
    /// itself), and hold its key. Who they are then is in [`TlsFacts::certificates`](super::TlsFacts).
    ///
    /// # Errors
    /// When the file can't be read or holds no certificate.
    pub fn client_authority(self, path: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(read_certificates(path)?);
        if added == 0 {
            let error = failed("read authorities of clients", "there is no usable certificate");
            return Err(error.at(path.display()));
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| failed("configure TLS", error))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed("configure TLS", error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.config.cert_resolver.clone());
        config.alpn_protocols.clone_from(&self.config.alpn_protocols);
        Ok(TlsServer {
            config: Arc::new(config),
            certificate: self.certificate,
        })
    }
}

impl TlsClient {
    /// Shows the server this certificate (chain, its own first) when it asks who we are, both from PEM files.
    ///
    /// # Errors
    /// When a file can't be read or holds no such thing, or the key isn't the certificate's.
    pub fn certificate(mut self, certificates: &Path, key: &Path) -> Result<Self> {
        let chain = read_certificates(certificates)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| failed("read TLS key", error.to_string()).at(key.display()))?;
        // The verifier of this one is never used: only what it shows is taken from it.
        let nobody: Arc<dyn ServerCertVerifier> = Arc::new(super::Verifier::credulous(&provider()));
        let shown = builder()?
            .dangerous()
            .with_custom_certificate_verifier(nobody)
            .with_client_auth_cert(chain, key)
            .map_err(|error| failed("use TLS certificate", error).at(certificates.display()))?;
        Arc::make_mut(&mut self.config).client_auth_cert_resolver = shown.client_auth_cert_resolver;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distrust, Listener, block_on, dial, fingerprint};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use std::fs;
    use std::path::PathBuf;

    /// An authority, and a certificate that it has signed, in files.
    struct Files {
        authority: PathBuf,
        certificate: PathBuf,
        key: PathBuf,
        _folder: tempfile::TempDir,
    }

    fn files(name: &str) -> Files {
        let folder = tempfile::tempdir().expect("a folder");
        let own = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&own).expect("signed").pem();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = certificate
            .signed_by(&key, &Issuer::new(params, own))
            .expect("signed");
        let write = |file: &str, text: String| {
            let path = folder.path().join(file);
            fs::write(&path, text).expect("write");
            path
        };
        Files {
            authority: write("authority", authority),
            certificate: write("certificate", certificate.pem()),
            key: write("key", key.serialize_pem()),
            _folder: folder,
        }
    }

    /// What the server sees of the client; both ends have the same secret then.
    fn meet(server: &TlsServer, client: &TlsClient) -> Result<Vec<Vec<u8>>> {
        block_on(async {
            let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
            let mut near = dial(listener.endpoint()).await?;
            let mut far = listener.accept().await?;
            let (near_end, far_end) =
                tokio::join!(near.start_tls(client, "localhost"), far.accept_tls(server));
            near_end?;
            far_end?;
            assert!(near.tls_binding().is_some());
            assert_eq!(near.tls_binding(), far.tls_binding());
            Ok(far.tls().expect("TLS").certificates)
        })?
    }

    #[test]
    fn a_client_is_let_in_by_a_certificate_of_the_right_authority() {
        let (ours, others) = (files("anna"), files("anna"));
        let server = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let server = server.client_authority(&ours.authority).expect("an authority");
        let client = || TlsClient::pinned(fingerprint(server.certificate_der())).expect("a client");
        let shown = client()
            .certificate(&ours.certificate, &ours.key)
            .expect("a pair");
        assert_eq!(meet(&server, &shown).expect("let in").len(), 1);
        let shown = client()
            .certificate(&others.certificate, &others.key)
            .expect("a pair");
        meet(&server, &shown).expect_err("another authority's");
        meet(&server, &client()).expect_err("none");
        client()
            .certificate(&ours.certificate, &others.key)
            .err()
            .expect("another's key");
    }

    #[test]
    fn a_pinned_certificate_is_believed_and_no_other() {
        let server = TlsServer::self_signed(&["example.org"]).expect("a certificate");
        let other = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let client = TlsClient::pinned(fingerprint(server.certificate_der())).expect("a client");
        assert!(meet(&server, &client).expect("it is the one").is_empty());
        let error = meet(&other, &client).expect_err("another");
        assert_eq!(Distrust::of(&error), Some(Distrust::Another));
        assert!(error.to_string().contains("another one than"), "{error}");
    }

    #[test]
    fn each_session_has_a_secret_of_its_own() {
        let server = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let client = TlsClient::unverified().expect("a client");
        let binding = || {
            block_on(async {
                let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
                let mut near = dial(listener.endpoint()).await?;
                assert_eq!(near.tls_binding(), None);
                let mut far = listener.accept().await?;
                let ends = tokio::join!(near.start_tls(&client, "localhost"), far.accept_tls(&server));
                ends.0.and(ends.1)?;
                Ok::<_, crate::Error>(near.tls_binding())
            })
        };
        let [one, two] = [binding(), binding()].map(|made| made.expect("a model").expect("TLS"));
        assert!(one.is_some() && one != two);
    }
}
