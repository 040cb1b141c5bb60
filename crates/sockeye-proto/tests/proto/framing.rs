//! A table for each behaviour of the framer.

use std::time::Duration;

use sockeye_proto::framing::{Ending, Framer, Framing, MAX_MESSAGE, Message, SILENCE, TooLong};

use Ending::{Chunk, CrLf, End, Lf, Silence};

/// What happens to a framer, in order.
enum Step {
    /// Bytes come, at once.
    Feed(&'static str),
    /// So many milliseconds pass with nothing.
    Wait(u64),
    /// The stream ends.
    Close,
}
use Step::{Close, Feed, Wait};

type Owned = (String, Ending);

fn drain(framer: &mut Framer, now: Duration, into: &mut Vec<Owned>) -> Result<(), TooLong> {
    while let Some(Message { bytes, ending }) = framer.next(now)? {
        into.push((String::from_utf8_lossy(bytes).into_owned(), ending));
    }
    Ok(())
}

fn run(framing: Framing, limit: usize, steps: &[Step]) -> Result<Vec<Owned>, TooLong> {
    let (mut framer, mut now) = (Framer::new(framing, limit), Duration::ZERO);
    let mut messages = Vec::new();
    for step in steps {
        match step {
            Feed(text) => framer.feed(text.as_bytes(), now),
            Wait(milliseconds) => now += Duration::from_millis(*milliseconds),
            Close => framer.end(),
        }
        drain(&mut framer, now, &mut messages)?;
    }
    Ok(messages)
}

fn check(framing: Framing, steps: &[Step], expected: &[(&str, Ending)]) {
    let messages = run(framing, MAX_MESSAGE, steps).expect("within the limit");
    let messages: Vec<_> = messages
        .iter()
        .map(|(text, ending)| (text.as_str(), *ending))
        .collect();
    assert_eq!(messages, expected, "{framing}");
}

#[test]
fn auto_ends_a_message_at_newline_or_silence() {
    let check = |steps: &[Step], expected: &[_]| check(Framing::Auto, steps, expected);
    check(&[Feed("a\nb\r\n")], &[("a", Lf), ("b", CrLf)]);
    check(&[Feed("\n\r\n")], &[("", Lf), ("", CrLf)]);
    check(&[Feed("bare"), Wait(199)], &[]);
    check(&[Feed("bare"), Wait(200)], &[("bare", Silence)]);
    check(&[Feed("ba"), Wait(150), Feed("re"), Wait(150)], &[]);
    check(
        &[Feed("ba"), Wait(150), Feed("re"), Wait(150), Wait(50)],
        &[("bare", Silence)],
    );
    check(
        &[Feed("one\ntwo"), Wait(200), Feed("three\n")],
        &[("one", Lf), ("two", Silence), ("three", Lf)],
    );
    check(&[Wait(1000)], &[]);
}

#[test]
fn lines_waits_for_its_newline_however_long() {
    let check = |steps: &[Step], expected: &[_]| check(Framing::Lines, steps, expected);
    check(&[Feed("a\nb\r\nc"), Wait(60_000)], &[("a", Lf), ("b", CrLf)]);
    check(&[Feed("he"), Wait(60_000), Feed("llo\n")], &[("hello", Lf)]);
    check(&[Feed("a\rb\n")], &[("a\rb", Lf)]);
    check(&[Feed("a\r\r\n")], &[("a\r", CrLf)]);
}

#[test]
fn chunk_hands_out_each_read_as_it_came() {
    let check = |steps: &[Step], expected: &[_]| check(Framing::Chunk, steps, expected);
    check(
        &[Feed("a\nb"), Feed("c\r\n"), Feed("")],
        &[("a\nb", Chunk), ("c\r\n", Chunk)],
    );
    check(&[Feed("x"), Wait(1000), Close], &[("x", Chunk)]);
}

#[test]
fn reads_that_wait_in_the_framer_stay_apart() {
    let mut framer = Framer::new(Framing::Chunk, MAX_MESSAGE);
    let mut messages = Vec::new();
    for text in ["one", "two", "three", "four"] {
        framer.feed(text.as_bytes(), Duration::ZERO);
    }
    let first = framer
        .next(Duration::ZERO)
        .expect("within the limit")
        .expect("four are there");
    assert_eq!(first.bytes, b"one");
    framer.feed(b"five", Duration::ZERO);
    drain(&mut framer, Duration::ZERO, &mut messages).expect("within the limit");
    let texts: Vec<_> = messages.into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["two", "three", "four", "five"]);
}

