//! `sockeye listen`.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use serde_json::Value;

use crate::lan::Lan;
use crate::sockeye::{Background, run, sockeye, words};

/// A listener on this machine, and its port.
fn listening(host: &str, args: &[&str]) -> (Background, u16) {
    let endpoint = format!("udp://{host}:0");
    let listener = Background::heard(sockeye(&[&["listen", &endpoint], args].concat()));
    let told = listener.line_with("listening at");
    let port = told.rsplit(':').next().and_then(|port| port.parse().ok());
    (listener, port.expect("a port"))
}

fn sender() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("bind")
}

#[test]
fn a_datagram_is_told_with_its_peer_its_time_and_its_interface() {
    for host in ["127.0.0.1", ""] {
        let (mut listener, port) = listening(host, &["--count", "2"]);
        let socket = sender();
        let from = socket.local_addr().expect("bound").to_string();
        for text in ["dog\n", "cat\x1b[2J\nmouse"] {
            socket
                .send_to(text.as_bytes(), ("127.0.0.1", port))
                .expect("send");
        }
        let line = listener.line().expect("the first");
        let parts: Vec<&str> = line.split("  ").collect();
        assert_eq!(parts[1..], [from.as_str(), "lo", "dog"], "{line}");
        assert!(
            parts[0].ends_with('Z') && parts[0].len() == "02:49:00.123456Z".len(),
            "{line}"
        );
        let line = listener.line().expect("the second");
        assert!(line.ends_with("lo  cat\\u{1b}[2J\\nmouse"), "{line}");
        assert_eq!(listener.end().code(), Some(0));
    }
}

#[test]
fn programs_read_json_and_others_bytes() {
    let (mut listener, port) = listening("127.0.0.1", &["--count", "1", "--json", "--encoding", "gbk"]);
    let socket = sender();
    socket
        .send_to(b"\xb9\xcf\xd7\xd3\x7f", ("127.0.0.1", port))
        .expect("send");
    let line = listener.line().expect("a line");
    assert!(line.contains(r"\u007f"), "{line}");
    let heard: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(heard["text"], "瓜子\u{7f}");
    assert_eq!(heard["bytes"], 5);
    assert_eq!(heard["peer"], socket.local_addr().expect("bound").to_string());
    assert_eq!(heard["local"], format!("127.0.0.1:{port}"));
    assert_eq!(heard["interface"], "lo");
    assert!(heard["time"].as_f64().is_some_and(|time| time > 1.7e9), "{heard}");
    assert_eq!(listener.end().code(), Some(0));

    let (mut listener, port) = listening("127.0.0.1", &["--count", "2", "--hex"]);
    for bytes in [&b"\x00\xff"[..], b""] {
        socket.send_to(bytes, ("127.0.0.1", port)).expect("send");
    }
    assert!(listener.line().is_some_and(|line| line.ends_with("lo  2 bytes")));
    let dump = listener.line().expect("a hex dump");
    assert!(
        dump.starts_with("00000000  00 ff  ") && dump.ends_with("|..|"),
        "{dump}"
    );
    assert_eq!(listener.line().as_deref(), Some("00000002"));
    assert!(listener.line().is_some_and(|line| line.ends_with("lo  0 bytes")));
    assert_eq!(listener.end().code(), Some(0));
}

#[test]
fn rules_answer() {
    let rules = "ping => pong ;; /^who is (.*)$/ => $1 is here";
    let (mut listener, port) = listening("127.0.0.1", &["--answer", rules, "--json", "--count", "4"]);
    let socket = sender();
    let mut buffer = [0; 64];
    for (question, answer) in [
        ("ping\n", Some("pong\n")),
        ("silence", None),
        ("ping", Some("pong")),
        ("who is anna", Some("anna is here")),
    ] {
        socket
            .send_to(question.as_bytes(), ("127.0.0.1", port))
            .expect("send");
        let heard: Value = serde_json::from_str(&listener.line().expect("a line")).expect("JSON");
        assert_eq!(heard["answer"]["text"].as_str(), answer, "{heard}");
        if let Some(answer) = answer {
            let length = socket.recv(&mut buffer).expect("an answer");
            assert_eq!(&buffer[..length], answer.as_bytes());
        }
    }
    assert_eq!(listener.end().code(), Some(0));
}

#[test]
fn rules_answer_nobody_who_may_answer_them() {
    let (listener, port) = listening("127.0.0.1", &["--answer", "* => pong", "--json"]);
    // Such as another listener at the same port, which would have the pong for a question.
    let twin = UdpSocket::bind(("127.0.0.2", port)).expect("bind");
    for _ in 0..2 {
        twin.send_to(b"ping", ("127.0.0.1", port)).expect("send");
    }
    let socket = sender();
    socket.send_to(b"ping", ("127.0.0.1", port)).expect("send");
    let mut lines: Vec<String> = (0..4).map(|_| listener.line().expect("a line")).collect();
    lines.sort_by_key(|line| line.starts_with('{'));
    let why = format!("sockeye: 127.0.0.2:{port} is not answered: its port may be a service's");
    assert!(lines[0].starts_with(&why), "{lines:?}");
    let heard = lines[1..]
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let answers: Vec<Value> = heard
        .map(|heard: Value| heard["answer"]["text"].clone())
        .collect();
    assert_eq!(answers, [Value::Null, Value::Null, "pong".into()]);
    assert_eq!(socket.recv(&mut [0; 9]).expect("an answer"), 4);
    twin.set_nonblocking(true).expect("an option");
    twin.recv(&mut [0; 9]).expect_err("a loop could have begun");
}

