//! Bytes of TLS where none is spoken: who has mixed `tls://` and `tcp://` up is told so, and not that the bytes make no sense.

/// What is said of it, to either end.
pub const MIXED_UP: &str =
    "the other end speaks TLS and this one does not; it takes tls:// at both ends, or tcp:// at both";

/// Whether the first bytes of a peer are a record of TLS ([RFC 8446](https://www.rfc-editor.org/rfc/rfc8446), section 5.1):
/// a client's greeting, or the alert of a server that was not greeted so.
///
/// ```
/// use sockeye_proto::tls::is_record;
/// assert!(is_record(b"\x16\x03\x01\x02\x00\x01") && is_record(b"\x15\x03\x03\x00\x02"));
/// assert!(!is_record("你好".as_bytes()) && !is_record(b"\x16"));
/// ```
pub fn is_record(bytes: &[u8]) -> bool {
    // An alert or a handshake, and the version 3.1 to 3.4: 3.0 was SSL.
    matches!(bytes, [0x15 | 0x16, 3, 1..=4, ..])
}
