//! `hello`: row S12's handlers.

use crate::serving::{Peer, ask, datagrams, each_model, plain};

#[test]
fn a_connection_is_greeted_says_one_thing_and_ends() {
    each_model(|model| {
        let served = plain("hello", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.expect("helloworld");
        peer.send("hi");
        peer.expect_end("");
        drop(peer);
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn a_peer_may_leave_without_a_word() {
    each_model(|model| {
        let served = plain("hello", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.close_write();
        peer.expect_end("helloworld");
        drop(peer);
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn the_datagram_dog_is_answered_with_cat() {
    each_model(|model| {
        let served = plain("hello", "udp", model);
        let socket = datagrams(&served);
        socket.send(b"wolf").expect("send"); // gets no answer
        assert_eq!(ask(&socket, "dog"), b"cat");
        assert_eq!(ask(&socket, "dog\n"), b"cat\n");
        assert_eq!(ask(&socket, "dog\r\n"), b"cat\r\n");
    });
}
