//! How it ends: signals, and a standard error that nobody reads.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::Stdio;

use rustix::process::Signal;
use sockeye::Model;

use super::{Serving, echoes};
use crate::sockeye::sockeye;

#[test]
fn the_first_signal_lets_connections_end() {
    for signal in [Signal::INT, Signal::TERM] {
        for model in Model::ALL {
            // Patient enough for a machine that has no time for this test.
            let listener = "echo@tcp://127.0.0.1:0?drain=1m&quiet=30s";
            let mut serving = Serving::start(&["--model", model.name()], &[listener]);
            let mut stream = serving.dial(0);
            echoes(&mut stream, "before\n");
            serving.program.signal(signal);
            serving.program.line_with("stopping");
            // A connection goes on until it ends by itself.
            stream.write_all(b"after\n").expect("send");
            stream.shutdown(Shutdown::Write).expect("half-close");
            let mut rest = String::new();
            stream.read_to_string(&mut rest).expect("the end, not a reset");
            assert_eq!(rest, "after\n", "{model}");
            assert_eq!(serving.program.end().code(), Some(0), "{model}");
        }
    }
}

#[test]
fn a_quiet_connection_is_not_waited_for() {
    for model in Model::ALL {
        let listener = "echo@tcp://127.0.0.1:0?drain=1h&quiet=10ms";
        let mut serving = Serving::start(&["--model", model.name()], &[listener]);
        let mut stream = serving.dial(0);
        echoes(&mut stream, "before\n");
        serving.program.signal(Signal::TERM);
        stream.read_to_end(&mut Vec::new()).expect("the end, not a reset");
        assert_eq!(serving.program.end().code(), Some(0), "{model}");
    }
}

#[test]
fn the_second_signal_cuts_them_off() {
    for model in Model::ALL {
        let listener = "echo@tcp://127.0.0.1:0?write=off&drain=1h";
        let mut serving = Serving::start(&["--model", model.name()], &[listener]);
        // A peer that sends and never reads: its handler waits for room to send into, and would for an hour.
        let mut stream = serving.dial(0);
        echoes(&mut stream, "before\n");
        stream
            .set_write_timeout(Some(std::time::Duration::from_millis(100)))
            .expect("a timeout");
        let block = vec![b'x'; 1 << 20];
        loop {
            match stream.write(&block) {
                Ok(_) => {}
                // It was stopped, and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        serving.program.signal(Signal::INT);
        serving.program.line_with("stopping");
        serving.program.signal(Signal::INT);
        assert_eq!(serving.program.end().code(), Some(0), "{model}");
    }
}

#[test]
fn a_closed_standard_error_is_nobodys_failure() {
    for model in ["epoll", "process"] {
        let listener = "echo@tcp://127.0.0.1:0?idle=20ms";
        let mut command = sockeye(&[
            "serve",
            "-vvv",
            "--model",
            model,
            listener,
            "echo@tcp://127.0.0.1:0",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut said = Vec::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        // Up to the second address, byte by byte: nothing may be left in a buffer of ours.
        while String::from_utf8_lossy(&said).matches("listening ").count() < 2 || said.last() != Some(&b'\n')
        {
            let mut byte = [0];
            stderr.read_exact(&mut byte).expect("two addresses");
            said.extend(byte);
        }
        drop(stderr);
        let said = String::from_utf8_lossy(&said).into_owned();
        let addresses: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("listening echo tcp://"))
            .collect();
        let mut idle = std::net::TcpStream::connect(addresses[0]).expect("connect");
        idle.read_to_end(&mut Vec::new())
            .expect("the deadline, which is logged");
        let mut stream = std::net::TcpStream::connect(addresses[1]).expect("connect");
        echoes(&mut stream, "still here\n");
        drop(stream);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, Signal::TERM).expect("it is there");
        assert_eq!(child.wait().expect("its end").code(), Some(0), "{model}");
    }
}

#[test]
fn each_connection_is_shown_when_asked_for() {
    for model in ["epoll", "process"] {
        let serving = Serving::start(&["-v", "--model", model], &["echo@tcp://127.0.0.1:0"]);
        let mut stream = serving.dial(0);
        let peer = stream.local_addr().expect("an address").to_string();
        echoes(&mut stream, "12345\n");
        drop(stream);
        let opened = serving.program.line_with("opened");
        let closed = serving.program.line_with("closed");
        for words in [peer.as_str(), "echo"] {
            assert!(
                opened.contains(words) && closed.contains(words),
                "{opened}\n{closed}"
            );
        }
        for words in ["received=6", "sent=6", "finished"] {
            assert!(closed.contains(words), "{closed}");
        }
    }
}
