//! `daytime`.

use crate::serving::{Peer, ask, datagrams, each_model, plain};
use sockeye::{Model, Server};
use sockeye_services::daytime::Daytime;
use std::io::Read;

#[track_caller]
fn check(line: &[u8]) {
    let line = std::str::from_utf8(line).expect("ASCII");
    assert!(line.is_ascii() && line.ends_with("\r\n"), "{line:?}");
    assert!(line.contains("day, ") && line.contains("-UTC"), "{line:?}");
    assert_eq!(line.matches(':').count().min(2), 2, "{line:?}");
}

#[test]
fn a_connection_gets_one_line_and_the_close() {
    each_model(|model| {
        let served = plain("daytime", "tcp", model);
        let mut line = Vec::new();
        Peer::of(&served).0.read_to_end(&mut line).expect("the line");
        check(&line);
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn any_datagram_is_answered_with_the_line() {
    each_model(|model| {
        let served = plain("daytime", "udp", model);
        let socket = datagrams(&served);
        check(&ask(&socket, ""));
        check(&ask(&socket, "what time is it?"));
    });
}

#[test]
fn the_zone_may_be_utc() {
    let server = Server::bind("udp://127.0.0.1:0").expect("bind");
    let running = server
        .model(Model::default())
        .start_packets(Daytime::utc())
        .expect("start");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    let at = running.endpoint();
    socket
        .connect(at.host_port().expect("UDP").to_string())
        .expect("connect");
    assert!(ask(&socket, "").ends_with(b"-UTC\r\n"));
}
