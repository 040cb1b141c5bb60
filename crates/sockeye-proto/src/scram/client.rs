//! The client's side.

use super::keys::{hmac, xor};
use super::message::{Flag, attributes, base64, bytes, escape, iterations, nonce, text};
use super::{Failed, KEY, Keys, MIN_ITERATIONS, MIN_SALT, PLAIN, PLUS};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A login under way: who we are was said.
#[derive(Debug)]
pub struct Client {
    flag: Flag,
    binding: Option<[u8; KEY]>,
    nonce: String,
    bare: String,
    /// What the server has to send in the end.
    expected: Option<[u8; KEY]>,
}

/// What the server wants to be proved: the password, derived like this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of PBKDF2.
    pub salt: Vec<u8>,
    /// Of PBKDF2.
    pub iterations: u32,
    nonce: String,
    message: String,
}

impl Client {
    /// Begins, and says the first message. Where there is TLS its `binding` is used, and nothing else will do. `random` is
    /// the nonce: 18 bytes or more, never used before.
    pub fn begin(user: &str, binding: Option<[u8; KEY]>, random: &[u8]) -> (Self, Vec<u8>) {
        let flag = match binding {
            Some(_) => Flag::Bound,
            None => Flag::Without('n'),
        };
        let nonce = base64(random);
        let bare = format!("n={},r={nonce}", escape(user));
        let message = format!("{}{bare}", flag.header()).into_bytes();
        let client = Client {
            flag,
            binding,
            nonce,
            bare,
            expected: None,
        };
        (client, message)
    }

    /// The mechanism's name.
    pub fn mechanism(&self) -> &'static str {
        match self.flag {
            Flag::Bound => PLUS,
            Flag::Without(_) => PLAIN,
        }
    }

    /// Reads the server's challenge.
    ///
    /// # Errors
    /// When it is no answer to us, or asks for the password in a way that would give it away, or cost hours.
    pub fn read(&self, message: &[u8]) -> Result<Question, Failed> {
        let text = text(message)?;
        let [theirs, salt, count] = attributes(text, ['r', 's', 'i'])?;
        let own = nonce(theirs)?.strip_prefix(self.nonce.as_str());
        if own.is_none_or(str::is_empty) {
            return Err(Failed::Nonce);
        }
        let (salt, iterations) = (bytes(salt)?, iterations(count)?);
        if iterations < MIN_ITERATIONS || salt.len() < MIN_SALT {
            return Err(Failed::Derivation);
        }
        Ok(Question {
            salt,
            iterations,
            nonce: theirs.to_owned(),
            message: text.to_owned(),
        })
    }

    /// The proof, by the keys that were derived as the question says.
    pub fn prove(&mut self, question: &Question, keys: &Keys) -> Vec<u8> {
        let mut bound = self.flag.header().into_bytes();
        bound.extend_from_slice(self.binding.as_ref().map_or(&[][..], |binding| binding));
        let signed = format!("c={},r={}", base64(&bound), question.nonce);
        let parts = [&self.bare, ",", &question.message, ",", &signed].map(str::as_bytes);
        let stored: [u8; KEY] = Sha256::digest(keys.client).into();
        let proof = xor(&keys.client, &hmac(&stored, &parts));
        self.expected = Some(hmac(&keys.server, &parts));
        format!("{signed},p={}", base64(&proof)).into_bytes()
    }

    /// Whether the server knows this account, too: reads its last message.
    ///
    /// # Errors
    /// When it doesn't: its word is worth nothing then.
    pub fn confirm(&self, message: &[u8]) -> Result<(), Failed> {
        let [signature] = attributes(text(message)?, ['v'])?;
        let known = self.expected.is_some_and(|expected| {
            bytes(signature).is_ok_and(|signature| signature.ct_eq(&expected).into())
        });
        match known {
            true => Ok(()),
            false => Err(Failed::ServerProof),
        }
    }
}
