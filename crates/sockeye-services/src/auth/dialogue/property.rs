//! What is asked for before a login.

use super::{MAX_ITERATIONS, MAX_SALT, MIN_ITERATIONS, MIN_SALT, Request, Sent};
use sockeye_proto::frames;

/// What is kept of a password can be worked with, and is what was sent.
pub(crate) fn holds(body: &[u8]) {
    let Ok(Request::Register { verifier, .. } | Request::Password { verifier }) = frames::decode(body) else {
        return;
    };
    let Ok(verifier) = verifier.read() else { return };
    assert!((MIN_ITERATIONS..=MAX_ITERATIONS).contains(&verifier.iterations));
    assert!((MIN_SALT..=MAX_SALT).contains(&verifier.salt.len()));
    let again = Sent::of(&verifier).read();
    assert!(again.is_ok_and(|again| again == verifier));
}
