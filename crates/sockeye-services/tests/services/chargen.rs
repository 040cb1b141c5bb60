//! `chargen`.

use crate::serving::{Peer, ask, datagrams, each_model, plain};
use sockeye_proto::chargen::{Chargen, MAX_DATAGRAM, datagram};
use std::io::Read;

/// What a connection gets first.
fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Chargen::new().fill(&mut bytes);
    bytes
}

#[test]
fn characters_come_until_the_peer_closes() {
    each_model(|model| {
        let served = plain("chargen", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.expect(pattern(300_001));
        drop(peer);
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn a_peer_may_talk_or_half_close_and_the_pattern_goes_on() {
    each_model(|model| {
        let served = plain("chargen", "tcp", model);
        let mut peer = Peer::of(&served);
        // More than the buffers of both ends hold, before anything is read: nobody may wait for the other for ever.
        peer.send(vec![b'x'; 16 << 20]);
        peer.close_write();
        peer.expect(pattern(8 << 20));
    });
}

#[test]
fn a_stopping_server_ends_the_pattern() {
    each_model(|model| {
        let served = plain("chargen", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.expect(pattern(10));
        served.running.shutdown().stop();
        let mut rest = Vec::new();
        peer.0.read_to_end(&mut rest).expect("the end, not a reset");
        assert!(pattern(10 + rest.len()).ends_with(&rest));
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn a_datagram_is_answered_with_at_most_512_characters() {
    each_model(|model| {
        let served = plain("chargen", "udp", model);
        let socket = datagrams(&served);
        for _ in 0..20 {
            let answer = ask(&socket, "");
            assert!(answer.len() <= MAX_DATAGRAM);
            assert_eq!(answer, datagram(answer.len()));
        }
    });
}
