//! Certificates of clients, which TLS hands over before anybody knows what is in them.

use super::{is_name, user_of};

/// Whoever it is about can be the name of an account, which a folder may be named after.
pub(crate) fn holds(der: &[u8]) {
    assert!(user_of(der).is_none_or(|user| is_name(&user)));
}
