//! Frames, in every chunking, and from those who mean no good.

use crate::properties::frames::all;
use proptest::prelude::*;
use serde_json::{Value, json};
use sockeye_proto::files::Kind;
use sockeye_proto::frames::{BadFrame, Decoder, MAX_FRAME, decode, encode, encode_onto};
use sockeye_proto::harmless::steers;

#[test]
fn a_frame_survives_every_chunking() {
    let values = [json!({"a": 1}), json!({"operate": "exit", "id": 7}), json!({})];
    let stream: Vec<u8> = values
        .iter()
        .flat_map(|value| encode(value).expect("short"))
        .collect();
    for size in 1..=stream.len() {
        let (found, end) = all(stream.chunks(size));
        assert_eq!(end, Ok(()));
        let read: Vec<Value> = found.iter().map(|frame| decode(frame).expect("JSON")).collect();
        assert_eq!(read, values);
    }
}

#[test]
fn of_what_is_too_long_for_a_frame_nothing_stands_behind_other_bytes() {
    let mut bytes = b"before".to_vec();
    let long = "x".repeat(MAX_FRAME - 1); // two quotes more
    let refused = encode_onto(&mut bytes, &long);
    assert_eq!(refused, Err(BadFrame::TooLong(MAX_FRAME + 1)));
    assert_eq!(bytes, b"before");
    encode_onto(&mut bytes, &&long[1..]).expect("it just fits");
    assert_eq!(bytes[6..], encode(&&long[1..]).expect("it fits"));
}

#[test]
fn raw_bytes_behind_a_frame_are_left_alone() {
    let mut stream = encode(&json!({"follows": 3})).expect("short");
    let end = stream.len();
    stream.extend([9, 0, 0]);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.push(&stream), end);
    assert!(decoder.is_within());
    assert!(decoder.next().expect("a frame").is_some());
    assert!(!decoder.is_within());
    assert_eq!(decoder.next(), Ok(None));
}

#[test]
fn lengths_that_no_frame_has_are_refused_before_anything_is_reserved() {
    for (length, error) in [
        (0, BadFrame::Empty),
        (MAX_FRAME as u32 + 1, BadFrame::TooLong(MAX_FRAME + 1)),
        (u32::MAX, BadFrame::TooLong(u32::MAX as usize)),
        (u32::from_le_bytes(*b"\x16\x03\x01\x00"), BadFrame::Tls),
        (u32::from_le_bytes(*b"\x15\x03\x03\x00"), BadFrame::Tls),
    ] {
        let mut decoder = Decoder::new();
        let mut stream = length.to_le_bytes().to_vec();
        stream.extend([0; 100]);
        assert_eq!(decoder.push(&stream), 4);
        assert_eq!(decoder.next(), Err(error.clone()));
        assert_eq!(decoder.push(&[0; 100]), 0);
        assert_eq!(decoder.next(), Err(error));
    }
}

#[test]
fn the_longest_frame_fits_and_no_longer_one_is_made() {
    let text = "x".repeat(MAX_FRAME - 2); // and its quotes
    let frame = encode(&text).expect("it fits");
    assert_eq!(frame.len(), 4 + MAX_FRAME);
    assert_eq!(all([&frame]).0.len(), 1);
    assert_eq!(encode(&format!("{text}x")), Err(BadFrame::TooLong(MAX_FRAME + 1)));
}

proptest! {
    #[test]
    fn short_frames_of_any_bytes_come_out_as_they_went_in(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
        size in 1_usize..100,
    ) {
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|frame| [&(frame.len() as u32).to_le_bytes()[..], frame].concat())
            .collect();
        prop_assert_eq!(all(stream.chunks(size)), (frames, Ok(())));
    }
}

#[test]
fn what_is_told_of_a_frame_is_harmless() {
    let frame = br#""\u001b[2J\u009b31m\u202e\nforged""#;
    let why = decode::<Kind>(frame).expect_err("no such kind").to_string();
    assert!(why.contains(r"\u{1b}[2J\u{9b}31m\u{202e}\nforged"), "{why:?}");
    assert!(!why.contains(steers), "{why:?}");
}
