//! The names that servers go by.

use sockeye::{Class, Error, Result};

/// A label of the DNS has 63 bytes (RFC 1035, section 2.3.4). Room is left for a port and a number, which tell listeners of one
/// name apart (`-65535`), and servers (` (99)`).
pub const MAX_NAME: usize = 63 - "-65535".len() - " (99)".len();
/// What a name may be numbered up to: that many servers of one name are a mistake, or malice.
pub(super) const MAX_NUMBER: u32 = 99;

/// Whether a server can go by this name.
///
/// # Errors
/// When it is empty or too long, or has a character that programs which ask for it by name would stumble over.
///
/// ```
/// use sockeye_services::discovery::check_name;
/// assert!(check_name("Anna's kitchen").is_ok());
/// assert!(check_name("a/b").is_err());
/// ```
pub fn check_name(name: &str) -> Result<()> {
    let odd = |letter: &char| letter.is_control() || matches!(letter, '.' | '/' | '\\' | '@');
    let why = match name.chars().find(odd) {
        _ if name.is_empty() => "it is empty".to_owned(),
        _ if name.len() > MAX_NAME => format!("it has {} bytes; the most is {MAX_NAME}", name.len()),
        _ if name.trim() != name => "it begins or ends with a space".to_owned(),
        Some(letter) => format!("`{}` does not belong into a name", letter.escape_debug()),
        None => return Ok(()),
    };
    let error = Error::new("announce", Class::General, why).at(format_args!("`{}`", name.escape_debug()));
    Err(error.advise("choose a name such as kitchen"))
}

/// The name that this machine goes by, made fit to be announced.
pub fn host_name() -> String {
    let system = rustix::system::uname();
    fitting(&system.nodename().to_string_lossy())
}

fn fitting(host: &str) -> String {
    let label = host.split('.').next().unwrap_or_default();
    let plain = |letter: char| {
        if letter.is_alphanumeric() || matches!(letter, '-' | '_') {
            letter
        } else {
            '-'
        }
    };
    let mut name: String = label.chars().map(plain).collect();
    while name.len() > MAX_NAME {
        name.pop();
    }
    if name.is_empty() {
        name.push_str("sockeye");
    }
    name
}

/// The name of the host in the records: nobody else's, so that no other responder of this machine, nor a server with other
/// addresses, says something else of it or takes it back.
pub(super) fn own_host() -> String {
    let ascii = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    let host: String = host_name().chars().filter(ascii).collect();
    format!("{host}-{:06x}.local.", fastrand::u32(..1 << 24))
}

/// The n-th server of a name: `kitchen`, `kitchen (2)`.
pub(super) fn numbered(name: &str, number: u32) -> String {
    match number {
        0 | 1 => name.to_owned(),
        number => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_are_taken() {
        for name in ["kitchen", "Küche 2", "anna (old)", "a", &"x".repeat(MAX_NAME)] {
            check_name(name).expect(name);
        }
        for (name, words) in [
            ("", "it is empty"),
            (&*"x".repeat(MAX_NAME + 1), "the most is"),
            (" a", "with a space"),
            ("a.b", "`.` does not belong"),
            ("a\x1b[2J", "`\\u{1b}` does not belong"),
        ] {
            let error = check_name(name).expect_err(name).to_string();
            assert!(
                error.contains(words) && error.ends_with("such as kitchen"),
                "{error}"
            );
        }
    }

    #[test]
    fn every_machine_has_a_name() {
        for (host, name) in [
            ("anna", "anna"),
            ("anna.example.org", "anna"),
            ("my machine", "my-machine"),
            ("", "sockeye"),
        ] {
            assert_eq!(fitting(host), name);
        }
        check_name(&fitting(&"é".repeat(100))).expect("a name that fits");
        check_name(&host_name()).expect("a name that fits");
        assert_ne!(own_host(), own_host());
        assert_eq!(numbered("a", 1), "a");
        assert_eq!(numbered("a", 2), "a (2)");
    }
}
