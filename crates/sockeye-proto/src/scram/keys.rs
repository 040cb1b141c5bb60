//! What is derived from a password, and what a server keeps of it.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The bytes of a key: SHA-256's.
pub const KEY: usize = 32;
/// A salt shorter than this could be met twice.
pub const MIN_SALT: usize = 16;

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("an HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

pub(super) fn xor(one: &[u8; KEY], other: &[u8; KEY]) -> [u8; KEY] {
    std::array::from_fn(|i| one[i] ^ other[i])
}

/// What who knows the password can compute. It is wiped when it is dropped.
#[derive(Clone)]
pub struct Keys {
    pub(super) client: [u8; KEY],
    pub(super) server: [u8; KEY],
}

impl Keys {
    /// From the salted password: PBKDF2 with HMAC-SHA-256 of the password, the salt and the iterations.
    pub fn of(salted_password: &[u8; KEY]) -> Self {
        Keys {
            client: hmac(salted_password, &[b"Client Key"]),
            server: hmac(salted_password, &[b"Server Key"]),
        }
    }

    /// What a server may know of it.
    pub fn verifier(&self, salt: Vec<u8>, iterations: u32) -> Verifier {
        Verifier {
            salt,
            iterations,
            stored_key: Sha256::digest(self.client).into(),
            server_key: self.server,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.server.zeroize();
    }
}

/// What a server keeps of a password: enough to check a proof, not to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Random, of this account alone.
    pub salt: Vec<u8>,
    /// Of PBKDF2.
    pub iterations: u32,
    /// The hash of the client's key.
    pub stored_key: [u8; KEY],
    /// With which the server proves that it knows the account.
    pub server_key: [u8; KEY],
}

impl Verifier {
    /// Whether the client's key, which a proof reveals to us, is the one whose hash is kept.
    pub(super) fn accepts(&self, client_key: &[u8; KEY]) -> bool {
        let stored: [u8; KEY] = Sha256::digest(client_key).into();
        stored.ct_eq(&self.stored_key).into()
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}
