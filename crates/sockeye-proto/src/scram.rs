//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): a password is proved and never told.
//!
//! The server keeps a [`Verifier`], from which nobody can log in. Each side contributes randomness, so that no recording is of
//! use; the server proves itself too; and with a channel binding (`tls-exporter`, RFC 9266) a proof is good in one TLS
//! session alone, so that nobody in between can pass it on.
//!
//! Both sides are state machines of two steps. Random bytes and the key derived from the password come in as arguments:
//! deriving it takes a tenth of a second of work, which is for the caller to place.
//!
//! | server | client |
//! |---|---|
//! | [`ClientFirst::read`], who wants to log in | [`Client::begin`] |
//! | [`Server::challenge`] | [`Client::prove`] |
//! | [`Server::verify`] | [`Client::confirm`] |

mod client;
mod keys;
mod message;
mod server;

pub use client::{Client, Question};
pub use keys::{KEY, Keys, MIN_SALT, Verifier};
pub use message::{ClientFirst, MAX_MESSAGE};
pub use server::{Accepted, Server};

/// The mechanism without a channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism with one.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The only channel binding that is spoken.
pub const BINDING: &str = "tls-exporter";

/// How many iterations of the key derivation a verifier must have: what OWASP asks for with PBKDF2 and SHA-256 (2023). Each
/// guess at a stolen verifier costs as much.
pub const MIN_ITERATIONS: u32 = 600_000;
/// How many a client will do: several seconds of work. A hostile server could ask for hours.
pub const MAX_ITERATIONS: u32 = 10_000_000;

/// Why it came to nothing. What a server tells its peer of it is the server's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It isn't what the RFC calls a message at this point.
    #[error("the message is no SCRAM message")]
    Malformed,
    /// A part of the protocol that nobody needs here: `m=`, `a=`.
    #[error("the message asks for an extension that is not spoken here")]
    Unsupported,
    /// The mechanism promises a channel binding and the message has none, or the other way round.
    #[error("the channel binding is missing, or of a kind that is not spoken here")]
    Binding,
    /// The proof was made in another TLS session: there is somebody in between.
    #[error("the proof belongs to another TLS session: somebody is in between")]
    Relayed,
    /// It answers another challenge than ours.
    #[error("the answer is to another challenge")]
    Nonce,
    /// The password is wrong, or there is no such user.
    #[error("the proof is wrong")]
    Proof,
    /// The server wants fewer iterations than are safe, or more than are reasonable, or its salt is too short.
    #[error("the server's way to derive keys is not acceptable")]
    Derivation,
    /// The server doesn't know the password either.
    #[error("the server could not prove that it knows this account")]
    ServerProof,
}
