//! The messages, taken apart.

use super::{BINDING, Failed, MAX_ITERATIONS};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest message that is looked at: a name, two nonces and a binding take a quarter of it.
pub const MAX_MESSAGE: usize = 1024;
/// The longest nonce of the other side; ours has 24 characters, others' up to 64.
const MAX_NONCE: usize = 256;

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn bytes(base64: &str) -> Result<Vec<u8>, Failed> {
    STANDARD.decode(base64).map_err(|_| Failed::Malformed)
}

pub(super) fn text(message: &[u8]) -> Result<&str, Failed> {
    match std::str::from_utf8(message) {
        Ok(text) if text.len() <= MAX_MESSAGE => Ok(text),
        _ => Err(Failed::Malformed),
    }
}

/// The values of exactly these attributes in this order. What comes after them is an extension, which may be passed over.
pub(super) fn attributes<const N: usize>(text: &str, names: [char; N]) -> Result<[&str; N], Failed> {
    let mut parts = text.split(',');
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        let part = parts.next().ok_or(Failed::Malformed)?;
        if part.starts_with("m=") {
            return Err(Failed::Unsupported);
        }
        *value = part
            .strip_prefix(name)
            .and_then(|part| part.strip_prefix('='))
            .ok_or(Failed::Malformed)?;
    }
    Ok(values)
}

pub(super) fn nonce(text: &str) -> Result<&str, Failed> {
    let printable = text
        .bytes()
        .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b',');
    match printable && (1..=MAX_NONCE).contains(&text.len()) {
        true => Ok(text),
        false => Err(Failed::Malformed),
    }
}

pub(super) fn iterations(text: &str) -> Result<u32, Failed> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok().filter(|_| digits);
    number
        .filter(|some| *some <= MAX_ITERATIONS)
        .ok_or(Failed::Derivation)
}

/// What a client says of channel bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// It knows none, or thinks that the server knows none.
    Without(char),
    /// It binds its proof to the TLS session.
    Bound,
}

impl Flag {
    pub(super) fn header(self) -> String {
        match self {
            Flag::Without(letter) => format!("{letter},,"),
            Flag::Bound => format!("p={BINDING},,"),
        }
    }
}

/// Who wants to log in, from the client's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFirst {
    /// The name, as it was sent: not looked at yet.
    pub user: String,
    pub(super) flag: Flag,
    pub(super) nonce: String,
    /// What both sides sign.
    pub(super) bare: String,
}

impl ClientFirst {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no such message, or wants something that isn't spoken here.
    pub fn read(message: &[u8]) -> Result<Self, Failed> {
        let text = text(message)?;
        let mut parts = text.splitn(3, ',');
        let mut part = || parts.next().ok_or(Failed::Malformed);
        let (flag, authorize, bare) = (part()?, part()?, part()?);
        let flag = match flag {
            "n" => Flag::Without('n'),
            "y" => Flag::Without('y'),
            bound if bound.strip_prefix("p=") == Some(BINDING) => Flag::Bound,
            other if other.starts_with("p=") => return Err(Failed::Binding),
            _ => return Err(Failed::Malformed),
        };
        if !authorize.is_empty() {
            return Err(Failed::Unsupported); // to act as another than one is
        }
        let [user, random] = attributes(bare, ['n', 'r'])?;
        Ok(ClientFirst {
            user: unescape(user)?,
            flag,
            nonce: nonce(random)?.to_owned(),
            bare: bare.to_owned(),
        })
    }
}

/// A name with `,` and `=` written as `=2C` and `=3D`.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn unescape(name: &str) -> Result<String, Failed> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Failed::Malformed),
        };
        plain.push(letter);
        plain.push_str(rest);
    }
    match plain.is_empty() {
        true => Err(Failed::Malformed),
        false => Ok(plain),
    }
}
