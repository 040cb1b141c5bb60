//! Verifiers for names that nobody has, so that they can't be told from others.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sockeye_proto::scram::{MIN_ITERATIONS, Verifier};

/// The bytes of a salt, as our clients make them.
const SALT: usize = 16;

/// The same each time for the same name and server. No password leads to it.
pub(super) fn verifier(secret: &[u8; 32], name: &str) -> Verifier {
    Verifier {
        salt: part(secret, "salt", name)[..SALT].to_vec(),
        iterations: MIN_ITERATIONS,
        stored_key: part(secret, "stored key", name),
        server_key: part(secret, "server key", name),
    }
}

fn part(secret: &[u8; 32], what: &str, name: &str) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("an HMAC takes a key of any length");
    for part in [what, "\0", name] {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}
