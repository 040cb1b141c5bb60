//! Frames.

use sockeye_proto::frames::{BadFrame, Decoder, MAX_FRAME};

/// Everything that a decoder finds in pieces of a stream in which frames alone stand.
pub(crate) fn all(
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> (Vec<Vec<u8>>, Result<(), BadFrame>) {
    let (mut decoder, mut found) = (Decoder::new(), Vec::new());
    for piece in pieces {
        let mut rest = piece.as_ref();
        loop {
            let taken = decoder.push(rest);
            rest = &rest[taken..];
            match decoder.next() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) if rest.is_empty() => break,
                Ok(None) => assert!(taken > 0, "neither taken nor told"),
                Err(bad) => {
                    assert_eq!(decoder.push(rest), 0, "nothing is taken any more");
                    assert_eq!(decoder.next(), Err(bad.clone()));
                    return (found, Err(bad));
                }
            }
        }
    }
    (found, Ok(()))
}

/// However it is cut, a stream has the same frames, each of them within the limit and found where it stands.
pub(crate) fn any_cut_is_the_same(stream: &[u8], size: usize) {
    let (frames, end) = all(stream.chunks(size));
    assert_eq!((&frames, &end), (&all([stream]).0, &all([stream]).1));
    let mut at = stream;
    for frame in &frames {
        assert!((1..=MAX_FRAME).contains(&frame.len()));
        let (head, rest) = at.split_first_chunk().expect("its length stands before it");
        assert_eq!(u32::from_le_bytes(*head) as usize, frame.len());
        at = rest.strip_prefix(frame.as_slice()).expect("it stands there");
    }
}

/// The size of the pieces, and the stream.
pub(crate) fn holds(data: &[u8]) {
    if let Some((size, stream)) = data.split_first() {
        any_cut_is_the_same(stream, usize::from(*size).max(1));
    }
}
