//! TXT records, from anybody on the link.

use super::{Facts, MAX_VALUE};

/// What is understood of one is short, and is said again in the same words. The entries are parted by NUL.
pub(crate) fn holds(data: &[u8]) {
    let entries = data.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len());
        let key = std::str::from_utf8(&entry[..at]).ok()?;
        Some((key.to_owned(), entry.get(at + 1..).unwrap_or_default().to_vec()))
    });
    let facts = Facts::of_txt(&entries.collect::<Vec<_>>());
    for text in [&facts.version, &facts.auth, &facts.encoding]
        .into_iter()
        .flatten()
    {
        assert!((1..=MAX_VALUE).contains(&text.len()));
    }
    assert!(facts.tls || facts.fingerprint.is_none());
    let said = facts.to_txt().into_iter();
    let said: Vec<_> = said
        .map(|(key, value)| (key.to_owned(), value.into_bytes()))
        .collect();
    assert_eq!(Facts::of_txt(&said), facts);
}
