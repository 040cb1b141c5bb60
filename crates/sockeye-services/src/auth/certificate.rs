//! Who a certificate is about.

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

use super::is_name;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The first name among its alternatives (DNS or email) that an account can have, else its common name.
pub(super) fn user_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    let mut named = names.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        _ => None,
    });
    named.find(|name| is_name(name)).or_else(|| {
        let common = certificate.subject().iter_common_name().next()?;
        common
            .as_str()
            .ok()
            .map(str::to_owned)
            .filter(|name| is_name(name))
    })
}
