//! `unsafe` lives in `crates/sockeye` alone, and each use says why it is sound.

use super::Finding;
use super::source::Source;

const HOME: &str = "crates/sockeye/";

/// Finds `unsafe` elsewhere, and `unsafe` without its reason.
pub(super) fn check(source: &Source, found: &mut Vec<Finding>) {
    for at in source.words("unsafe") {
        let line = source.line(at);
        if !source.path.starts_with(HOME) {
            let why = "one crate holds all of it: put what is needed there, behind a safe function";
            found.push(Finding::new(&source.path, line, "`unsafe`", why));
            continue;
        }
        let after = source.code[at + "unsafe".len()..].trim_start();
        if (after.starts_with('{') || after.starts_with("impl")) && !reasoned(source, line) {
            let why = "write above it, after `// SAFETY:`, why it is sound";
            found.push(Finding::new(
                &source.path,
                line,
                "`unsafe` without its reason",
                why,
            ));
        }
    }
}

/// Whether `SAFETY:` stands on the line, or above it within the same statement and the comment before that.
fn reasoned(source: &Source, number: usize) -> bool {
    let code: Vec<&str> = source.code.lines().collect();
    let comments: Vec<&str> = source.comments.lines().collect();
    if comments[number - 1].contains("SAFETY:") {
        return true;
    }
    for i in (0..number - 1).rev() {
        if comments[i].contains("SAFETY:") {
            return true;
        }
        let line = code[i].trim();
        let blank = line.is_empty() && comments[i].trim().is_empty();
        if blank || (line.ends_with([';', '{', '}']) && !line.starts_with("#[")) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[test]
    fn only_one_crate_has_it() {
        assert_eq!(
            findings(
                check,
                "crates/sockeye-cli/src/a.rs",
                "#![deny(unsafe_code)]\nunsafe { f() }"
            ),
            [2]
        );
    }

    #[test]
    fn each_has_its_reason() {
        let text = "\
// SAFETY: the descriptor is open.
let x = unsafe { f() };
let y = unsafe { f() };
// SAFETY: as above,
// and more of it.
let z =
    unsafe { f() };
unsafe fn declared() {}
unsafe impl Send for X {}
";
        assert_eq!(findings(check, "crates/sockeye/src/a.rs", text), [3, 9]);
    }
}
