//! What must hold for any text that a user gives: for the tests here, and for the fuzz target `endpoint`.
//!
//! `fuzz/seeds/endpoint/` has texts as they should be, and each that once broke something.

use crate::{
    Endpoint, HostPort, Membership, Model, Options, format_duration, format_size, parse_duration, parse_size,
};

/// An endpoint, and behind a `?` an option and its value.
///
/// # Panics
/// When what is printed isn't read as the same, or an error would control a terminal.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (place, option) = text.split_once('?').unwrap_or((text, text));
    let (name, value) = option.split_once('=').unwrap_or(("keepalive", option));
    if let Some(endpoint) = safely::<Endpoint>(place.parse()) {
        assert_eq!(endpoint.to_string().parse().ok(), Some(endpoint.clone()));
        assert_ne!(endpoint.is_stream(), endpoint.is_packet());
        let nine = endpoint.with_port(9);
        assert_eq!(nine.to_string().parse().ok(), Some(nine));
    }
    if let Some(at) = safely::<HostPort>(place.parse()) {
        assert_eq!(at.to_string().parse().ok(), Some(at));
    }
    if let Some(group) = safely::<Membership>(value.parse()) {
        assert_eq!(group.to_string().parse().ok(), Some(group));
    }
    if let Some(model) = safely::<Model>(value.parse()) {
        assert_eq!(model.to_string().parse().ok(), Some(model));
    }
    safely(Options::new().set(name, value));
    if let Some(bytes) = safely(parse_size(value)) {
        assert_eq!(parse_size(&format_size(bytes)).ok(), Some(bytes));
    }
    if let Some(duration) = safely(parse_duration(value))
        && duration.as_nanos() <= u64::MAX.into()
    {
        assert_eq!(parse_duration(&format_duration(duration)).ok(), Some(duration));
    }
}

/// What came of it. An error tells of a text without what would control a terminal.
fn safely<T>(outcome: crate::Result<T>) -> Option<T> {
    if let Err(error) = &outcome {
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn what_was_kept_of_fuzzing_holds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/endpoint");
        let seeds: Vec<_> = std::fs::read_dir(folder).expect("a folder").collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            endpoint(&std::fs::read(seed.expect("an entry").path()).expect("a file"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text: String,
            place in "(tcp|tls|udp|unix|unixgram|unixseq|vsock):(//)?[\\PC\\[\\]:%@/0-9]{0,30}",
            option in "[a-z_-]{0,12}=[-+0-9.a-zA-Z%:µ]{0,12}",
        ) {
            endpoint(text.as_bytes());
            endpoint(format!("{place}?{option}").as_bytes());
        }
    }
}