#[test]
fn the_end_delivers_the_rest_unterminated() {
    for framing in [Framing::Auto, Framing::Lines] {
        check(framing, &[Feed("a\nrest"), Close], &[("a", Lf), ("rest", End)]);
        check(
            framing,
            &[Feed("rest"), Close, Wait(1000), Feed("late\n")],
            &[("rest", End)],
        );
        check(framing, &[Feed("cut\r"), Close], &[("cut\r", End)]);
        check(framing, &[Feed("a\n"), Close], &[("a", Lf)]);
        check(framing, &[Close], &[]);
    }
}

#[test]
fn crlf_is_one_ending_in_any_pieces() {
    for framing in [Framing::Auto, Framing::Lines] {
        check(
            framing,
            &[Feed("a\r"), Feed("\nb\r"), Feed("\n")],
            &[("a", CrLf), ("b", CrLf)],
        );
        check(framing, &[Feed("a\r"), Wait(199), Feed("\n")], &[("a", CrLf)]);
    }
}

#[test]
fn a_lone_cr_at_the_silence_is_half_an_ending() {
    let check = |steps: &[Step], expected: &[_]| check(Framing::Auto, steps, expected);
    check(&[Feed("a\r"), Wait(200)], &[("a", Silence)]);
    // The other half comes late: it makes no empty message.
    check(
        &[Feed("a\r"), Wait(300), Feed("\n"), Wait(300)],
        &[("a", Silence)],
    );
    check(
        &[Feed("a\r"), Wait(300), Feed("\nb\n")],
        &[("a", Silence), ("b", Lf)],
    );
    // Only the first LF is that half.
    check(
        &[Feed("a\r"), Wait(300), Feed("\n\n")],
        &[("a", Silence), ("", Lf)],
    );
    check(
        &[Feed("a\r"), Wait(300), Feed("b\n\n")],
        &[("a", Silence), ("b", Lf), ("", Lf)],
    );
    // A message that lost no CR leaves the next LF alone.
    check(&[Feed("a"), Wait(300), Feed("\n")], &[("a", Silence), ("", Lf)]);
    check(&[Feed("a\r"), Wait(300), Close], &[("a", Silence)]);
}

#[test]
fn bytes_in_hand_join_a_line_that_a_busy_server_left_waiting() {
    let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
    framer.feed(b"hello, ", Duration::ZERO);
    assert_eq!(framer.next(Duration::ZERO), Ok(None));
    // The server was elsewhere for a minute; the rest had come long ago.
    let now = Duration::from_secs(60);
    framer.feed(b"world\n", now);
    assert_eq!(
        framer.next(now),
        Ok(Some(Message {
            bytes: b"hello, world",
            ending: Lf
        }))
    );
}

#[test]
fn the_deadline_follows_the_last_bytes() {
    let at = Duration::from_millis;
    let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
    assert_eq!(framer.deadline(), None);
    framer.feed(b"a", at(1000));
    assert_eq!(framer.deadline(), Some(at(1200)));
    framer.feed(b"b", at(1100));
    assert_eq!(framer.deadline(), Some(at(1300)));
    framer.feed(b"", at(1150));
    assert_eq!(framer.deadline(), Some(at(1300)));
    assert!(framer.next(at(1300)).expect("within the limit").is_some());
    assert_eq!(framer.deadline(), None);

    framer.feed(b"c", Duration::MAX);
    assert_eq!(framer.deadline(), Some(Duration::MAX), "it does not overflow");
    framer.end();
    assert_eq!(framer.deadline(), None);
    for framing in [Framing::Lines, Framing::Chunk] {
        let mut framer = Framer::new(framing, MAX_MESSAGE);
        framer.feed(b"pending", at(0));
        assert_eq!(framer.deadline(), None, "{framing}");
    }
    assert_eq!(SILENCE, at(200));
}

