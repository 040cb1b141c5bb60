//! `sockeye serve`.

mod datagrams;
mod end;
mod listening;
mod peers;
mod usage;

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::sockeye::{Background, sockeye};

/// A server at work, and where it listens.
pub(crate) struct Serving {
    pub(crate) program: Background,
    /// What follows `listening` on each of its lines: service and endpoint.
    pub(crate) at: Vec<String>,
}

impl Serving {
    /// Serves these listeners, with these options before them.
    pub(crate) fn start(options: &[&str], listeners: &[&str]) -> Self {
        let args = [&["serve"], options, listeners].concat();
        Self::of(Background::start(sockeye(&args)), listeners.len())
    }

    /// Serves a listener with file systems of its own: `script` mounts them in the data folder, its `$0`, and then runs its `$@`.
    pub(crate) fn apart(script: &str, data: &str, listener: &str) -> Self {
        let serve = sockeye(&["serve", "--data", data, listener]);
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, data])
            .arg(serve.get_program())
            .args(serve.get_args());
        Self::of(Background::start(command), 1)
    }

    /// Waits until a program says that so many listeners are ready.
    pub(crate) fn of(program: Background, count: usize) -> Self {
        let listening = || {
            let line = program.line_with("listening ");
            line.strip_prefix("listening ")
                .expect("first on its line")
                .to_owned()
        };
        let at = (0..count).map(|_| listening()).collect();
        Serving { program, at }
    }

    /// Host and port of a listener.
    pub(crate) fn address(&self, number: usize) -> &str {
        let (_, address) = self.at[number].split_once("://").expect("an endpoint");
        address
    }

    /// Host and port as two words.
    pub(crate) fn words(&self, number: usize) -> [&str; 2] {
        let (host, port) = self.address(number).rsplit_once(':').expect("a port");
        [host, port]
    }

    /// A connection to a listener.
    pub(crate) fn dial(&self, number: usize) -> TcpStream {
        TcpStream::connect(self.address(number)).expect("connect")
    }
}

/// Sends a line and expects it back.
#[track_caller]
pub(crate) fn echoes(stream: &mut TcpStream, line: &str) {
    stream.write_all(line.as_bytes()).expect("send");
    let mut back = vec![0; line.len()];
    stream.read_exact(&mut back).expect("the echo");
    assert_eq!(String::from_utf8_lossy(&back), line);
}
