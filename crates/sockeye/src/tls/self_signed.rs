//! Certificates that vouch for themselves.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::failed;
use crate::endpoint::ascii_name;
use crate::error::Result;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A year from now on: longer than any server here runs, and within the 398 days that clients bear with.
pub(super) const A_YEAR: Duration = DAY.saturating_mul(365);

/// A certificate and its key.
pub(super) struct Made {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    /// Both.
    pub(super) pem: String,
}

/// A certificate for these names and addresses and its key. It is valid since yesterday, for clients whose clock is slow.
pub(super) fn make(names: &[&str], valid: Duration) -> Result<Made> {
    let names: Result<Vec<String>> = names
        .iter()
        .map(|name| Ok(ascii_name(name)?.into_owned()))
        .collect();
    let cannot = |error: rcgen::Error| failed("make certificate", error);
    let mut params = CertificateParams::new(names?).map_err(cannot)?;
    params.distinguished_name.push(DnType::CommonName, "Sockeye");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + valid;
    let key = KeyPair::generate().map_err(cannot)?;
    let made = params.self_signed(&key).map_err(cannot)?;
    Ok(Made {
        certificate: made.der().clone(),
        pem: made.pem() + &key.serialize_pem(),
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    })
}
