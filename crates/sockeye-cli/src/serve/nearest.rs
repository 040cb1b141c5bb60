//! What somebody may have meant.

/// How alike two words must be for one to be taken for the other mistyped: `connection` and `connections` are 0.97,
/// `idle` and `tls` 0.53.
const ALIKE: f64 = 0.8;

/// ` (did you mean …?)`, or nothing.
pub(super) fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let scored = known.map(|name| (strsim::jaro_winkler(word, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0));
    match best {
        Some((score, name)) if score >= ALIKE => format!(" (did you mean {name}?)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_nothing_is_made_up() {
        let names = ["connections", "framing", "idle", "nodelay"];
        let hint = |word| hint(word, names.into_iter());
        assert_eq!(hint("conections"), " (did you mean connections?)");
        assert_eq!(hint("framng"), " (did you mean framing?)");
        assert_eq!(hint("no-delay"), " (did you mean nodelay?)");
        assert_eq!(hint("xyz"), "");
    }
}
