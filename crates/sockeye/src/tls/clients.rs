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
