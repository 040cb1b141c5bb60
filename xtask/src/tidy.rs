//! `cargo xtask tidy`: the rules that ARCHITECTURE.md states as absences, as far as text can show them.
//!
//! | rules about | where |
//! |---|---|
//! | words that must not stand in some place | `tidy/words.rs` |
//! | who branches on the model | `tidy/model.rs` |
//! | `unsafe` and its reasons | `tidy/safety.rs` |
//! | names, lengths of files and functions | `tidy/shape.rs` |
//! | which crate depends on which | `tidy/manifest.rs` |
//! | the two READMEs, ARCHITECTURE.md, paths in documents | `tidy/docs.rs` |
//!
//! A rule about code is a function over a [`Source`], in which comments and the inside of strings are already blank.

mod docs;
mod manifest;
mod model;
mod safety;
mod shape;
mod source;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::options::Options;
use crate::step;
use source::Source;

/// Where a rule is not kept.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    why: &'static str,
    /// Said, but no failure.
    warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, why: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
            why,
            warning: false,
        }
    }

    fn warning(self, warning: bool) -> Self {
        Self { warning, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.warning { "warning: " } else { "" };
        write!(
            f,
            "{}:{}: {mark}{}; {}",
            self.path, self.line, self.what, self.why
        )
    }
}

/// The rules about one Rust file.
const CODE: &[fn(&Source, &mut Vec<Finding>)] = &[words::check, model::check, safety::check, shape::check];

pub(crate) const HELP: &str = "\
usage: cargo xtask tidy

Checks what ARCHITECTURE.md says is absent, as far as text can show it. It has no options.
";

/// Checks the workspace around this program.
pub(crate) fn run(args: &[String]) -> Result<()> {
    Options::parse(args, &[], &[])?;
    check(&step::root())
}

/// Prints what is found below `root`; fails where it is more than warnings.
pub(crate) fn check(root: &Path) -> Result<()> {
    let files = files(root).with_context(|| format!("read the folders of {}", root.display()))?;
    let mut found = Vec::new();
    for (path, text) in &files {
        if path.ends_with(".rs") {
            let source = Source::new(path, text);
            CODE.iter().for_each(|rule| rule(&source, &mut found));
        }
        if path.ends_with("Cargo.toml") {
            manifest::check(path, text, &mut found);
        }
    }
    docs::check(&files, &mut found);
    found.sort_by(|a, b| (a.warning, &a.path, a.line).cmp(&(b.warning, &b.path, b.line)));
    found.iter().for_each(|finding| println!("{finding}"));
    let broken = found.iter().filter(|f| !f.warning).count();
    if broken > 0 {
        bail!("{broken} rules are not kept (above)");
    }
    println!("tidy: {} files", files.len());
    Ok(())
}

/// Every Rust file, manifest and document: path from the root, and text.
fn files(root: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if [".rs", ".md", "Cargo.toml"].iter().any(|end| name.ends_with(end)) {
                let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                files.push((relative(root, path), text));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative(root: &Path, path: PathBuf) -> String {
    path.strip_prefix(root)
        .unwrap_or(&path)
        .to_string_lossy()
        .into_owned()
}

/// What a rule finds in a file of this path and text: for the rules' own tests.
#[cfg(test)]
fn findings(rule: fn(&Source, &mut Vec<Finding>), path: &str, text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    rule(&Source::new(path, text), &mut found);
    found.iter().map(|f| f.line).collect()
}
