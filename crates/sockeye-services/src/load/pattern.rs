//! The bytes that a connection sends, as a function of the connection's number and the place in its stream.
//!
//! Word `w` of a stream (eight bytes) is `seed + w × STEP` with a seed of the connection's own. The step is odd, so no
//! word comes twice in a stream; it and the seeds look random, so no two streams share a stretch. A byte that is
//! flipped, lost, sent twice, out of order or another connection's therefore differs from what is expected at its
//! place, and making or checking a word costs one addition.

/// Odd, with its bits spread evenly: the golden ratio's fraction.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const WORD: usize = size_of::<u64>();

/// The endless stream of one connection.
///
/// ```
/// use sockeye_services::load::Pattern;
/// let stream = Pattern::of(7);
/// let mut bytes = [0; 100];
/// stream.fill(40, &mut bytes);
/// assert_eq!(stream.mismatch(40, &bytes), None);
/// assert_eq!(stream.mismatch(41, &bytes), Some(0));
/// assert_eq!(Pattern::of(8).mismatch(40, &bytes), Some(0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// The stream of this connection.
    pub fn of(connection: u32) -> Self {
        // The finalizer of splitmix64: neighbouring numbers get unrelated seeds.
        let mut x = (u64::from(connection) + 1).wrapping_mul(0xD134_2543_DE82_EF95);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Pattern { seed: x ^ (x >> 31) }
    }

    fn word(self, number: u64) -> u64 {
        self.seed.wrapping_add(number.wrapping_mul(STEP))
    }

    /// The byte at a place.
    pub fn byte(self, place: u64) -> u8 {
        self.word(place / WORD as u64).to_le_bytes()[(place % WORD as u64) as usize]
    }

    /// Writes the bytes from `place` on.
    pub fn fill(self, place: u64, out: &mut [u8]) {
        let (head, body) = out.split_at_mut(to_boundary(place).min(out.len()));
        self.fill_singly(place, head);
        let first = (place + head.len() as u64) / WORD as u64;
        let mut expected = self.word(first);
        let mut words = body.chunks_exact_mut(WORD);
        let mut count = 0;
        for word in &mut words {
            word.copy_from_slice(&expected.to_le_bytes());
            expected = expected.wrapping_add(STEP);
            count += 1;
        }
        self.fill_singly((first + count) * WORD as u64, words.into_remainder());
    }

    fn fill_singly(self, place: u64, out: &mut [u8]) {
        for (byte, place) in out.iter_mut().zip(place..) {
            *byte = self.byte(place);
        }
    }

    /// Where in `bytes` the first stands that is not what belongs at `place` and after; `None` when all are right.
    pub fn mismatch(self, place: u64, bytes: &[u8]) -> Option<usize> {
        if self.matches(place, bytes) {
            return None;
        }
        bytes
            .iter()
            .zip(place..)
            .position(|(byte, place)| *byte != self.byte(place))
    }

    fn matches(self, place: u64, bytes: &[u8]) -> bool {
        let (head, body) = bytes.split_at(to_boundary(place).min(bytes.len()));
        let first = (place + head.len() as u64) / WORD as u64;
        let (words, tail) = body.as_chunks::<WORD>();
        let mut expected = self.word(first);
        let mut difference = 0;
        for word in words {
            difference |= u64::from_le_bytes(*word) ^ expected;
            expected = expected.wrapping_add(STEP);
        }
        let end = (first + words.len() as u64) * WORD as u64;
        difference == 0 && self.matches_singly(place, head) && self.matches_singly(end, tail)
    }

    fn matches_singly(self, place: u64, bytes: &[u8]) -> bool {
        bytes
            .iter()
            .zip(place..)
            .all(|(byte, place)| *byte == self.byte(place))
    }
}

/// Bytes from a place to where the next word begins.
fn to_boundary(place: u64) -> usize {
    ((WORD as u64 - place % WORD as u64) % WORD as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(connection: u32, place: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Pattern::of(connection).fill(place, &mut bytes);
        bytes
    }

    #[test]
    fn any_cut_of_the_stream_is_the_same_stream() {
        let whole = stream(3, 0, 200);
        for start in 0..40 {
            for length in 0..60 {
                let part = &whole[start..start + length];
                assert_eq!(stream(3, start as u64, length), part);
                assert_eq!(Pattern::of(3).mismatch(start as u64, part), None);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_found_where_it_is() {
        let pattern = Pattern::of(1);
        for place in [0, 3, 8, 1_000_003] {
            for at in 0..70 {
                let mut bytes = stream(1, place, 70);
                bytes[at] ^= 1 << (at % 8);
                assert_eq!(pattern.mismatch(place, &bytes), Some(at));
            }
        }
    }

    #[test]
    fn lost_doubled_and_swapped_bytes_are_found() {
        let right = stream(5, 64, 256);
        for at in 0..200 {
            let mut lost = right.clone();
            lost.remove(at);
            assert!(Pattern::of(5).mismatch(64, &lost).is_some(), "lost {at}");
            let mut doubled = right.clone();
            doubled.insert(at, right[at]);
            assert!(Pattern::of(5).mismatch(64, &doubled).is_some(), "doubled {at}");
            for distance in [1, 2, 8, 16] {
                let mut swapped = right.clone();
                let (a, b) = (at, at + distance);
                swapped.swap(a, b);
                let found = Pattern::of(5).mismatch(64, &swapped);
                assert_eq!(found.is_some(), right[a] != right[b], "swapped {a} and {b}");
            }
        }
    }

    #[test]
    fn whole_blocks_that_are_lost_or_swapped_are_found() {
        for block in [8, 64, 256, 4096, 65_536] {
            let right = stream(2, 0, 3 * block);
            let without = [&right[..block], &right[2 * block..]].concat();
            // Words that stand a power of two apart have low bytes in common.
            let found = Pattern::of(2).mismatch(0, &without).unwrap();
            assert!((block..block + WORD).contains(&found), "{block}: {found}");
            let swapped = [&right[block..2 * block], &right[..block], &right[2 * block..]].concat();
            assert!(Pattern::of(2).mismatch(0, &swapped).unwrap() < WORD);
        }
    }

    #[test]
    fn another_connection_s_bytes_are_found() {
        for other in (0..2_000).filter(|other| *other != 9) {
            assert!(Pattern::of(9).mismatch(0, &stream(other, 0, 16)).is_some());
        }
    }
}
