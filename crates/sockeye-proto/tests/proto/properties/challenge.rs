//! The legacy challenge.

use sockeye_proto::challenge::{CHALLENGE, Digest};

/// Nothing but the answer itself is accepted.
pub(crate) fn holds(answer: &[u8]) {
    for digest in Digest::ALL {
        let right = digest.answer(b"hush", &[7; CHALLENGE]);
        assert_eq!(right.len(), digest.answer_len());
        let accepted = digest.accepts(b"hush", &[7; CHALLENGE], answer);
        assert_eq!(accepted, answer == right.as_bytes());
    }
    if let Ok(text) = std::str::from_utf8(answer)
        && let Ok(digest) = text.parse::<Digest>()
    {
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
}
