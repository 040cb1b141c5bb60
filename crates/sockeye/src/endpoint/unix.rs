//! The name of a Unix socket: a path, or a name in the abstract namespace.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The most bytes that a path or an abstract name may have. `sun_path` has 108; one of them is the NUL that ends a
/// path or opens an abstract name ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
pub const MAX_UNIX_NAME: usize = 107;

/// What a Unix socket is bound to.
///
/// It prints as the tail of an endpoint: `/run/echo.sock`, `./echo.sock`, `@echo`. Bytes that would not survive there
/// (`?`, `#`, `%`, white space, control characters, what is not UTF-8) are written as `%` and two hexadecimal digits.
///
/// ```
/// use sockeye::UnixName;
/// assert_eq!(UnixName::Path("/run/my echo".into()).to_string(), "/run/my%20echo");
/// assert_eq!(UnixName::Abstract(b"a\0b".to_vec()).to_string(), "@a%00b");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnixName {
    /// A file in the file system; it stays there when the socket is closed.
    Path(PathBuf),
    /// A name in Linux' abstract namespace, any bytes; it goes when the socket is closed.
    Abstract(Vec<u8>),
}

impl UnixName {
    /// Reads the tail of an endpoint: `@` and an abstract name, or a path.
    pub(crate) fn parse(tail: &str) -> Result<Self, String> {
        let name = match tail.strip_prefix('@') {
            Some(name) => Self::Abstract(decode(name)?),
            None => Self::Path(PathBuf::from(OsString::from_vec(decode(tail)?))),
        };
        name.check()?;
        Ok(name)
    }

    /// Says why the kernel would refuse this name, if it would.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (what, bytes) = match self {
            Self::Path(path) => ("path", path.as_os_str().as_bytes()),
            Self::Abstract(name) => ("abstract name", name.as_slice()),
        };
        match bytes.len() {
            0 => return Err(format!("the {what} is empty")),
            1..=MAX_UNIX_NAME => {}
            length => {
                return Err(format!(
                    "the {what} has {length} bytes, a Unix socket takes at most {MAX_UNIX_NAME}"
                ));
            }
        }
        match self {
            Self::Path(_) if bytes.contains(&0) => Err("the path contains a NUL byte".to_owned()),
            Self::Path(_) | Self::Abstract(_) => Ok(()),
        }
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract(name) => {
                f.write_char('@')?;
                encode(name, f)
            }
            Self::Path(path) => match path.as_os_str().as_bytes() {
                // A relative path that opens with `@` must not read as an abstract name.
                [b'@', rest @ ..] => {
                    f.write_str("%40")?;
                    encode(rest, f)
                }
                bytes => encode(bytes, f),
            },
        }
    }
}

/// Writes the bytes so that [`decode`] gives them back and a terminal shows them as they are.
fn encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() || letter.is_whitespace() || matches!(letter, '?' | '#' | '%') {
                escape(letter.encode_utf8(&mut [0; 4]).as_bytes(), f)?;
            } else {
                f.write_char(letter)?;
            }
        }
        escape(chunk.invalid(), f)?;
    }
    Ok(())
}

fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'%' => {
                let digits = tail.get(..2).and_then(|two| {
                    let [high, low] = [hex(two[0])?, hex(two[1])?];
                    Some(high << 4 | low)
                });
                bytes.push(
                    digits.ok_or("a `%` needs two hexadecimal digits behind it, write %25 for itself")?,
                );
                rest = &tail[2..];
            }
            b'?' | b'#' => {
                let byte = char::from(*first);
                return Err(format!(
                    "`{byte}` cannot stand in a name, write %{first:02X} for it"
                ));
            }
            byte => bytes.push(*byte),
        }
    }
    Ok(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_what_a_shell_can_type() {
        for (name, text) in [
            (UnixName::Path("/run/a.sock".into()), "/run/a.sock"),
            (UnixName::Path("/run/回声".into()), "/run/回声"),
            (UnixName::Path("/a b?c#d%e".into()), "/a%20b%3Fc%23d%25e"),
            (
                UnixName::Path(OsString::from_vec(b"/\xff\n".to_vec()).into()),
                "/%FF%0A",
            ),
            (UnixName::Path("@x".into()), "%40x"),
            (UnixName::Abstract(b"@\0x".to_vec()), "@@%00x"),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(UnixName::parse(text), Ok(name));
        }
    }

    #[test]
    fn refuses_what_the_kernel_would() {
        let long = "x".repeat(MAX_UNIX_NAME + 1);
        for text in [
            "",
            "@",
            "/a%00b",
            "/a%4",
            "/a%zz",
            "/a?b",
            &long,
            &format!("@{long}"),
        ] {
            UnixName::parse(text).expect_err(text);
        }
        UnixName::parse(&long[1..]).expect("the longest path");
        UnixName::parse(&format!("@{}", &long[1..])).expect("the longest abstract name");
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(bytes in proptest::collection::vec(any::<u8>(), 1..=MAX_UNIX_NAME), abstract_name: bool) {
            let name = match abstract_name {
                true => UnixName::Abstract(bytes),
                false => UnixName::Path(OsString::from_vec(bytes.into_iter().map(|b| b.max(1)).collect()).into()),
            };
            prop_assert_eq!(UnixName::parse(&name.to_string()), Ok(name));
        }
    }
}
