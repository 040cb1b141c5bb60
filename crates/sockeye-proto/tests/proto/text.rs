//! Encodings: labels, replacement, round trips, and lines cut before decoding.

use std::borrow::Cow;
use std::time::Duration;

use crate::properties::text::{self as properties, LABELS, any_bytes_decode, any_text_encodes};
use proptest::prelude::*;
use sockeye_proto::framing::{Framer, Framing, MAX_MESSAGE};
use sockeye_proto::text::{Encoding, EncodingError};

fn encoding(label: &str) -> Encoding {
    label.parse().expect("a known label")
}

#[test]
fn labels_name_encodings_in_any_case() {
    for (label, name) in [
        ("utf-8", "utf-8"),
        ("UTF8", "utf-8"),
        ("gbk", "gbk"),
        ("GB2312", "gbk"),
        ("gb18030", "gb18030"),
        ("latin1", "windows-1252"),
        ("Shift_JIS", "shift_jis"),
        ("big5", "big5"),
        ("koi8-r", "koi8-r"),
        ("iso-2022-jp", "iso-2022-jp"),
        (" gbk ", "gbk"),
    ] {
        assert_eq!(encoding(label).to_string(), name);
        assert_eq!(encoding(name), encoding(label), "the name is a label too");
    }
    assert_eq!(encoding("gbk"), Encoding::GBK);
    assert_eq!(encoding("gb18030"), Encoding::GB18030);
    assert_eq!(format!("{:?}", Encoding::UTF_8), "Encoding(utf-8)");
}

#[test]
fn encodings_that_a_text_service_cannot_use_are_refused() {
    for label in ["utf-16", "UTF-16LE", "utf-16be", "ucs-2", "unicode"] {
        let error = label.parse::<Encoding>();
        assert_eq!(error, Err(EncodingError::WideNewline(label.to_owned())));
    }
    for label in ["hz-gb-2312", "iso-2022-kr", "replacement"] {
        assert_eq!(
            label.parse::<Encoding>(),
            Err(EncodingError::Withdrawn(label.to_owned()))
        );
    }
    for label in ["", "klingon", "utf-7", "utf_16"] {
        let error = label.parse::<Encoding>().expect_err("unknown");
        assert!(
            error
                .to_string()
                .contains(&format!("unknown encoding `{label}`: use utf-8"))
        );
    }
}

#[test]
fn what_cannot_be_decoded_is_replaced() {
    for (label, bytes, text) in [
        ("utf-8", &b"a\xffb"[..], "a\u{fffd}b"),
        ("utf-8", b"\xe6\x8b", "\u{fffd}"),
        ("gbk", b"a\xffb", "a\u{fffd}b"),
        ("gbk", b"\xb9", "\u{fffd}"),
        ("gb18030", b"\x81\x30\x81", "\u{fffd}"),
        ("utf-8", b"", ""),
    ] {
        assert_eq!(encoding(label).decode(bytes), text, "{label} {bytes:x?}");
    }
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    // As UTF-16LE these four bytes would be the one letter `a`.
    assert_eq!(Encoding::UTF_8.decode(b"\xff\xfea\0"), "\u{fffd}\u{fffd}a\0");
    assert_eq!(Encoding::UTF_8.decode(b"\xef\xbb\xbfa"), "\u{feff}a");
    assert_eq!(Encoding::GBK.decode(b"\xef\xbb\xbfa"), "锘縜");
}

#[test]
fn what_cannot_be_encoded_becomes_a_question_mark() {
    for (label, text, bytes) in [
        ("gbk", "🐟", &b"?"[..]),
        ("gbk", "瓜🐟子🐟", b"\xb9\xcf?\xd7\xd3?"),
        ("latin1", "é€中", b"\xe9\x80?"),
        ("gb18030", "🐟", b"\x94\x39\xcc\x35"),
        // The escape back to ASCII comes before the question mark.
        ("iso-2022-jp", "日🐟本", b"\x1b$BF|\x1b(B?\x1b$BK\\\x1b(B"),
    ] {
        assert_eq!(*encoding(label).encode(text), *bytes, "{label} {text}");
    }
    let long = "瓜🐟".repeat(20_000);
    assert_eq!(Encoding::GBK.encode(&long).len(), 3 * 20_000);
}

#[test]
fn nothing_is_copied_without_need() {
    assert!(matches!(
        Encoding::UTF_8.decode("瓜子".as_bytes()),
        Cow::Borrowed(_)
    ));
    assert!(matches!(Encoding::UTF_8.encode("瓜子"), Cow::Borrowed(_)));
    assert!(matches!(Encoding::GBK.decode(b"hello"), Cow::Borrowed(_)));
    assert!(matches!(Encoding::GBK.encode("hello"), Cow::Borrowed(_)));
}

/// Characters whose second byte in GBK is one of ASCII's signs and letters.
#[test]
fn gbk_lines_survive_trail_bytes_that_look_like_ascii() {
    // 誠 is D5 5C (a backslash), 巪 is 8E 7C (a bar), 乕 is 81 5C, 丂 is 81 40.
    let (backslash, bar) = ("誠", "巪");
    assert_eq!(*Encoding::GBK.encode(backslash), [0xd5, b'\\']);
    assert_eq!(*Encoding::GBK.encode(bar), [0x8e, b'|']);

    let text = "誠巪\r\n乕丂a\n巪誠\n";
    let bytes = Encoding::GBK.encode(text);
    for size in 1..=bytes.len() {
        let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
        let mut lines = Vec::new();
        for piece in bytes.chunks(size) {
            framer.feed(piece, Duration::ZERO);
            while let Some(message) = framer.next(Duration::ZERO).expect("within the limit") {
                lines.push(Encoding::GBK.decode(message.bytes).into_owned());
            }
        }
        assert_eq!(lines, ["誠巪", "乕丂a", "巪誠"], "pieces of {size}");
    }
}

/// The promise that lets lines be cut before decoding, for every encoding that is accepted.
#[test]
fn no_accepted_encoding_has_a_newline_inside_a_character() {
    for label in LABELS {
        let encoding = encoding(label);
        assert_eq!(*encoding.encode("\r\n"), *b"\r\n", "{label}");
        for character in ('\u{80}'..=char::MAX).step_by(7) {
            let mut text = [0; 4];
            let bytes = encoding.encode(character.encode_utf8(&mut text));
            assert!(!bytes.contains(&b'\n'), "{label} {character:?}");
        }
    }
}

proptest! {
    #[test]
    fn gbk_round_trips_what_it_can_say(text in "[ -~\n\u{4e00}-\u{9fa5}，。！？：]{0,50}") {
        for encoding in [Encoding::GBK, Encoding::GB18030] {
            let bytes = encoding.encode(&text);
            prop_assert_eq!(encoding.decode(&bytes), text.as_str());
        }
    }

    #[test]
    fn any_label_is_an_encoding_or_an_error(label in any::<String>()) {
        properties::any_label_is_an_encoding_or_an_error(&label);
    }

    #[test]
    fn any_bytes_and_any_text_do(bytes in any::<Vec<u8>>(), text in any::<String>(), rare in "[a\u{80}-\u{10ffff}]{0,40}") {
        for label in LABELS {
            any_bytes_decode(encoding(label), &bytes);
            any_text_encodes(encoding(label), &text);
            any_text_encodes(encoding(label), &rare);
        }
    }
}
