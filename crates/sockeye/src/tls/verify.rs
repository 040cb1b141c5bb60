//! Who is believed to be who.

use super::fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Checks that the peer holds the key of the certificate it shows, and, unless anybody will do, whether to believe it.
#[derive(Debug)]
pub(super) struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    trusted: Trust,
}

#[derive(Debug)]
enum Trust {
    Anybody,
    /// The bearer of the certificate with this digest.
    Bearer([u8; 32]),
    Some(Trusted),
}

/// The authorities that are believed, and the bearers of these very certificates.
#[derive(Debug)]
struct Trusted {
    chains: Arc<WebPkiServerVerifier>,
    /// The digests of the given certificates.
    own: Vec<[u8; 32]>,
}

impl Verifier {
    /// Believes the authorities, and the bearers of the certificates with these digests.
    pub(super) fn trusting(
        roots: RootCertStore,
        own: Vec<[u8; 32]>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let algorithms = provider.signature_verification_algorithms;
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Verifier {
            algorithms,
            trusted: Trust::Some(Trusted { chains, own }),
        })
    }

    /// Believes anybody.
    pub(super) fn credulous(provider: &CryptoProvider) -> Self {
        Verifier {
            algorithms: provider.signature_verification_algorithms,
            trusted: Trust::Anybody,
        }
    }

    /// Believes the bearer of the certificate with this digest.
    pub(super) fn pinned(digest: [u8; 32], provider: &CryptoProvider) -> Self {
        Verifier {
            algorithms: provider.signature_verification_algorithms,
            trusted: Trust::Bearer(digest),
        }
    }
}

/// Whether it was another certificate than the expected one.
pub(super) fn is_another(error: &CertificateError) -> bool {
    *error == CertificateError::ApplicationVerificationFailure
}

/// Whether all that is wrong with a certificate is that it is an authority's own.
pub(super) fn is_authority(error: &CertificateError) -> bool {
    // rustls has no variant for it, and its cause belongs to a crate that it keeps to itself.
    matches!(error, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let trusted = match &self.trusted {
            Trust::Anybody => return Ok(ServerCertVerified::assertion()),
            Trust::Bearer(digest) if *digest == fingerprint(certificate) => {
                return Ok(ServerCertVerified::assertion());
            }
            Trust::Bearer(_) => return Err(CertificateError::ApplicationVerificationFailure.into()),
            Trust::Some(trusted) => trusted,
        };
        let verified = trusted
            .chains
            .verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verified {
            // An authority that serves under its own certificate, as self-signed ones often do: its time was found good
            // before this, its name is still to be looked at.
            Err(rustls::Error::InvalidCertificate(why))
                if is_authority(&why) && trusted.own.contains(&fingerprint(certificate)) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
