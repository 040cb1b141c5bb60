//! Names, ports, addresses, both ends.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Output;

use rustix::net::{AddressFamily, SocketType};
use serde_json::json;

use super::{found, info, page};
use crate::sockeye::{until, words};

/// A listener and its port as a text.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("bound").port().to_string();
    (listener, port)
}

/// A port where nobody listens: a socket has it that is bound and no more.
pub(crate) fn closed_port() -> (OwnedFd, String) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    rustix::net::bind(&socket, &any).expect("bind");
    let bound = sockeye::local_address(&socket).expect("bound");
    let port = bound.port().expect("IPv4").to_string();
    (socket, port)
}

#[test]
fn a_name_alone_is_only_resolved() {
    let output = info(&["localhost"]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let page = page(&output);
    assert!(page.contains("resolve   localhost  asked the system"), "{page}");
    assert!(
        page.contains("no port was named, so nothing was connected to"),
        "{page}"
    );

    let (report, code) = found(&["localhost"]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)));
    assert_eq!(report["resolve"]["source"], "system");
    assert!(report["resolve"]["canonical"].is_string());
    assert!(report["resolve"]["took_us"].is_u64());
    let addresses = report["resolve"]["addresses"].as_array().expect("a list");
    assert!(
        addresses
            .iter()
            .all(|one| one["address"] == "127.0.0.1" || one["address"] == "::1")
    );
    assert_eq!(
        (&report["service"], &report["connection"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn both_ends_options_and_tcp_are_told() {
    let (listener, port) = listener();
    let (report, code) = found(&["127.0.0.1", &port]);
    assert_eq!((code, &report["error"]), (Some(0), &json!(null)));
    assert_eq!(report["target"], format!("tcp://127.0.0.1:{port}"));
    assert_eq!(report["resolve"]["source"], "literal");
    assert_eq!(report["service"]["asked"], port);
    let attempts = report["attempts"].as_array().expect("a list");
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["connected"], true);
    assert!(attempts[0]["took_us"].is_u64());

    let (_conn, client) = listener.accept().expect("it connected");
    let ends = &report["connection"];
    assert_eq!(ends["local"], client.to_string());
    assert_eq!(ends["peer"], format!("127.0.0.1:{port}"));
    assert_eq!(ends["local_port_chosen"], true);
    assert_eq!(ends["options"]["nodelay"], "true");
    assert_eq!(ends["tcp"]["state"], "ESTABLISHED");
    assert!(ends["tcp"]["rtt_us"].is_u64());
    assert_eq!(report["tls"], json!(null));
}

#[test]
fn people_get_a_page_of_eighty_columns_without_colours() {
    let (_listener, port) = listener();
    let output = info(&["127.0.0.1", &port]);
    let page = page(&output);
    for part in [
        "resolve ",
        "service ",
        "connect ",
        "our end ",
        "their end ",
        "options ",
        "tcp ",
        "total     ok",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(page.contains("the system chose the port"), "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    assert!(!page.contains('\x1b'), "{page}");
}

#[test]
fn a_name_reaches_whichever_of_its_addresses_answers() {
    let (_listener, port) = listener();
    let (report, code) = found(&["localhost", &port]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["connection"]["peer"], format!("127.0.0.1:{port}"));
}

#[test]
fn all_asks_every_address_and_wants_them_all() {
    let (_listener, port) = listener();
    // An empty host is this machine, by IPv6 and IPv4; only one of the two is listened at.
    let (report, code) = found(&[&format!("tcp://:{port}"), "--all"]);
    let attempts = report["attempts"].as_array().expect("a list");
    let told: Vec<_> = attempts
        .iter()
        .map(|one| (one["address"].as_str(), &one["connected"]))
        .collect();
    let (v6, v4) = (format!("[::1]:{port}"), format!("127.0.0.1:{port}"));
    assert_eq!(
        told,
        [
            (Some(v6.as_str()), &json!(false)),
            (Some(v4.as_str()), &json!(true))
        ]
    );
    assert_eq!((code, &report["ok"]), (Some(1), &json!(false)));
    assert_eq!(report["connection"]["peer"], v4);

    let (report, code) = found(&[&format!("tcp://:{port}")]);
    assert_eq!(
        (code, &report["ok"]),
        (Some(0), &json!(true)),
        "one is enough without --all"
    );
}

#[test]
fn services_have_names_in_two_tables() {
    let (report, _) = found(&["127.0.0.1", "domain"]);
    assert_eq!(report["service"]["tcp"]["port"], 53);
    assert_eq!(report["service"]["udp"]["port"], 53);
    assert!(
        ["system", "table"]
            .map(Some)
            .contains(&report["service"]["tcp"]["source"].as_str())
    );

    let (report, code) = found(&["127.0.0.1", "no-such-service"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&report["error"]["step"], &report["error"]["kind"]),
        (&json!("service"), &json!("address"))
    );
    assert!(
        report["error"]["message"]
            .as_str()
            .is_some_and(|words| words.contains("write the port as a number"))
    );
}

#[test]
fn who_is_of_udp_alone() {
    let (report, _) = found(&["udp://127.0.0.1:who"]);
    assert_eq!(report["packets"], true, "{report}");
    assert_eq!(report["attempts"][0]["address"], "127.0.0.1:513");
    let (report, code) = found(&["tcp://127.0.0.1:who"]);
    assert_eq!((code, &report["error"]["kind"]), (Some(1), &json!("address")));
}

#[test]
fn a_udp_service_is_asked_by_an_empty_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("udp://{}", socket.local_addr().expect("bound"));
    let output = info(&[&endpoint]);
    assert_eq!(output.status.code(), Some(0), "silence is no failure");
    for words in [
        "neither answered nor refused an empty datagram",
        "nothing is known: UDP has no handshake",
    ] {
        assert!(page(&output).contains(words), "{}", page(&output));
    }
    let (count, _) = socket.recv_from(&mut [0; 1]).expect("it has come");
    assert_eq!(count, 0);

    // It answers until it hears a byte.
    let answering = std::thread::spawn(move || {
        while let (0, peer) = socket.recv_from(&mut [0; 1]).expect("a datagram") {
            socket.send_to(b"here", peer).expect("an answer");
        }
    });
    let heard = |output: &Output| page(output).contains("\"connected\": true");
    let output = until(heard, || info(&[&endpoint, "--json"]));
    assert_eq!(
        (output.status.code(), heard(&output)),
        (Some(0), true),
        "{}",
        page(&output)
    );
    let end = UdpSocket::bind("127.0.0.1:0").expect("bind");
    end.send_to(b"!", endpoint.trim_start_matches("udp://"))
        .expect("send");
    answering.join().expect("it answered");

    // Its socket is closed by now, and the kernel says so.
    let (report, code) = found(&[&endpoint]);
    assert_eq!(
        (code, &report["error"]["kind"]),
        (Some(1), &json!("refused")),
        "{report}"
    );
    assert_eq!(
        (&report["ok"], &report["attempts"][0]["connected"]),
        (&json!(false), &json!(false))
    );
}

#[test]
fn unix_sockets_are_looked_at_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let endpoint = format!("unix://{}", path.display());
    let (report, code) = found(&[&endpoint]);
    assert_eq!((code, &report["error"]["kind"]), (Some(1), &json!("missing")));

    let _listener = UnixListener::bind(&path).expect("bind");
    let (report, code) = found(&[&endpoint]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["connection"]["peer"].as_str(), path.to_str());
    assert_eq!(report["connection"]["local"], "(unnamed)");
    assert_eq!(report["connection"]["local_port_chosen"], false);
}

#[test]
fn names_of_addresses_are_looked_up_when_asked_for() {
    let (report, code) = found(&["127.0.0.1", "--reverse"]);
    let reverse = &report["resolve"]["addresses"][0]["reverse"];
    // Which name the loopback address has, if any, is the machine's business; and whether its name servers say so in time.
    match reverse["name"].as_str() {
        Some(name) => assert!(!name.is_empty() && code == Some(0)),
        None => {
            let kind = report["error"]["kind"].as_str().expect("a kind");
            assert!(code == Some(1) && ["host", "timeout"].contains(&kind), "{report}");
        }
    }
}

#[test]
fn an_unknown_name_is_an_address_failure() {
    // A label of 64 letters can't be asked for, so that no name server is.
    let host = format!("{}.invalid", "x".repeat(64));
    let output = info(&[&host, "80"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words(&output).starts_with("sockeye: the name was not found: resolve x"),
        "{}",
        words(&output)
    );
    let (report, _) = found(&[&host]);
    assert_eq!(
        (&report["error"]["step"], &report["error"]["kind"]),
        (&json!("resolve"), &json!("address"))
    );
    assert_eq!(report["resolve"]["addresses"], json!([]));
}

#[test]
fn a_closed_port_is_refused() {
    let (_socket, port) = closed_port();
    let output = info(&["127.0.0.1", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).starts_with("sockeye: the connection was refused: dial tcp://127.0.0.1:"));
    let (report, _) = found(&["127.0.0.1", &port]);
    assert_eq!(
        (&report["error"]["kind"], &report["error"]["errno"]),
        (&json!("refused"), &json!(111))
    );
    assert_eq!(report["attempts"][0]["error"], "connection refused");
}

#[test]
fn who_does_not_answer_is_given_up_in_time() {
    // A listener that keeps one newcomer and has it: the kernel drops what others send.
    let (full, port) = listener();
    rustix::net::listen(&full, 0).expect("listen");
    let _first = TcpStream::connect(full.local_addr().expect("bound")).expect("room for one");
    for all in [&[][..], &["--all"]] {
        let (report, code) = found(&[&["127.0.0.1", &port, "--timeout", "1ms"], all].concat());
        assert_eq!((code, &report["error"]["kind"]), (Some(1), &json!("timeout")));
        let attempt = &report["attempts"][0];
        assert_eq!(attempt["address"], format!("127.0.0.1:{port}"));
        assert_eq!(
            (&attempt["took_us"], &attempt["connected"]),
            (&json!(null), &json!(false))
        );
    }
    let output = info(&["127.0.0.1", &port, "--timeout", "1ms"]);
    assert!(
        words(&output).contains("there was no answer in time"),
        "{}",
        words(&output)
    );
    assert!(
        page(&output).contains("given up before it answered"),
        "{}",
        page(&output)
    );
}
