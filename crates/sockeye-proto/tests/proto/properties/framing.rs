//! The framer, against a model that sees the whole stream at once.

use std::time::Duration;

use sockeye_proto::framing::{Ending, Framer, Framing, MAX_MESSAGE, SILENCE};

type Owned = (Vec<u8>, Ending);

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

/// However many messages a caller takes after each read.
pub(crate) fn any_cut_gives_the_same_lines(pieces: &[Vec<u8>], appetites: &[usize]) {
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
        assert_eq!(messages, expected, "{framing}");
        assert_eq!(framer.capacity(), 0);
    }
}

pub(crate) fn no_stream_costs_much_more_than_its_limit(pieces: &[Vec<u8>], limit: usize) {
    for framing in Framing::ALL {
        let mut framer = Framer::new(framing, limit);
        let mut failed = false;
        let mut longest = 0;
        for piece in pieces {
            framer.feed(piece, Duration::ZERO);
            longest = longest.max(piece.len());
            // What is pending may end with a CR beyond the limit; no more than that has been handed out and still stands
            // before it. A vector grows to twice what it needs, to eight at least, and stays so after a long piece.
            let needed = 2 * (limit + 1) + longest;
            assert!(framer.capacity() <= 2 * needed.max(8));
            loop {
                match framer.next(Duration::ZERO) {
                    Ok(Some(message)) => assert!(!failed && message.bytes.len() <= limit),
                    Ok(None) => break,
                    Err(_) => {
                        failed = true;
                        break;
                    }
                }
            }
        }
        assert!(!failed || framer.capacity() == 0);
    }
}

/// There is a silence between the bursts, none of which is empty.
pub(crate) fn silences_cut_where_they_fall(bursts: &[Vec<Vec<u8>>]) {
    let whole: Vec<Vec<u8>> = bursts.iter().map(|pieces| pieces.concat()).collect();
    let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
    let mut messages = Vec::new();
    let mut now = Duration::ZERO;
    for (number, pieces) in bursts.iter().enumerate() {
        if number > 0 {
            now += SILENCE;
            assert!(framer.deadline().is_none_or(|deadline| deadline == now));
            drain(&mut framer, now, &mut messages);
            assert_eq!(framer.capacity(), 0, "silence leaves nothing pending");
        }
        for piece in pieces {
            framer.feed(piece, now);
            drain(&mut framer, now, &mut messages);
        }
    }
    framer.end();
    drain(&mut framer, now, &mut messages);
    assert_eq!(messages, model(&whole));
}

pub(crate) fn chunk_gives_back_the_reads(pieces: &[Vec<u8>], appetites: &[usize]) {
    let mut framer = Framer::new(Framing::Chunk, MAX_MESSAGE);
    let mut messages = Vec::new();
    for (piece, appetite) in pieces.iter().zip(appetites.iter().cycle()) {
        framer.feed(piece, Duration::ZERO);
        take(&mut framer, *appetite, Duration::ZERO, &mut messages);
    }
    drain(&mut framer, Duration::ZERO, &mut messages);
    let reads: Vec<_> = messages.into_iter().map(|(bytes, _)| bytes).collect();
    assert_eq!(reads, pieces);
    assert_eq!(framer.capacity(), 0);
}

pub(crate) fn the_limit_falls_on_the_same_message_in_any_cut(pieces: &[Vec<u8>], limit: usize) {
    let whole = model(&[pieces.concat()]);
    let within = whole.iter().take_while(|(bytes, _)| bytes.len() <= limit);
    let expected: Vec<Owned> = within.cloned().collect();
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
    for piece in pieces {
        framer.feed(piece, Duration::ZERO);
        failed |= take(&mut framer);
    }
    framer.end();
    failed |= take(&mut framer);
    let fails = expected.len() < whole.len();
    assert_eq!((messages, failed), (expected, fails));
}

/// The limit, how many messages are taken at a time, and the stream: 0xFE is a silence, 0xFF the end of a read.
pub(crate) fn holds(data: &[u8]) {
    let [limit, appetite, stream @ ..] = data else {
        return;
    };
    let (limit, appetites) = (usize::from(*limit), [usize::from(*appetite % 6), 1, 0]);
    let reads = |burst: &[u8]| -> Vec<Vec<u8>> {
        let reads = burst.split(|byte| *byte == 0xff).filter(|read| !read.is_empty());
        reads.map(<[u8]>::to_vec).collect()
    };
    let bursts = stream.split(|byte| *byte == 0xfe).map(reads);
    let bursts: Vec<_> = bursts.filter(|reads| !reads.is_empty()).collect();
    let pieces = bursts.concat();
    any_cut_gives_the_same_lines(&pieces, &appetites);
    no_stream_costs_much_more_than_its_limit(&pieces, limit);
    silences_cut_where_they_fall(&bursts);
    chunk_gives_back_the_reads(&pieces, &appetites);
    the_limit_falls_on_the_same_message_in_any_cut(&pieces, limit);
}
