//! Reading and printing endpoints.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Endpoint {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_form_reads_and_prints_the_same() {
    for text in [
        "tcp://127.0.0.1:80",
        "tcp://:0",
        "tcp://localhost:http",
        "tcp://回声.example:7",
        "tls://[::]:8443",
        "udp://[fe80::1%eth0]:80",
        "udp://[::ffff:10.0.0.1]:53",
        "unix:///run/echo.sock",
        "unix:./echo.sock",
        "unix:echo.sock",
        "unix:@echo",
        "unixgram:///run/a%20b%3F",
        "unixgram:@a%00b",
        "unixseq:../x",
        "vsock://2:1024",
        "vsock://:4294967295",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn other_spellings_print_in_the_one_form() {
    for (text, printed) in [
        ("tcp://h:0080", "tcp://h:80"),
        ("tcp://[0:0::1]:80", "tcp://[::1]:80"),
        ("unix:/run/x", "unix:///run/x"),
        ("unix:@%65cho", "unix:@echo"),
        ("vsock://host:7", "vsock://2:7"),
        ("vsock://local:7", "vsock://1:7"),
        ("vsock://4294967295:7", "vsock://:7"),
    ] {
        assert_eq!(parse(text).to_string(), printed);
    }
}

#[test]
fn an_error_shows_the_right_form() {
    for (text, why, advice) in [
        ("", "the scheme is missing", "tcp://127.0.0.1:8080"),
        (
            "localhost:80",
            "the scheme is missing",
            "write tcp://localhost:80, tls://localhost:80",
        ),
        ("[::1]:80", "the scheme is missing", "write tcp://[::1]:80"),
        ("/run/x", "the scheme is missing", "write unix:///run/x"),
        ("@x", "the scheme is missing", "write unix:@x"),
        (
            "http://h:80",
            "the scheme `http` is unknown",
            "the schemes are tcp, tls, udp",
        ),
        (
            "TCP://h:80",
            "the scheme `TCP` is unknown",
            "write tcp in lower case",
        ),
        ("tcp:h:80", "`//` is missing", "tcp://HOST:PORT"),
        ("tcp://h", "the port is missing", "tcp://HOST:PORT"),
        ("tcp://h:80?nodelay=1", "`?` does not belong", "tcp://HOST:PORT"),
        (
            "unix://x",
            "a third `/`",
            "unix:///PATH, unix:./PATH or unix:@NAME",
        ),
        ("unixseq:", "the path is empty", "unixseq:@NAME"),
        ("unix:@", "the abstract name is empty", "unix:@NAME"),
        ("vsock://2", "the port is missing", "vsock://CID:PORT"),
        ("vsock://x:2", "the context (CID)", "vsock://CID:PORT"),
        ("vsock://2:+2", "the port is no number", "vsock://CID:PORT"),
    ] {
        let error = text.parse::<Endpoint>().expect_err(text);
        assert!(error.to_string().contains(why), "{error}");
        assert!(
            error.advice().is_some_and(|said| said.contains(advice)),
            "{error}"
        );
    }
}

#[test]
fn a_long_path_is_refused_with_its_length() {
    let error = format!("unix:///{}", "x".repeat(107))
        .parse::<Endpoint>()
        .expect_err("108 bytes");
    assert!(
        error
            .to_string()
            .contains("the path has 108 bytes, a Unix socket takes at most 107"),
        "{error}"
    );
}

#[test]
fn a_control_character_does_not_reach_the_terminal() {
    for text in ["tcp://\u{1b}[2J:80", "/run/\u{1b}[2J", "\u{1b}[2J"] {
        let error = text.parse::<Endpoint>().expect_err("an escape sequence");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn streams_and_packets_are_told_apart() {
    for text in ["tcp://:1", "tls://:1", "unix:@x", "unixseq:@x", "vsock://:1"] {
        assert!(parse(text).is_stream() && !parse(text).is_packet(), "{text}");
    }
    for text in ["udp://:1", "unixgram:@x"] {
        assert!(parse(text).is_packet() && !parse(text).is_stream(), "{text}");
    }
}

#[test]
fn ports_are_read_and_replaced() {
    for (text, port, with_nine) in [
        ("tcp://h:80", Some(80), "tcp://h:9"),
        ("udp://h:time", None, "udp://h:9"),
        ("vsock://2:80", Some(80), "vsock://2:9"),
        ("vsock://2:65536", None, "vsock://2:9"),
        ("unix:@x", None, "unix:@x"),
    ] {
        assert_eq!(parse(text).port(), port);
        assert_eq!(parse(text).with_port(9).to_string(), with_nine);
    }
}

#[test]
fn a_bound_address_takes_the_place_of_what_was_asked() {
    let inet = Address::Inet(SocketAddr::from(([127, 0, 0, 1], 4711)));
    let unix = Address::Unix(Some(UnixName::Abstract(b"y".to_vec())));
    assert_eq!(
        parse("tls://localhost:0").with_address(&inet).to_string(),
        "tls://127.0.0.1:4711"
    );
    assert_eq!(
        parse("unixgram:@x").with_address(&unix).to_string(),
        "unixgram:@y"
    );
    assert_eq!(parse("unix:@x").with_address(&inet).to_string(), "unix:@x");
    assert_eq!(
        parse("unix:@x").with_address(&Address::Unix(None)).to_string(),
        "unix:@x"
    );
}

fn host_port() -> impl Strategy<Value = HostPort> {
    let host = prop_oneof![
        Just(Host::Any),
        "[a-z][a-z0-9-]{0,20}(\\.[a-z]{2,8})?".prop_map(Host::Name),
        any::<Ipv4Addr>().prop_map(Host::V4),
        (any::<Ipv6Addr>(), proptest::option::of("[a-z0-9.:-]{1,15}"))
            .prop_map(|(ip, scope)| Host::V6(ip, scope)),
    ];
    let port = prop_oneof![
        any::<u16>().prop_map(Port::Number),
        "[a-z][a-z0-9_.+-]{0,20}".prop_map(Port::Service),
    ];
    (host, port).prop_map(|(host, port)| HostPort { host, port })
}

fn unix_name() -> impl Strategy<Value = UnixName> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..=MAX_UNIX_NAME).prop_map(UnixName::Abstract),
        "/?/?[^\0]{1,25}".prop_map(|path| UnixName::Path(path.into())),
    ]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        host_port().prop_map(Endpoint::Tcp),
        host_port().prop_map(Endpoint::Tls),
        host_port().prop_map(Endpoint::Udp),
        unix_name().prop_map(Endpoint::Unix),
        unix_name().prop_map(Endpoint::UnixGram),
        unix_name().prop_map(Endpoint::UnixSeq),
        any::<(u32, u32)>().prop_map(|(cid, port)| Endpoint::Vsock { cid, port }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(endpoint in endpoint()) {
        let text = endpoint.to_string();
        let read: Endpoint = text.parse()?;
        prop_assert_eq!(&read, &endpoint);
        prop_assert_eq!(read.to_string(), text);
    }
}
