//! Any stream, cut anywhere: the framer against a model that sees the whole stream at once.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_proto::framing::{Ending, Framer, Framing, MAX_MESSAGE, SILENCE};

type Owned = (Vec<u8>, Ending);

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

fn take(framer: &mut Framer, most: usize, now: Duration, into: &mut Vec<Owned>) {
    for _ in 0..most {
        match framer.next(now).expect("within the limit") {
            Some(message) => into.push((message.bytes.to_vec(), message.ending)),
            None => return,
        }
    }
}

fn drain(framer: &mut Framer, now: Duration, into: &mut Vec<Owned>) {
    take(framer, usize::MAX, now, into);
}

/// The lines of a whole text, and what follows the last of them.
fn lines(text: &[u8]) -> (Vec<Owned>, Vec<u8>) {
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let rest = lines.pop().unwrap_or_default().to_vec();
    let lines = lines.into_iter().map(|line| match line.strip_suffix(b"\r") {
        Some(line) => (line.to_vec(), Ending::CrLf),
        None => (line.to_vec(), Ending::Lf),
    });
    (lines.collect(), rest)
}

/// The messages of a stream that fell silent after each of its bursts but the last, then ended.
fn model(bursts: &[Vec<u8>]) -> Vec<Owned> {
    let mut messages = Vec::new();
    let mut half_ending = false;
    for (burst, last) in bursts.iter().zip((1..).map(|number| number == bursts.len())) {
        let burst = match burst.strip_prefix(b"\n") {
            Some(rest) if half_ending => rest,
            _ => burst,
        };
        let (found, rest) = lines(burst);
        messages.extend(found);
        half_ending = false;
        if rest.is_empty() {
        } else if last {
            messages.push((rest, Ending::End));
        } else {
            half_ending = rest.ends_with(b"\r");
            let kept = rest.len() - usize::from(half_ending);
            messages.push((rest[..kept].to_vec(), Ending::Silence));
        }
    }
    messages
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_lines(pieces in pieces(), appetites in appetites()) {
        let expected = model(&[pieces.concat()]);
        for framing in [Framing::Auto, Framing::Lines] {
            let mut framer = Framer::new(framing, MAX_MESSAGE);
            let mut messages = Vec::new();
            let mut now = Duration::ZERO;
            for (piece, appetite) in pieces.iter().zip(appetites.iter().cycle()) {
                now += SILENCE - Duration::from_millis(1);
                framer.feed(piece, now);
                take(&mut framer, *appetite, now, &mut messages);
            }
            framer.end();
            drain(&mut framer, now, &mut messages);
            prop_assert_eq!(&messages, &expected, "{}", framing);
            prop_assert_eq!(framer.capacity(), 0);
        }
    }

    #[test]
    fn no_stream_costs_much_more_than_its_limit(pieces in pieces(), limit in 0..40_usize) {
        for framing in [Framing::Auto, Framing::Lines, Framing::Chunk] {
            let mut framer = Framer::new(framing, limit);
            let mut failed = false;
            let mut longest = 0;
            for piece in &pieces {
                framer.feed(piece, Duration::ZERO);
                longest = longest.max(piece.len());
                // What is pending may end with a CR beyond the limit; no more than that has been handed out and still stands
                // before it. A vector grows to twice what it needs, to eight at least, and stays so after a long piece.
                let needed = 2 * (limit + 1) + longest;
                prop_assert!(framer.capacity() <= 2 * needed.max(8));
                loop {
                    match framer.next(Duration::ZERO) {
                        Ok(Some(message)) => prop_assert!(!failed && message.bytes.len() <= limit),
                        Ok(None) => break,
                        Err(_) => {
                            failed = true;
                            break;
                        }
                    }
                }
            }
            prop_assert!(!failed || framer.capacity() == 0);
        }
    }

    #[test]
    fn silences_cut_where_they_fall(bursts in vec(pieces(), 1..5)) {
        // An empty burst is no burst: the silence goes on.
        let bursts: Vec<_> = bursts.into_iter().filter(|pieces| !pieces.is_empty()).collect();
        let whole: Vec<Vec<u8>> = bursts.iter().map(|pieces| pieces.concat()).collect();
        let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
        let mut messages = Vec::new();
        let mut now = Duration::ZERO;
        for (number, pieces) in bursts.iter().enumerate() {
            if number > 0 {
                now += SILENCE;
                prop_assert!(framer.deadline().is_none_or(|deadline| deadline == now));
                drain(&mut framer, now, &mut messages);
                prop_assert_eq!(framer.capacity(), 0, "silence leaves nothing pending");
            }
            for piece in pieces {
                framer.feed(piece, now);
                drain(&mut framer, now, &mut messages);
            }
        }
        framer.end();
        drain(&mut framer, now, &mut messages);
        prop_assert_eq!(messages, model(&whole));
    }

    #[test]
    fn chunk_gives_back_the_reads(pieces in pieces(), appetites in appetites()) {
        let mut framer = Framer::new(Framing::Chunk, MAX_MESSAGE);
        let mut messages = Vec::new();
        for (piece, appetite) in pieces.iter().zip(appetites.iter().cycle()) {
            framer.feed(piece, Duration::ZERO);
            take(&mut framer, *appetite, Duration::ZERO, &mut messages);
        }
        drain(&mut framer, Duration::ZERO, &mut messages);
        let reads: Vec<_> = messages.into_iter().map(|(bytes, _)| bytes).collect();
        prop_assert_eq!(reads, pieces);
        prop_assert_eq!(framer.capacity(), 0);
    }

    #[test]
    fn the_limit_falls_on_the_same_message_in_any_cut(pieces in pieces(), limit in 0..6_usize) {
        let expected: Vec<_> = model(&[pieces.concat()])
            .into_iter()
            .map_while(|(bytes, ending)| (bytes.len() <= limit).then_some((bytes, ending)))
            .collect();
        let fails = expected.len() < model(&[pieces.concat()]).len();
        let mut framer = Framer::new(Framing::Lines, limit);
        let mut messages = Vec::new();
        let mut failed = false;
        let mut take = |framer: &mut Framer| loop {
            match framer.next(Duration::ZERO) {
                Ok(Some(message)) => messages.push((message.bytes.to_vec(), message.ending)),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        for piece in &pieces {
            framer.feed(piece, Duration::ZERO);
            failed |= take(&mut framer);
        }
        framer.end();
        failed |= take(&mut framer);
        prop_assert_eq!((messages, failed), (expected, fails));
    }
}
