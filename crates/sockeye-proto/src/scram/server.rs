//! The server's side.

use super::keys::{hmac, xor};
use super::message::{ClientFirst, Flag, attributes, base64, bytes, text};
use super::{Failed, KEY, PLAIN, PLUS, Verifier};
use subtle::ConstantTimeEq;

/// A login under way: a challenge was sent.
#[derive(Debug)]
pub struct Server {
    first: ClientFirst,
    verifier: Verifier,
    nonce: String,
    challenge: String,
    binding: Option<[u8; KEY]>,
}

/// The client has proved that it knows the password.
#[derive(Debug)]
pub struct Accepted {
    /// The server's own proof, to be sent.
    pub message: Vec<u8>,
}

impl Server {
    /// Answers a client's first message. `binding` is the TLS session's, where there is one: then nothing but the mechanism
    /// that uses it is taken, so that nobody in between can talk a client out of it. `random` is part of the nonce: 18 bytes
    /// or more, never used before.
    ///
    /// A name that nobody has is to be given a verifier that was made up, the same each time.
    ///
    /// # Errors
    /// When the mechanism isn't the one for this connection, or the message doesn't fit it.
    pub fn challenge(
        mechanism: &str,
        first: ClientFirst,
        verifier: Verifier,
        binding: Option<[u8; KEY]>,
        random: &[u8],
    ) -> Result<(Self, Vec<u8>), Failed> {
        let fits = match binding {
            Some(_) => mechanism == PLUS && first.flag == Flag::Bound,
            None => mechanism == PLAIN && matches!(first.flag, Flag::Without(_)),
        };
        if !fits {
            return Err(Failed::Binding);
        }
        let nonce = format!("{}{}", first.nonce, base64(random));
        let challenge = format!("r={nonce},s={},i={}", base64(&verifier.salt), verifier.iterations);
        let message = challenge.clone().into_bytes();
        let server = Server {
            first,
            verifier,
            nonce,
            challenge,
            binding,
        };
        Ok((server, message))
    }

    /// Who wants to log in.
    pub fn user(&self) -> &str {
        &self.first.user
    }

    /// Checks the proof.
    ///
    /// # Errors
    /// When it is wrong, or belongs to another login or another TLS session.
    pub fn verify(self, message: &[u8]) -> Result<Accepted, Failed> {
        let text = text(message)?;
        let (signed, proof) = text.rsplit_once(",p=").ok_or(Failed::Malformed)?;
        let [bound, nonce] = attributes(signed, ['c', 'r'])?;
        let mut expected = self.first.flag.header().into_bytes();
        expected.extend_from_slice(self.binding.as_ref().map_or(&[][..], |binding| binding));
        if !bool::from(bytes(bound)?.ct_eq(&expected)) {
            return Err(Failed::Relayed);
        }
        if !bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes())) {
            return Err(Failed::Nonce);
        }
        let proof: [u8; KEY] = bytes(proof)?.try_into().map_err(|_| Failed::Malformed)?;
        let parts = [&self.first.bare, ",", &self.challenge, ",", signed].map(str::as_bytes);
        let client_key = xor(&proof, &hmac(&self.verifier.stored_key, &parts));
        if !self.verifier.accepts(&client_key) {
            return Err(Failed::Proof);
        }
        let signature = hmac(&self.verifier.server_key, &parts);
        Ok(Accepted {
            message: format!("v={}", base64(&signature)).into_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scram::Keys;

    /// PBKDF2 of one block (RFC 8018), slowly.
    fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; KEY] {
        let mut last = hmac(password, &[salt, &[0, 0, 0, 1]]);
        let mut all = last;
        for _ in 1..iterations {
            last = hmac(password, &[&last]);
            all = xor(&all, &last);
        }
        all
    }

    #[test]
    fn the_example_of_rfc_7677() {
        let salt = bytes("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server = Server {
            first: ClientFirst::read(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").expect("a first message"),
            verifier: Keys::of(&salted(b"pencil", &salt, 4096)).verifier(salt, 4096),
            nonce: nonce.to_owned(),
            challenge: format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            binding: None,
        };
        let proof = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let accepted = server.verify(proof.as_bytes()).expect("the right password");
        assert_eq!(
            accepted.message,
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
