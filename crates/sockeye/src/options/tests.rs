//! Options from text, on sockets, and read back.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use proptest::prelude::*;
use rustix::net::{AddressFamily, SocketType, socket};

use super::*;

fn parsed(pairs: &[(&str, &str)]) -> Options {
    let mut options = Options::new();
    for (name, value) in pairs {
        assert!(
            options.set(name, value).unwrap_or_else(|error| panic!("{error}")),
            "{name} is unknown"
        );
    }
    options
}

fn fresh(family: AddressFamily, kind: SocketType) -> OwnedFd {
    socket(family, kind, None).expect("a socket")
}

fn value(fd: impl std::os::fd::AsFd, name: &str) -> Option<String> {
    Options::read(fd)
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

#[test]
fn a_query_and_the_builder_say_the_same() {
    let built = Options::new()
        .nodelay(false)
        .congestion("reno".into())
        .keepalive(true)
        .keepalive_time(Duration::from_secs(60))
        .receive_buffer(65_536)
        .linger(None)
        .ttl(3)
        .mark(0x10)
        .mptcp(true)
        .join("ff02::1%2".parse().expect("a group"));
    let query = [
        ("nodelay", "false"),
        ("congestion", "reno"),
        ("keepalive", "60s"),
        ("receive-buffer", "64KiB"),
        ("linger", "off"),
        ("ttl", "3"),
        ("mark", "0x10"),
        ("mptcp", ""),
        ("join", "ff02::1%2"),
    ];
    assert_eq!(parsed(&query), built);
    assert!(built.is_mptcp());
}

#[test]
fn every_name_is_known_and_no_other() {
    let values = ["true", "5", "5s", "64KiB", "name", "239.1.2.3"];
    for name in Options::NAMES {
        let known = values
            .iter()
            .any(|value| matches!(Options::new().set(name, value), Ok(true)));
        assert!(known, "{name}");
    }
    for name in ["", "NODELAY", "model", "joins"] {
        assert!(!Options::new().set(name, "true").expect("not ours"), "{name}");
    }
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    for (name, value, advice) in [
        ("nodelay", "maybe", "write true or false"),
        ("keepalive", "60", "write 5s, 200ms"),
        ("send_buffer", "64X", "64KiB"),
        ("ttl", "256", "digits"),
        ("mark", "0xZZ", "hexadecimal"),
        ("linger", "5", "write 5s"),
        ("device", "", "write a name"),
        ("join", "127.0.0.1", "239.1.2.3%eth0"),
        ("join", "239.1.2.3%", "239.1.2.3%eth0"),
        ("user-timeout", "\u{1b}", "write 5s"),
    ] {
        let text = Options::new().set(name, value).expect_err(name).to_string();
        assert!(
            text.starts_with(&format!("set option {name}={}: ", value.escape_debug())),
            "{text}"
        );
        assert!(text.contains(advice), "{text}");
    }
}

#[test]
fn tcp_options_are_set_and_read_back() {
    let socket = fresh(AddressFamily::INET, SocketType::STREAM);
    let options = parsed(&[
        ("reuse_address", "true"),
        ("reuse_port", "true"),
        ("receive_buffer", "64KiB"),
        ("send_buffer", "32KiB"),
        ("congestion", "reno"),
        ("defer_accept", "1s"),
        ("fast_open", "16"),
        ("nodelay", "true"),
        ("quickack", "false"),
        ("user_timeout", "1500ms"),
        ("keepalive", "60s"),
        ("keepalive_interval", "10s"),
        ("keepalive_count", "4"),
        ("linger", "2s"),
        ("ttl", "33"),
        ("tos", "16"),
        ("priority", "3"),
    ]);
    options.apply_before_bind(&socket).expect("before bind");
    options.apply(&socket).expect("after it");
    for (name, expected) in [
        ("reuse_address", "true"),
        ("reuse_port", "true"),
        ("receive_buffer", "128KiB"),
        ("send_buffer", "64KiB"),
        ("congestion", "reno"),
        ("defer_accept", "1s"),
        ("fast_open", "16"),
        ("nodelay", "true"),
        ("quickack", "false"),
        ("user_timeout", "1500ms"),
        ("keepalive", "true"),
        ("keepalive_time", "1m"),
        ("keepalive_interval", "10s"),
        ("keepalive_count", "4"),
        ("linger", "2s"),
        ("ttl", "33"),
        ("tos", "16"),
        ("priority", "3"),
        ("mptcp", "false"),
    ] {
        assert_eq!(value(&socket, name).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn an_accepted_connection_inherits_from_its_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let pairs = [
        ("nodelay", "true"),
        ("keepalive_time", "1m"),
        ("keepalive_count", "4"),
        ("user_timeout", "7s"),
        ("congestion", "reno"),
        ("linger", "2s"),
        ("tos", "16"),
        ("ttl", "33"),
    ];
    let options = parsed(&pairs);
    options.apply_before_bind(&listener).expect("before");
    options.apply(&listener).expect("after");
    let _dialler = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
    let (accepted, _) = listener.accept().expect("accept");
    for (name, expected) in pairs {
        assert_eq!(value(&accepted, name).as_deref(), Some(expected), "{name}");
    }
    parsed(&[("quickack", "false")])
        .apply_to_accepted(&accepted)
        .expect("quickack");
    assert_eq!(value(&accepted, "quickack").as_deref(), Some("false"));
}

#[test]
fn ipv6_has_its_own_names_for_the_same() {
    let Ok(socket) = socket(AddressFamily::INET6, SocketType::DGRAM, None) else {
        return; // A kernel without IPv6.
    };
    let options = parsed(&[
        ("only_v6", "true"),
        ("ttl", "33"),
        ("tos", "16"),
        ("multicast_ttl", "3"),
        ("multicast_loop", "false"),
        ("multicast_interface", "lo"),
        ("packet_info", "true"),
        ("timestamps", "true"),
        ("join", "ff02::4711%lo"),
    ]);
    options.apply_before_bind(&socket).expect("before");
    options.apply(&socket).expect("after");
    for (name, expected) in [
        ("only_v6", "true"),
        ("ttl", "33"),
        ("tos", "16"),
        ("multicast_ttl", "3"),
        ("multicast_loop", "false"),
        ("multicast_interface", "1"),
        ("packet_info", "true"),
        ("timestamps", "true"),
    ] {
        assert_eq!(value(&socket, name).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn a_group_that_was_joined_is_heard() {
    let group: Membership = "239.255.47.11%lo".parse().expect("a group");
    let options = Options::new()
        .join(group)
        .multicast_interface("lo".into())
        .multicast_ttl(0)
        .multicast_loop(true);
    let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
    options.apply(&socket).expect("join");
    let port = socket.local_addr().expect("bound").port();
    socket.send_to(b"hello", ("239.255.47.11", port)).expect("send");
    let mut buffer = [0; 8];
    assert_eq!(socket.recv(&mut buffer).expect("receive"), 5);
    let twice = options.apply(&socket).expect_err("joined already");
    assert!(
        twice
            .to_string()
            .starts_with("set IP_ADD_MEMBERSHIP 239.255.47.11%lo: "),
        "{twice}"
    );
}

#[test]
fn an_unknown_interface_is_refused_by_name() {
    let socket = fresh(AddressFamily::INET, SocketType::DGRAM);
    for (name, value) in [
        ("join", "239.1.2.3%nosuch0"),
        ("multicast_interface", "nosuch0"),
        ("device", "nosuch0"),
    ] {
        let options = parsed(&[(name, value)]);
        let error = options
            .apply_before_bind(&socket)
            .and_then(|()| options.apply(&socket))
            .expect_err(name);
        assert!(
            error.advice().is_some_and(|advice| advice.contains("ip link")),
            "{error}"
        );
    }
}

#[test]
fn multipath_tcp_is_recognised() {
    let Ok(socket) = socket(
        AddressFamily::INET,
        SocketType::STREAM,
        Some(rustix::net::ipproto::MPTCP),
    ) else {
        return; // A kernel without it.
    };
    assert_eq!(value(&socket, "mptcp").as_deref(), Some("true"));
    Options::new()
        .nodelay(true)
        .congestion("reno".into())
        .apply(&socket)
        .expect("it takes TCP's options");
    assert_eq!(value(&socket, "nodelay").as_deref(), Some("true"));
}

#[test]
fn a_refusal_names_the_option() {
    let udp = fresh(AddressFamily::INET, SocketType::DGRAM);
    let error = Options::new()
        .nodelay(true)
        .apply(&udp)
        .expect_err("UDP has no Nagle");
    assert_eq!(error.op(), "set TCP_NODELAY");
    assert_eq!(
        error.advice(),
        Some("this kind of socket does not have the option")
    );

    let tcp = fresh(AddressFamily::INET, SocketType::STREAM);
    let error = Options::new()
        .congestion("nosuch".into())
        .apply_before_bind(&tcp)
        .expect_err("no such algorithm");
    assert_eq!(error.op(), "set TCP_CONGESTION");
    assert!(
        error
            .advice()
            .is_some_and(|advice| advice.contains("tcp_available_congestion_control")),
        "{error}"
    );

    let error = Options::new()
        .keepalive_time(Duration::from_secs(40_000))
        .apply(&tcp)
        .expect_err("too long");
    assert_eq!(error.op(), "set TCP_KEEPIDLE");
}

#[test]
fn a_unix_socket_has_few_options() {
    let (socket, _other) = UnixStream::pair().expect("a pair");
    let names: Vec<_> = Options::read(&socket).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"send_buffer"));
    for name in ["nodelay", "ttl", "broadcast", "only_v6"] {
        assert!(!names.contains(&name), "{name}");
    }
}

/// Names that there are and names that there aren't, in any spelling.
fn name() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(Options::NAMES);
    prop_oneof![
        3 => known.prop_map(|name| name.replace('_', "-")),
        1 => any::<String>(),
    ]
}

proptest! {
    /// Nor does an error carry a control character of the text to a terminal.
    #[test]
    fn no_name_and_no_value_panic(
        name in name(),
        value in prop_oneof![any::<String>(), "[-+0-9.a-zA-Z%:µ]{0,12}", "0x[0-9a-f]{0,12}"],
    ) {
        if let Err(error) = Options::new().set(&name, &value) {
            prop_assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
        let _ = value.parse::<Membership>();
    }
}
