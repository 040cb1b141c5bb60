//! Encodings.

use sockeye_proto::text::Encoding;

/// One of each way to put characters into bytes that there is.
pub(crate) const LABELS: [&str; 12] = [
    "utf-8",
    "gbk",
    "gb18030",
    "big5",
    "euc-jp",
    "euc-kr",
    "shift_jis",
    "iso-2022-jp",
    "windows-1252",
    "koi8-r",
    "macintosh",
    "x-user-defined",
];

/// Any bytes decode to a text of no more than three times their length, and what that text is encoded to says it again.
/// Where there was no newline none appears, so that messages can be told apart before they are decoded.
pub(crate) fn any_bytes_decode(encoding: Encoding, bytes: &[u8]) {
    let text = encoding.decode(bytes);
    assert!(
        text.len() <= 3 * bytes.len() + 3,
        "{} from {}",
        text.len(),
        bytes.len()
    );
    assert!(bytes.contains(&b'\n') || !text.contains('\n'));
    let again = encoding.encode(&text);
    assert!(text.contains('\n') || !again.contains(&b'\n'));
    let said = encoding.decode(&again);
    assert_eq!(encoding.decode(&encoding.encode(&said)), said);
}

/// Any text encodes, to itself where the encoding has all of Unicode.
pub(crate) fn any_text_encodes(encoding: Encoding, text: &str) {
    let bytes = encoding.encode(text);
    assert!(text.contains('\n') || !bytes.contains(&b'\n'));
    let said = encoding.decode(&bytes);
    assert!(
        text.contains('&') || !said.contains("&#"),
        "{encoding}: {bytes:x?}"
    );
    assert!(encoding != Encoding::UTF_8 || said == text);
}

pub(crate) fn any_label_is_an_encoding_or_an_error(label: &str) {
    match label.parse::<Encoding>() {
        Ok(encoding) => assert_eq!(encoding.to_string().parse(), Ok(encoding)),
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

/// Which encoding, and the bytes.
pub(crate) fn holds(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else {
        return;
    };
    let label = LABELS[usize::from(*which) % LABELS.len()];
    let encoding: Encoding = label.parse().expect("an encoding");
    any_bytes_decode(encoding, bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    any_text_encodes(encoding, text);
    any_label_is_an_encoding_or_an_error(text);
}
