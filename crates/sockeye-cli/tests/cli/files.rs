//! `sockeye files`, against `sockeye serve`.

mod accounts;
mod breaks;
mod liars;
mod old;
mod proxy;
mod transfers;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::serve::Serving;
use crate::sockeye::{sockeye, words};

/// A person at a machine of their own.
pub(crate) struct Person {
    pub(crate) folder: tempfile::TempDir,
}

impl Person {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Person { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with bytes of its own.
    pub(crate) fn file(&self, name: &str, size: usize) -> Vec<u8> {
        let mut state = size as u64 | 1;
        let mut next = || {
            // xorshift64 (Marsaglia 2003): no byte of it is like its neighbours.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let bytes: Vec<u8> = std::iter::repeat_with(&mut next).flatten().take(size).collect();
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, &bytes).expect("written");
        bytes
    }

    /// `sockeye files …`, in the person's folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = sockeye(&[&["files"], args].concat());
        command
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.path(".state"))
            .env("XDG_CONFIG_HOME", self.path(".config"))
            .env_remove("SOCKEYE_PASSWORD_FILE");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// Runs it, and expects it to succeed; what it printed.
    #[track_caller]
    pub(crate) fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", words(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs it, and expects it to fail; what it said.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", words(&output));
        words(&output)
    }
}

/// A service without accounts, and the folder that it keeps its files in.
pub(crate) fn service(query: &str) -> (Serving, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    (again(query, &data), data)
}

/// A service that goes on with this folder.
pub(crate) fn again(query: &str, data: &tempfile::TempDir) -> Serving {
    let listener = format!("files@tcp://127.0.0.1:0?auth=none{query}");
    let folder = data.path().to_str().expect("a path in UTF-8");
    Serving::start(&["--data", folder], &[&listener])
}

/// Its endpoint.
pub(crate) fn endpoint(serving: &Serving) -> String {
    format!("tcp://{}", serving.address(0))
}
