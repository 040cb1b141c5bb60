//! `discard`.

use crate::serving::{Peer, ask, datagrams, each_model, plain};

#[test]
fn a_connection_hears_nothing() {
    each_model(|model| {
        let served = plain("discard", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.send(vec![b'x'; 1 << 20]);
        peer.close_write();
        peer.expect_end("");
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn a_datagram_gets_no_answer() {
    each_model(|model| {
        let (served, echo) = (plain("discard", "udp", model), plain("echo", "udp", model));
        let socket = datagrams(&served);
        socket.send(b"anybody?").expect("send");
        // The same socket, another server: what comes first is not an answer of the first.
        socket.connect(echo.address()).expect("connect");
        assert_eq!(ask(&socket, "echo"), b"echo");
    });
}
