//! Why a certificate isn't believed.

use super::verify::{is_another, is_authority};
use crate::error::Error;
use rustls::CertificateError;
use std::error::Error as StdError;
use std::{fmt, io};

/// Why a peer's certificate isn't believed, in the words of [RFC 5280](https://www.rfc-editor.org/rfc/rfc5280)'s path
/// validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distrust {
    /// Signed by itself, or by an authority that isn't among the trusted ones.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for other names.
    WrongName,
    /// Its authority has taken it back.
    Revoked,
    /// Its signature is not its issuer's, or of a kind that isn't accepted.
    BadSignature,
    /// It is for another purpose, such as signing others or being a client. An authority that serves under its own
    /// certificate (as `openssl req -x509` makes them) is believed only when that very certificate is trusted.
    WrongPurpose,
    /// It isn't the very certificate that is expected here.
    Another,
    /// It can't be read, or breaks another rule.
    Malformed,
}

impl Distrust {
    /// One word for programs: `unknown-issuer`, `expired`, `not-yet-valid`, `wrong-name`, `revoked`, `bad-signature`,
    /// `wrong-purpose`, `another`, `malformed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown-issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::WrongName => "wrong-name",
            Self::Revoked => "revoked",
            Self::BadSignature => "bad-signature",
            Self::WrongPurpose => "wrong-purpose",
            Self::Another => "another",
            Self::Malformed => "malformed",
        }
    }

    /// What made this handshake fail, when that was the peer's certificate.
    ///
    /// ```
    /// use sockeye::{Connection, Dialer, Distrust, Handler, Result, Server, TlsClient, TlsServer, block_on};
    /// struct Quiet;
    /// impl Handler for Quiet {
    ///     async fn handle(&self, _: &mut Connection) -> Result<()> {
    ///         Ok(())
    ///     }
    /// }
    /// let tls = TlsServer::self_signed(&["localhost"])?;
    /// let client = TlsClient::trusting_der(&[tls.certificate_der()])?;
    /// let server = Server::bind("tls://127.0.0.1:0")?.tls(tls).start(Quiet)?;
    /// let dialer = Dialer::new().tls(client).tls_name("example.org");
    /// let error = block_on(dialer.dial(&server.endpoint()))?.unwrap_err();
    /// assert_eq!(Distrust::of(&error), Some(Distrust::WrongName));
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn of(error: &Error) -> Option<Self> {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(here) = cause {
            if let Some(rustls::Error::InvalidCertificate(why)) = here.downcast_ref() {
                return Some(Self::named(why));
            }
            // The source of an `io::Error` is the source of what it carries, which would be passed over.
            let carried = here.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = match carried {
                Some(carried) => Some(carried),
                None => here.source(),
            };
        }
        None
    }

    fn named(why: &CertificateError) -> Self {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongPurpose
            }
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::BadSignature,
            other if is_another(other) => Self::Another,
            other if is_authority(other) => Self::WrongPurpose,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "signed by itself or by an authority that is not trusted here",
            Self::Expired => "it has expired",
            Self::NotYetValid => "it is not valid yet",
            Self::WrongName => "it is for other names",
            Self::Revoked => "its authority has revoked it",
            Self::BadSignature => "its signature is wrong or of a kind that is not accepted",
            Self::WrongPurpose => "it is an authority's own, or for another purpose than being a server",
            Self::Another => "it is another one than the one that is expected here",
            Self::Malformed => "it breaks the rules for certificates",
        })
    }
}