#[test]
fn the_limit_counts_the_message_without_its_ending() {
    let too_long = Err(TooLong { limit: 4 });
    let one = |text: &str, ending| Ok(vec![(text.to_owned(), ending)]);
    for framing in [Framing::Auto, Framing::Lines] {
        assert_eq!(run(framing, 4, &[Feed("abcd\n")]), one("abcd", Lf));
        assert_eq!(run(framing, 4, &[Feed("abcd\r\n")]), one("abcd", CrLf));
        assert_eq!(
            run(framing, 4, &[Feed("abcd"), Feed("\r"), Feed("\n")]),
            one("abcd", CrLf)
        );
        assert_eq!(run(framing, 4, &[Feed("abcd"), Close]), one("abcd", End));
        assert_eq!(run(framing, 4, &[Feed("abcde\n")]), too_long);
        assert_eq!(run(framing, 4, &[Feed("abcde\r\n")]), too_long);
        assert_eq!(
            run(framing, 4, &[Feed("abcde")]),
            too_long,
            "before its end is known"
        );
        assert_eq!(run(framing, 4, &[Feed("abcd\r"), Feed("x")]), too_long);
        assert_eq!(
            run(framing, 4, &[Feed("abcd\r"), Close]),
            too_long,
            "that CR is of the message"
        );
    }
    assert_eq!(
        run(Framing::Auto, 4, &[Feed("abcd"), Wait(200)]),
        one("abcd", Silence)
    );
    assert_eq!(
        run(Framing::Auto, 4, &[Feed("abcd\r"), Wait(200)]),
        one("abcd", Silence)
    );
    assert_eq!(run(Framing::Chunk, 4, &[Feed("abcd")]), one("abcd", Chunk));
    assert_eq!(run(Framing::Chunk, 4, &[Feed("abcde")]), too_long);
}

#[test]
fn the_usual_limit_is_64_kib() {
    assert_eq!(MAX_MESSAGE, 65_536);
    for (length, fits) in [(MAX_MESSAGE, true), (MAX_MESSAGE + 1, false)] {
        let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
        framer.feed(&vec![b'a'; length], Duration::ZERO);
        framer.feed(b"\n", Duration::ZERO);
        assert_eq!(framer.next(Duration::ZERO).is_ok(), fits, "{length}");
    }
    assert_eq!(
        TooLong { limit: MAX_MESSAGE }.to_string(),
        "message over the limit of 65536 bytes: send shorter messages"
    );
}

#[test]
fn too_long_comes_after_the_messages_before_it_and_is_final() {
    let mut framer = Framer::new(Framing::Auto, 4);
    framer.feed(b"ok\nabcdefgh\nok\n", Duration::ZERO);
    assert_eq!(
        framer.next(Duration::ZERO),
        Ok(Some(Message {
            bytes: b"ok",
            ending: Lf
        }))
    );
    let too_long = Err(TooLong { limit: 4 });
    assert_eq!(framer.next(Duration::ZERO), too_long);
    framer.feed(b"ok\n", Duration::ZERO);
    framer.end();
    assert_eq!(framer.next(Duration::MAX), too_long);
    assert_eq!(
        (framer.pending(), framer.capacity(), framer.deadline()),
        (0, 0, None)
    );
}

