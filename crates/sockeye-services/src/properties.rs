//! What must hold for any bytes that reach a parser of this crate: for its tests, and for the fuzz targets of the same names.
//!
//! `fuzz/seeds/<target>/` has messages as they should be, and each input that once broke something.

use crate::auth::is_name;
use crate::discovery::{MAX_NAME, ServiceType, check_name};
use crate::settings::Settings;
use crate::text::{MAX_MESSAGE_LIMIT, Manner};

/// A target and its property.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Property; 8] = [
    ("certificate", crate::auth::certificate::property::holds),
    ("goods", crate::shop::stock::property::holds),
    ("names", names),
    ("note", crate::files::client::notes::property::holds),
    ("packet", crate::load::packet::property::holds),
    ("registration", crate::auth::dialogue::property::holds),
    ("txt", crate::discovery::facts::property::holds),
    ("wildcard", crate::files::client::wildcard::property::holds),
];

/// Checks one by its target.
///
/// # Panics
/// When it doesn't hold, or there is no such target.
pub fn holds(target: &str, data: &[u8]) {
    let property = ALL.into_iter().find(|(name, _)| *name == target);
    let (_, holds) = property.expect("a target");
    holds(data);
}

/// Names of accounts, servers and types, and what a user sets of a text service.
fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if is_name(text) {
        assert!(
            !text.contains(['/', '\\', ' ']) && !text.contains(char::is_control) && !text.starts_with('.')
        );
    }
    match check_name(text) {
        Ok(()) => assert!((1..=MAX_NAME).contains(&text.len()) && !text.contains(char::is_control)),
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    if let Ok(kind) = text.parse::<ServiceType>() {
        assert_eq!(kind.to_string().parse().ok(), Some(kind));
    }
    for name in ["framing", "encoding", "max-message"] {
        match Manner::from_settings(&Settings::new().set(name, text)) {
            Ok(manner) => assert!((1..=MAX_MESSAGE_LIMIT).contains(&manner.max_message)),
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn what_was_kept_of_fuzzing_holds() {
        for (target, holds) in ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../fuzz/seeds")
                .join(target);
            let seeds: Vec<_> = std::fs::read_dir(folder).expect(target).collect();
            assert!(!seeds.is_empty(), "{target}");
            for seed in seeds {
                holds(&std::fs::read(seed.expect("an entry").path()).expect("a file"));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_do(data in proptest::collection::vec(any::<u8>(), 0..300), text in any::<String>()) {
            for (_, holds) in ALL {
                holds(&data);
                holds(text.as_bytes());
            }
        }
    }
}
