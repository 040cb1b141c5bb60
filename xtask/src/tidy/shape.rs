//! Names of files, lengths of files and functions.

use super::Finding;
use super::source::{Source, closing, in_name};

/// A name that says nothing collects everything.
const NO_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "shared"];
/// Over this a file has two subjects.
const LONG_FILE: usize = 500;
const TOO_LONG_FILE: usize = 800;
/// What fits a screen.
const LONG_FUNCTION: usize = 70;
const TOO_LONG_FUNCTION: usize = 100;

/// Finds what is badly named or too long.
pub(super) fn check(source: &Source, found: &mut Vec<Finding>) {
    let path = source.path.as_str();
    for part in path.split('/') {
        let stem = part
            .trim_end_matches(".rs")
            .trim_end_matches(|c: char| c.is_ascii_digit());
        if NO_NAMES.contains(&stem) {
            found.push(Finding::new(
                path,
                1,
                format!("the name `{part}`"),
                "name a file for the thing in it",
            ));
        }
    }
    let lines = source.code.lines().count();
    if lines > LONG_FILE {
        let why = "a file has one subject: split it (500 lines are long, 800 too long)";
        let finding = Finding::new(path, 1, format!("{lines} lines"), why);
        found.push(finding.warning(lines <= TOO_LONG_FILE));
    }
    for (name, line, length) in functions(source) {
        if length > LONG_FUNCTION {
            let why = "a function fits a screen (70 lines are long, over 100 too long)";
            let finding = Finding::new(path, line, format!("fn {name} has {length} lines"), why);
            found.push(finding.warning(length <= TOO_LONG_FUNCTION));
        }
    }
}

/// Name, first line and number of lines of each function that has a body.
fn functions(source: &Source) -> impl Iterator<Item = (&str, usize, usize)> {
    let code = source.code.as_str();
    source.words("fn").filter_map(move |at| {
        let head = code[at + 2..].trim_start();
        let name = &head[..head.find(|c| !in_name(c))?];
        let open = body(code, at)?;
        let (first, last) = (source.line(at), source.line(closing(code, open)?));
        (!name.is_empty()).then_some((name, first, last - first + 1))
    })
}

/// Where the body of the function at `at` opens; none where it is only declared.
fn body(code: &str, at: usize) -> Option<usize> {
    let mut i = at;
    loop {
        match code.as_bytes().get(i)? {
            b'{' => return Some(i),
            b';' => return None,
            b'(' | b'[' => i = closing(code, i)?,
            _ => {}
        }
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, bool)> {
        let mut found = Vec::new();
        check(&Source::new(path, text), &mut found);
        found.iter().map(|f| (f.line, f.warning)).collect()
    }

    #[test]
    fn names_that_say_nothing() {
        assert_eq!(found("crates/x/src/utils1.rs", ""), [(1, false)]);
        assert_eq!(found("crates/x/tests/common/mod.rs", ""), [(1, false)]);
        assert_eq!(found("crates/x/src/commonmark.rs", ""), []);
    }

    #[test]
    fn long_files() {
        assert_eq!(found("a.rs", &"x\n".repeat(500)), []);
        assert_eq!(found("a.rs", &"x\n".repeat(501)), [(1, true)]);
        assert_eq!(found("a.rs", &"x\n".repeat(801)), [(1, false)]);
    }

    #[test]
    fn long_functions() {
        let function = |lines: usize| format!("\nfn f(a: [u8; 3]) {{\n{}}}\n", "x;\n".repeat(lines - 2));
        assert_eq!(found("a.rs", &function(70)), []);
        assert_eq!(found("a.rs", &function(71)), [(2, true)]);
        assert_eq!(found("a.rs", &function(101)), [(2, false)]);
        assert_eq!(
            found("a.rs", &format!("fn declared();\n{}", "x\n".repeat(120))),
            []
        );
    }
}
