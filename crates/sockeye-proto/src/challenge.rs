//! The legacy challenge: who knows the secret can turn 32 random bytes into the right digest.
//!
//! After the connect the server sends [`CHALLENGE`] random bytes. The client answers with the lower-case hexadecimal HMAC
//! (RFC 2104) of those bytes under the secret that both know, and nothing after it. There is no verdict: on success the
//! service begins, on failure the server closes. Whoever relays the bytes of a connection relays this too, and whoever
//! records one can try secrets at home: it is for old programs, and for secrets that are long and random.

use hmac::{Hmac, Mac};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// The bytes of a challenge: beyond what anybody could meet twice or collect answers for.
pub const CHALLENGE: usize = 32;

/// The hash function of the HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// MD5 (RFC 1321), of which the oldest programs know no better. Its answer has 32 characters.
    Md5,
    /// SHA-256 (FIPS 180-4). Its answer has 64 characters.
    #[default]
    Sha256,
}

impl Digest {
    /// All of them.
    pub const ALL: [Digest; 2] = [Digest::Md5, Digest::Sha256];

    /// The characters of an answer.
    pub const fn answer_len(self) -> usize {
        match self {
            Digest::Md5 => 32,
            Digest::Sha256 => 64,
        }
    }

    /// The answer to a challenge, for who knows the secret.
    ///
    /// ```
    /// use sockeye_proto::challenge::Digest;
    /// let answer = Digest::Md5.answer(b"what do ya want for nothing?", &[7; 32]);
    /// assert!(Digest::Md5.accepts(b"what do ya want for nothing?", &[7; 32], answer.as_bytes()));
    /// assert!(!Digest::Md5.accepts(b"something", &[7; 32], answer.as_bytes()));
    /// ```
    pub fn answer(self, secret: &[u8], challenge: &[u8; CHALLENGE]) -> String {
        match self {
            Digest::Md5 => hmac::<Hmac<md5::Md5>>(secret, challenge),
            Digest::Sha256 => hmac::<Hmac<sha2::Sha256>>(secret, challenge),
        }
    }

    /// Whether this is the answer, to the letter: upper-case digits are none. How long it takes tells nothing.
    pub fn accepts(self, secret: &[u8], challenge: &[u8; CHALLENGE], answer: &[u8]) -> bool {
        self.answer(secret, challenge).as_bytes().ct_eq(answer).into()
    }
}

fn hmac<M: Mac + hmac::digest::KeyInit>(secret: &[u8], challenge: &[u8]) -> String {
    let mut mac = <M as Mac>::new_from_slice(secret).expect("an HMAC takes a key of any length");
    mac.update(challenge);
    let digest = mac.finalize().into_bytes();
    digest
        .iter()
        .flat_map(|byte| [hex(byte >> 4), hex(byte & 15)])
        .collect()
}

fn hex(digit: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(digit)])
}

/// No hash function of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no digest {0:?}; write md5 or sha256")]
pub struct UnknownDigest(String);

impl FromStr for Digest {
    type Err = UnknownDigest;

    fn from_str(text: &str) -> Result<Self, UnknownDigest> {
        match text {
            "md5" => Ok(Digest::Md5),
            "sha256" | "sha-256" => Ok(Digest::Sha256),
            other => Err(UnknownDigest(other.to_owned())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Digest::Md5 => "md5",
            Digest::Sha256 => "sha256",
        })
    }
}
