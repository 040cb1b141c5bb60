//! Passwords, on the side of who knows them.

use aws_lc_rs::pbkdf2;
use sha2::{Digest, Sha256};
use sockeye::{Class, Error, Result};
use sockeye_proto::scram::{KEY, Keys, MIN_ITERATIONS, Verifier};
use std::fmt::Write;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// The fewest characters of a new password: fewer are guessed even at the pace that penalties leave.
pub const MIN_PASSWORD: usize = 8;
/// The bytes of a salt.
const SALT: usize = 16;
/// The bytes of an invitation's code: nobody guesses one.
const CODE: usize = 16;

pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new("draw random bytes", Class::General, error.to_string()))?;
    Ok(bytes)
}

/// Whether a new password will do.
///
/// # Errors
/// When it is too short, or has characters in it that can't be typed again for certain (RFC 4013).
pub fn check_password(password: &str) -> Result<()> {
    let wrong = |why: String| Error::new("choose password", Class::General, why);
    if prepared(password)?.chars().count() < MIN_PASSWORD {
        return Err(wrong(format!("it has fewer than {MIN_PASSWORD} characters")).advise("take a longer one"));
    }
    Ok(())
}

/// The one form in which a password is hashed, however a keyboard composes its letters (RFC 4013).
fn prepared(password: &str) -> Result<Zeroizing<String>> {
    match stringprep::saslprep(password) {
        Ok(prepared) if !prepared.is_empty() => Ok(Zeroizing::new(prepared.into_owned())),
        Ok(_) => Err(Error::new("use password", Class::General, "it is empty")),
        Err(_) => Err(Error::new(
            "use password",
            Class::General,
            "there are characters in it that no password may have, such as control characters",
        )),
    }
}

/// What is derived from a password: a tenth of a second of work and more.
pub(super) fn keys(password: &str, salt: &[u8], iterations: u32) -> Result<Keys> {
    let mut salted = Zeroizing::new([0; KEY]);
    let password = prepared(password)?;
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let hash = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(hash, iterations, salt, password.as_bytes(), &mut *salted);
    Ok(Keys::of(&salted))
}

/// What a server is to keep of a new password, with a new salt. A tenth of a second of work and more, for a thread of its own.
///
/// # Errors
/// When the password won't do: see [`check_password`].
pub fn new_verifier(password: &str) -> Result<Verifier> {
    check_password(password)?;
    let salt = random::<SALT>()?;
    let keys = keys(password, &salt, MIN_ITERATIONS)?;
    Ok(keys.verifier(salt.to_vec(), MIN_ITERATIONS))
}

/// A new code for an invitation.
///
/// # Errors
/// When the system has no random bytes.
pub fn invitation() -> Result<String> {
    let mut code = String::new();
    for byte in random::<CODE>()? {
        let _ = write!(code, "{byte:02x}"); // writing to a String can't fail
    }
    Ok(code)
}

/// What is kept of an invitation's code. It was drawn at random, so that a plain hash gives nothing away.
pub fn invitation_hash(code: &str) -> [u8; 32] {
    Sha256::digest(code.trim().as_bytes()).into()
}