#[test]
fn rules_answer_other_machines_with_no_flood() {
    let Some(lan) = Lan::new(2) else { return };
    let rule = format!("* => {}", "0123456789".repeat(10));
    let listener = lan.hosts[0].listen(&["listen", "udp://:8000", "--answer", &rule]);
    listener.line_with("listening at");
    let endpoint = format!("udp://{}:8000", lan.hosts[0].v4());
    let ask = |text: &str, timeout: &str| {
        let args = ["ask", &endpoint, text, "--tries", "1", "--timeout", timeout];
        lan.hosts[1].run(&args).status.code()
    };
    assert_eq!(ask("short", "200ms"), Some(1));
    listener.line_with("to 5 bytes an answer has 71 at the most, and not 100");
    assert_eq!(ask(&"long".repeat(10), "300s"), Some(0));
}

#[test]
fn who_does_not_read_his_answers_is_not_waited_for() {
    let room = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("Linux");
    let room: usize = room.trim().parse().expect("a number");
    let folder = tempfile::tempdir().expect("a folder");
    let [path, deaf, other] = ["s", "deaf", "other"].map(|name| folder.path().join(name));
    let endpoint = format!("unixgram:{}", path.display());
    let listener = Background::heard(sockeye(&["listen", &endpoint, "--answer", "* => pong"]));
    listener.line_with("listening at");
    let deaf = UnixDatagram::bind(deaf).expect("bind");
    for _ in 0..room + 2 {
        deaf.send_to(b"ping", &path).expect("send");
    }
    let other = UnixDatagram::bind(other).expect("bind");
    other.send_to(b"ping", &path).expect("send");
    assert_eq!(other.recv(&mut [0; 9]).expect("an answer"), 4);
    listener.line_with("timed out after 1s; it doesn't read what it is sent");
}

#[test]
fn datagrams_within_the_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let endpoint = format!("unixgram:{}", path.display());
    let mut listener = Background::heard(sockeye(&["listen", &endpoint, "--count", "1"]));
    listener.line_with("listening at");
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.send_to(b"dog", &path).expect("send");
    let line = listener.line().expect("a line");
    assert!(line.ends_with("Z  (unnamed)  dog"), "{line}");
    assert_eq!(listener.end().code(), Some(0));
}

#[test]
fn what_makes_no_sense_is_said() {
    for (args, part) in [
        (&["tcp://:8000"][..], "carries a stream"),
        (&["udp://:8000", "--group", "10.0.0.1"], "no multicast address"),
        (&["unixgram:@x", "--interface", "lo"], "no interfaces"),
        (
            &["udp://:0", "--interface", "nosuch0"],
            "no interface is called `nosuch0`; there are lo",
        ),
        (
            &["udp://:0", "--group", "239.1.2.3%nosuch0"],
            "no interface is called `nosuch0`; there are lo",
        ),
        (
            &["udp://0.0.0.0:0", "--group", "ff02::1%lo"],
            "can't hear ff02::1%lo, which is of the other family; listen at udp://:PORT",
        ),
        (
            &["udp://[::1]:0", "--group", "239.1.2.3%lo"],
            "of the other family",
        ),
        (&["udp://:8000", "--answer", "hello"], "PATTERN => ANSWER"),
        (&["udp://:8000", "--encoding", "utf-16"], "utf-8 or gb18030"),
        (&["udp://:8000", "--count", "0"], "write a whole number from 1 on"),
        (
            &["udp://:8000", "--count", "-1"],
            "write a whole number from 1 on",
        ),
    ] {
        let output = run(&[&["listen"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", words(&output));
        assert!(words(&output).contains(part), "{args:?}: {}", words(&output));
    }
    let taken = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("udp://{}", taken.local_addr().expect("bound"));
    let output = run(&["listen", &endpoint]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
}

#[test]
fn an_interface_is_heard_alone() {
    let Some((near, far, router)) = Lan::joined(1, 1) else {
        return;
    };
    let args = [
        "listen",
        "udp://:8000",
        "--interface",
        "eth1",
        "--group",
        "ff02::4711",
    ];
    let listener = router.listen(&args);
    listener.line_with("listening at");
    for to in ["<broadcast>", "ff02::4711"] {
        for (host, word) in [(&far.hosts[0], "far"), (&near.hosts[0], "near")] {
            let sent = host.run(&["broadcast", "--to", to, word]);
            assert_eq!(sent.status.code(), Some(0), "{}", words(&sent));
        }
        let line = listener.line().expect("a datagram");
        assert!(line.ends_with("  eth1  near"), "{line}");
    }
}
