//! Dependencies point one way, and some belong to one place.

use super::Finding;

/// Each crate's folder and what it may have of the others. A new crate finds its place here.
const ORDER: &[(&str, &[&str])] = &[
    ("crates/sockeye-proto", &[]),
    ("crates/sockeye", &["sockeye-proto"]),
    ("crates/sockeye-services", &["sockeye-proto", "sockeye"]),
    (
        "crates/sockeye-console",
        &["sockeye-proto", "sockeye", "sockeye-services"],
    ),
    (
        "crates/sockeye-cli",
        &["sockeye-proto", "sockeye", "sockeye-services", "sockeye-console"],
    ),
    ("xtask", &[]),
    ("fuzz", &["sockeye-proto", "sockeye", "sockeye-services"]),
];

/// A library, the only folders that may depend on it, and why.
const PLACES: &[(&str, &[&str], &str)] = &[
    (
        "anyhow",
        &["crates/sockeye-cli", "xtask"],
        "below the binary errors are typed",
    ),
    (
        "clap",
        &["crates/sockeye-cli"],
        "arguments are parsed in the binary",
    ),
    ("io-uring", &["crates/sockeye"], "only the models know the ring"),
];

/// Libraries that a codec has no use for.
const NOT_PROTO: &[&str] = &["tokio", "tokio-rustls", "rustix", "socket2", "libc", "rustls"];

/// Finds dependencies that point the wrong way.
pub(super) fn check(path: &str, text: &str, found: &mut Vec<Finding>) {
    let Some(folder) = path.strip_suffix("/Cargo.toml") else {
        return;
    }; // the workspace's own
    let Some((_, allowed)) = ORDER.iter().find(|(f, _)| *f == folder) else {
        if folder.starts_with("crates/") && folder.matches('/').count() == 1 {
            let why = "give it its place in xtask/src/tidy/manifest.rs and in ARCHITECTURE.md";
            found.push(Finding::new(path, 1, "a crate without a place", why));
        }
        return;
    };
    for (line, name) in dependencies(text) {
        let what = format!("depends on {name}");
        if (name == "sockeye" || name.starts_with("sockeye-")) && !allowed.contains(&name) {
            let why = "dependencies point one way: cli -> console, services -> sockeye -> proto";
            found.push(Finding::new(path, line, what, why));
        } else if let Some((_, _, why)) = PLACES
            .iter()
            .find(|(l, at, _)| *l == name && !at.contains(&folder))
        {
            found.push(Finding::new(path, line, what, why));
        } else if folder == "crates/sockeye-proto" && NOT_PROTO.contains(&name) {
            found.push(Finding::new(
                path,
                line,
                what,
                "codecs are pure: no sockets, no runtime",
            ));
        }
    }
}

/// Line and name of each dependency of any kind, written in a table or as a table of its own.
fn dependencies(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut names = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            if let Some((_, name)) = table.split_once("dependencies.") {
                names.push((i + 1, name.trim_matches('"')));
            }
        } else if inside && !line.starts_with('#') && line.contains('=') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            names.push((i + 1, name.trim_matches('"')));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(folder: &str, text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        check(&format!("{folder}/Cargo.toml"), text, &mut found);
        found.iter().map(|f| f.line).collect()
    }

    #[test]
    fn downwards_only() {
        assert!(
            lines(
                "crates/sockeye",
                "[dependencies]\nsockeye-proto.workspace = true\nlibc = \"0.2\""
            )
            .is_empty()
        );
        assert_eq!(
            lines(
                "crates/sockeye",
                "[dev-dependencies]\nsockeye-services = { path = \"x\" }"
            ),
            [2]
        );
        assert_eq!(
            lines("crates/sockeye-proto", "[dependencies.sockeye]\npath = \"x\""),
            [1]
        );
        assert_eq!(lines("xtask", "[dependencies]\nsockeye.workspace = true"), [2]);
        assert!(lines("crates/sockeye", "[features]\nsockeye-cli = []").is_empty());
    }

    #[test]
    fn some_belong_to_one_place() {
        assert_eq!(
            lines("crates/sockeye", "[dependencies]\nanyhow.workspace = true"),
            [2]
        );
        assert!(
            lines(
                "crates/sockeye-cli",
                "[dependencies]\nanyhow.workspace = true\nclap = \"4\""
            )
            .is_empty()
        );
        assert_eq!(
            lines("crates/sockeye-proto", "[dependencies]\ntokio = \"1\""),
            [2]
        );
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        assert_eq!(lines("crates/sockeye-new", ""), [1]);
        assert!(lines("crates/sockeye/fuzz", "").is_empty());
    }
}
