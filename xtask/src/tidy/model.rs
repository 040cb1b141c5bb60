//! Nothing outside `crates/sockeye/src/model/` branches on the model.
//!
//! Naming a variant, to choose a model, is everybody's right; taking one apart is not. So each `Model::Variant` outside
//! the folder must not be a pattern (`match`, `if let`, `matches!`) nor an operand of `==` and `!=`. Names that
//! would hide it (`use Model::*`, `Model as M`) are refused too, as is an `impl` in which `Self::` would.

use super::Finding;
use super::source::{Source, closing, in_name};

/// The folder that may.
const HOME: &str = "crates/sockeye/src/model";
const WHY: &str = "only the files in model/ know which model runs: make it a question that the model answers";
const NAME: &str = "Model::";

/// Finds patterns and comparisons of `Model::…`.
pub(super) fn check(source: &Source, found: &mut Vec<Finding>) {
    if !source.path.starts_with("crates/") || source.path.starts_with(HOME) {
        return;
    }
    let code = source.code.as_str();
    let mut push = |at: usize, what: &str| {
        let line = source.line(at);
        if !source.is_test(line) {
            found.push(Finding::new(&source.path, line, what, WHY));
        }
    };
    for (at, _) in code.match_indices(NAME) {
        if code[..at].ends_with(in_name) {
            continue; // `DataModel::`
        }
        let after = &code[at + NAME.len()..];
        if after.starts_with(['*', '{']) {
            push(at, "imports the variants of Model");
        } else if (is_variant(after) && is_branch(code, at)) || is_compared(code, at) {
            push(at, "branches on Model");
        }
    }
    for at in source.code.match_indices("Model as ").map(|(at, _)| at) {
        if code[..at].trim_end().ends_with([':', '{', ',']) {
            push(at, "renames Model");
        }
    }
    for at in code.match_indices("impl").map(|(at, _)| at) {
        let head: String = code[at..].chars().take_while(|&c| c != '{' && c != ';').collect();
        let head = head.trim_end();
        if head == "impl Model" || (head.ends_with(" for Model") && !code[..at].ends_with(in_name)) {
            push(at, "implements something for Model");
        }
    }
}

/// `Process`, not the constant `ALL` nor a function.
fn is_variant(after: &str) -> bool {
    let name: String = after.chars().take_while(|&c| in_name(c)).collect();
    name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase)
}

/// `== Model::default()` and the like.
fn is_compared(code: &str, at: usize) -> bool {
    let before = code[..at].trim_end_matches(|c| in_name(c) || c == ':').trim_end();
    before.ends_with("==") || before.ends_with("!=")
}

/// Whether the variant at byte `at` is a pattern or compared: looked at outwards, through the tuples, constructors
/// and struct patterns that it is nested in.
fn is_branch(code: &str, at: usize) -> bool {
    let mut start = code[..at].trim_end_matches(|c| in_name(c) || c == ':').len();
    let mut end = at + NAME.len();
    end += code[end..].find(|c| !in_name(c)).unwrap_or(0);
    if code[end..].starts_with(['(', '{']) && !code[end..].starts_with("{}") {
        end = closing(code, end).map_or(end, |close| close + 1); // what the variant carries
    }
    loop {
        if pattern_follows(code[end..].trim_start()) || pattern_precedes(code[..start].trim_end()) {
            return true;
        }
        let Some(open) = enclosing(code, start) else {
            return false;
        };
        let before = code[..open].trim_end();
        if before.ends_with('!') {
            return before.ends_with("matches!") || before.ends_with("assert_matches!");
        }
        let word = before.rsplit(|c: char| !in_name(c)).next().unwrap_or_default();
        let constructor = word.starts_with(char::is_uppercase);
        let tuple = word.is_empty() && !code[open..].starts_with('{');
        if !constructor && !tuple {
            return false; // an argument, or a block
        }
        start = before.trim_end_matches(|c| in_name(c) || c == ':').len();
        end = closing(code, open).map_or(code.len(), |close| close + 1);
    }
}

fn pattern_follows(after: &str) -> bool {
    let assigns = after.starts_with('=') && !after.starts_with("==");
    let or = after.starts_with('|') && !after.starts_with("||");
    let guard = after.starts_with("if ") && after.split(['{', ';']).next().is_some_and(|g| g.contains("=>"));
    assigns || or || guard || after.starts_with("==") || after.starts_with("!=")
}

fn pattern_precedes(before: &str) -> bool {
    before.ends_with("==")
        || before.ends_with("!=")
        || before.strip_suffix("let").is_some_and(|b| !b.ends_with(in_name))
}

/// The bracket that opens around byte `at`.
fn enclosing(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, b) in code.as_bytes()[..at].iter().enumerate().rev() {
        match b {
            b')' | b']' | b'}' => depth += 1,
            b'(' | b'[' | b'{' if depth == 0 => return Some(i),
            b'(' | b'[' | b'{' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    fn branches(text: &str) -> bool {
        !findings(check, "crates/sockeye-cli/src/serve.rs", text).is_empty()
    }

    #[test]
    fn patterns_and_comparisons_branch() {
        for text in [
            "match m { Model::Process => 1, _ => 2 }",
            "match m { Model::Thread | Model::Spin => 1, _ => 2 }",
            "match m { _ => 1, Model::Epoll(Trigger::Edge) => 2 }",
            "match (m, n) { (Model::Process, 3) => 1, _ => 2 }",
            "match plan { Plan { model: Some(Model::Process), .. } => 1, _ => 2 }",
            "match m { Model::Uring if ring() => 1, _ => 2 }",
            "if m == Model::Process { }",
            "if Some(Model::Process) != m { }",
            "if m != Model::default() { }",
            "if let Some(sockeye::Model::Process) = m { }",
            "let Model::Epoll(t) = m else { return };",
            "let b = matches!(m, Model::Process);",
            "let b = matches!(m, Model::Process\n | Model::Thread);",
            "use sockeye::Model::*;",
            "use sockeye::{Model as M, Server};",
            "impl Model { fn forks(&self) -> bool { self == Self::Process } }",
            "impl Extra for Model { }",
        ] {
            assert!(branches(text), "{text}");
        }
    }

    #[test]
    fn choosing_and_listing_do_not() {
        for text in [
            "Server::bind(e)?.model(Model::Epoll(Trigger::Edge)).serve(Upper)",
            "let m = Model::Process;",
            "match name { \"process\" => Model::Process, \"thread\" => Model::Thread, _ => return None }",
            "fn default() -> Self { Model::Thread }",
            "for m in Model::ALL { }",
            "let m: Model = Model::parse(s)?;",
            "Plan { model: Model::Coroutine, workers }",
            "let t = [(\"a\", Model::Process), (\"b\", Model::Thread)];",
            "DataModel::Tree => 1",
            "// if m == Model::Process",
        ] {
            assert!(!branches(text), "{text}");
        }
    }

    #[test]
    fn the_models_and_the_tests_may() {
        let text = "if m == Model::Process { }";
        assert!(findings(check, "crates/sockeye/src/model/plan.rs", text).is_empty());
        assert!(findings(check, "crates/sockeye/src/model.rs", text).is_empty());
        assert!(findings(check, "crates/sockeye/tests/conformance/main.rs", text).is_empty());
    }
}