#[test]
fn memory_follows_what_is_pending() {
    let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
    assert_eq!(framer.capacity(), 0);
    framer.feed(b"a", Duration::ZERO);
    assert!(
        framer.capacity() <= 16,
        "nothing is reserved ahead: {}",
        framer.capacity()
    );

    // Much is handed out and little stays.
    framer.feed(&b"0123456789abcde\n".repeat(1000), Duration::ZERO);
    framer.feed(b"rest", Duration::ZERO);
    drain(&mut framer, Duration::ZERO, &mut Vec::new()).expect("within the limit");
    assert_eq!(framer.pending(), 4);
    assert!(
        framer.capacity() <= 16,
        "what was handed out is let go: {}",
        framer.capacity()
    );

    framer.feed(b"\n", Duration::ZERO);
    drain(&mut framer, Duration::ZERO, &mut Vec::new()).expect("within the limit");
    assert_eq!(framer.capacity(), 0, "an idle connection holds no buffer");

    let mut framer = Framer::new(Framing::Chunk, MAX_MESSAGE);
    framer.feed(b"read", Duration::ZERO);
    drain(&mut framer, Duration::ZERO, &mut Vec::new()).expect("within the limit");
    assert_eq!(framer.capacity(), 0);
}

/// A MiB byte by byte: a framer that rescans from the start would look at 2^39 bytes.
#[test]
fn a_long_line_byte_by_byte_takes_linear_time() {
    const LENGTH: usize = 1 << 20;
    for framing in [Framing::Auto, Framing::Lines] {
        let mut framer = Framer::new(framing, LENGTH);
        for _ in 0..LENGTH {
            framer.feed(b"x", Duration::ZERO);
            assert_eq!(framer.next(Duration::ZERO), Ok(None));
        }
        framer.feed(b"\n", Duration::ZERO);
        let message = framer.next(Duration::ZERO).expect("at the limit").expect("whole");
        assert_eq!(message.bytes.len(), LENGTH);
    }
}

/// A caller that takes one message for each read, while many wait, must not move the rest each time.
#[test]
fn a_backlog_is_not_moved_for_every_message() {
    const WAITING: usize = 1 << 18;
    for framing in Framing::ALL {
        let mut framer = Framer::new(framing, MAX_MESSAGE);
        for number in 0..4 * WAITING {
            framer.feed(&[b'a' + (number % 26) as u8, b'\n'], Duration::ZERO);
            if let Some(taken) = number.checked_sub(WAITING) {
                let message = framer
                    .next(Duration::ZERO)
                    .expect("within the limit")
                    .expect("many wait");
                assert_eq!(message.body(), [b'a' + (taken % 26) as u8]);
            }
        }
        assert_eq!(framer.pending(), 2 * WAITING);
        assert!(framer.capacity() <= 8 * WAITING, "what was handed out is let go");
    }
}

#[test]
fn an_answer_gets_the_newline_of_its_message() {
    for (bytes, ending, body, newline) in [
        ("hi", Lf, "hi", "\n"),
        ("hi", CrLf, "hi", "\r\n"),
        ("hi", Silence, "hi", ""),
        ("hi", End, "hi", ""),
        ("hi", Chunk, "hi", ""),
        ("hi\n", Chunk, "hi", "\n"),
        ("hi\r\n", Chunk, "hi", "\r\n"),
        ("hi\n\n", Chunk, "hi\n", "\n"),
        ("\n", Chunk, "", "\n"),
        ("hi\r", Chunk, "hi\r", ""),
        ("hi\r", End, "hi\r", ""),
    ] {
        let message = Message {
            bytes: bytes.as_bytes(),
            ending,
        };
        assert_eq!(
            (message.body(), message.newline()),
            (body.as_bytes(), newline),
            "{message:?}"
        );
    }
}

#[test]
fn the_names_of_the_framings_round_trip() {
    for framing in Framing::ALL {
        assert_eq!(framing.to_string().parse(), Ok(framing));
    }
    for wrong in ["", "Auto", "line", "auto "] {
        assert!(wrong.parse::<Framing>().is_err(), "{wrong:?}");
    }
}
