//! Ctrl-C: what was done so far is told, and is done or failed as at any other end; a second one ends a program at once.

use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use serde_json::Value;

use crate::discover::{Server, watch};
use crate::lan::Lan;
use crate::sockeye::{Background, sockeye};

fn started(args: &[&str]) -> Background {
    Background::heard(sockeye(args))
}

/// A socket that hears a program, and its port.
fn peer() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("bound").port().to_string();
    (socket, port)
}

/// Hears so many datagrams, and answers the last.
fn hear(socket: &UdpSocket, count: usize, answer: Option<&str>) {
    let mut from = None;
    for _ in 0..count {
        from = Some(socket.recv_from(&mut [0; 100]).expect("a datagram").1);
    }
    if let Some((answer, from)) = answer.zip(from) {
        socket.send_to(answer.as_bytes(), from).expect("send");
    }
}

#[test]
fn broadcast_says_how_many_were_sent_and_who_answered() {
    let (socket, port) = peer();
    let args = [
        "broadcast",
        "--to",
        "127.0.0.1",
        "--port",
        &port,
        "--every",
        "1ms",
        "dog",
    ];
    for (wait, answer, expected, code) in [
        (&["--wait", "1h"][..], Some("here"), "1 answer from 1 peer", 0),
        (&["--wait", "1h"], None, "sockeye: nobody answered", 1),
        (&[], None, "", 0),
    ] {
        let mut program = started(&[&args[..], wait].concat());
        hear(&socket, 3, answer);
        answer.map(|answer| program.line_with(answer));
        program.signal(Signal::INT);
        let sent = program.line_with(" sent");
        let count = sent.strip_suffix(" sent").and_then(|count| count.parse().ok());
        assert!(count.is_some_and(|count: usize| count >= 3), "{sent}");
        // What goes to standard output may be read later than what goes to standard error.
        let mut rest = std::iter::from_fn(|| program.line()).filter(|line| !line.starts_with("sent to "));
        assert_eq!(rest.next().unwrap_or_default(), expected);
        drop(rest);
        assert_eq!(program.end().code(), Some(code), "{wait:?}");
        while_heard(&socket);
    }
    let mut program = started(&[&args[..], &["--json", "--wait", "1h"]].concat());
    hear(&socket, 1, None);
    program.signal(Signal::TERM);
    let end: Value = serde_json::from_str(&program.line_with(r#""event":"end""#)).expect("JSON");
    assert_eq!((&end["failed"], &end["answers"]), (&0.into(), &0.into()));
    assert_eq!(program.end().code(), Some(1));
}

/// Takes what was sent and not heard.
fn while_heard(socket: &UdpSocket) {
    socket.set_nonblocking(true).expect("an option");
    while socket.recv(&mut [0; 100]).is_ok() {}
    socket.set_nonblocking(false).expect("an option");
}

#[test]
fn listen_says_how_many_came() {
    let (socket, _) = peer();
    for (args, expected, code) in [
        (&[][..], "2 datagrams", 0),
        (&["--count", "5"], "sockeye: 2 of 5 datagrams", 1),
    ] {
        let mut program = started(&[&["listen", "udp://127.0.0.1:0"], args].concat());
        let told = program.line_with("listening at");
        let at = told.rsplit('/').next().expect("an address");
        for text in ["dog", "cat"] {
            socket.send_to(text.as_bytes(), at).expect("send");
            program.line_with(text);
        }
        program.signal(Signal::INT);
        assert_eq!(program.line().as_deref(), Some(expected));
        assert_eq!(program.end().code(), Some(code));
    }
}

#[test]
fn ask_says_how_often_it_asked() {
    let (socket, port) = peer();
    let endpoint = format!("udp://127.0.0.1:{port}");
    let args = ["ask", &endpoint, "dog", "--tries", "1", "--timeout", "1h"];
    let mut program = started(&args);
    hear(&socket, 1, None);
    program.signal(Signal::INT);
    assert_eq!(program.line().as_deref(), Some("sockeye: no answer (1 try)"));
    assert_eq!(program.end().code(), Some(1));
    // All that came is enough where no number was asked for.
    let mut program = started(&[&args[..], &["--silence", "1h", "--json"]].concat());
    hear(&socket, 1, Some("cat"));
    program.line_with("cat");
    program.signal(Signal::INT);
    program.line_with(r#""why":"interrupted","answers":1"#);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn discover_says_who_came_and_went() {
    let Some(lan) = Lan::new(2) else { return };
    let mut seen = watch(&lan.hosts[1], &[]);
    let listener = ["echo@tcp://0.0.0.0:8080?auth=none"];
    let kitchen = Server::announced(&lan.hosts[0], "kitchen", &listener);
    let _cellar = Server::announced(&lan.hosts[0], "cellar", &["echo@tcp://0.0.0.0:8081?auth=none"]);
    seen.line_with("+ ");
    seen.line_with("+ ");
    kitchen.end();
    seen.line_with("- kitchen");
    seen.signal(Signal::INT);
    assert_eq!(seen.line().as_deref(), Some("2 came, 1 went"));
    assert_eq!(seen.end().code(), Some(0));
}

#[test]
fn discover_lists_the_types_that_it_has_found() {
    let Some(lan) = Lan::new(1) else { return };
    let mut program = lan.hosts[0].listen(&["discover", "--types", "--wait", "1h"]);
    program.has_thread("sockeye-signals");
    program.signal(Signal::INT);
    program.line_with("nobody has announced any service");
    assert_eq!(program.end().code(), Some(0));
}

/// Takes connections, and says nothing.
const SILENT: &str = "
import socket, signal
s = socket.create_server(('127.0.0.1', 0))
print('bound', s.getsockname()[1])
signal.pause()
";

#[test]
fn a_second_one_ends_it_at_once() {
    let Some(lan) = Lan::new(1) else { return };
    let host = &lan.hosts[0];
    let silent = Background::printing(host.python(SILENT, &[]));
    let bound = silent.line_with("bound ");
    let port = bound.trim_start_matches("bound ");
    let mut program = host.listen(&[
        "info",
        "127.0.0.1",
        port,
        "--tls",
        "--timeout",
        "1h",
        "--ping",
        "--interval",
        "1h",
    ]);
    program.line_with("answered");
    program.signal(Signal::INT);
    // From now on it waits for a handshake.
    program.line_with("1 sent, 1 received");
    program.signal(Signal::INT);
    assert_eq!(program.end().signal(), Some(Signal::INT.as_raw()));
}

#[test]
fn a_lookup_ends_as_any_other_wait() {
    let Some(lan) = Lan::new(1) else { return };
    for (format, end) in [
        (&[][..], "sockeye: no answer (0 tries)"),
        (
            &["--json"],
            r#"{"event":"end","why":"interrupted","answers":0,"tries":0}"#,
        ),
    ] {
        let mut asking = lan.hosts[0].listen(&[&["ask", "@nobody/echo", "dog"], format].concat());
        asking.has_thread("mDNS_daemon");
        asking.signal(Signal::INT);
        asking.line_with(end);
        assert_eq!(asking.end().code(), Some(1), "{format:?}");
    }
}
