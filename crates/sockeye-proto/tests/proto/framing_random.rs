//! Any stream, cut anywhere.

use crate::properties::framing as properties;
use proptest::collection::vec;
use proptest::prelude::*;

/// Streams in which CR and LF are common.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'\\'), any::<u8>()];
    vec(byte, 0..200)
}

/// A stream in pieces.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (stream(), vec(1..8_usize, 200)).prop_map(|(stream, lengths)| {
        let (mut rest, mut pieces) = (stream.as_slice(), Vec::new());
        for length in lengths {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            if !piece.is_empty() {
                pieces.push(piece.to_vec());
            }
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(rest.to_vec());
        }
        pieces
    })
}

/// How many messages a caller takes after each read, so that some wait and some do not.
fn appetites() -> impl Strategy<Value = Vec<usize>> {
    vec(0..6_usize, 1..20)
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_lines(pieces in pieces(), appetites in appetites()) {
        properties::any_cut_gives_the_same_lines(&pieces, &appetites);
    }

    #[test]
    fn no_stream_costs_much_more_than_its_limit(pieces in pieces(), limit in 0..40_usize) {
        properties::no_stream_costs_much_more_than_its_limit(&pieces, limit);
    }

    #[test]
    fn silences_cut_where_they_fall(bursts in vec(pieces(), 1..5)) {
        // An empty burst is no burst: the silence goes on.
        let bursts: Vec<_> = bursts.into_iter().filter(|pieces| !pieces.is_empty()).collect();
        properties::silences_cut_where_they_fall(&bursts);
    }

    #[test]
    fn chunk_gives_back_the_reads(pieces in pieces(), appetites in appetites()) {
        properties::chunk_gives_back_the_reads(&pieces, &appetites);
    }

    #[test]
    fn the_limit_falls_on_the_same_message_in_any_cut(pieces in pieces(), limit in 0..6_usize) {
        properties::the_limit_falls_on_the_same_message_in_any_cut(&pieces, limit);
    }
}
