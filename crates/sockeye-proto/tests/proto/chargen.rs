//! RFC 864: the lines as the RFC prints them, in pieces of any size.

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_proto::chargen::{Chargen, LINE, MAX_DATAGRAM, datagram};

const PERIOD: usize = 95 * 74;

/// Two and a half periods, written down as the RFC words it.
fn reference() -> Vec<u8> {
    let characters: Vec<u8> = (b' '..=b'~').collect();
    assert_eq!(characters.len(), 95);
    let lines = (0..240).map(|line| {
        let rotated = characters.iter().cycle().skip(line % 95).take(LINE).copied();
        rotated.chain(*b"\r\n").collect::<Vec<u8>>()
    });
    lines.flatten().collect()
}

#[test]
fn the_first_lines_are_those_of_the_rfc() {
    let mut first = [0; 3 * 74];
    Chargen::new().fill(&mut first);
    let expected = concat!(
        r##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##,
        "\r\n",
        r##"!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefgh"##,
        "\r\n",
        r##""#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghi"##,
        "\r\n",
    );
    assert_eq!(String::from_utf8_lossy(&first), expected);
}

#[test]
fn the_pattern_repeats_after_95_lines() {
    let mut out = vec![0; reference().len()];
    Chargen::new().fill(&mut out);
    assert_eq!(out, reference());
    assert_eq!(out[..PERIOD], out[PERIOD..2 * PERIOD]);
}

#[test]
fn a_datagram_has_the_length_asked_for_up_to_512() {
    assert_eq!(MAX_DATAGRAM, 512);
    for (asked, length) in [
        (0, 0),
        (1, 1),
        (511, 511),
        (512, 512),
        (513, 512),
        (usize::MAX, 512),
    ] {
        assert_eq!(*datagram(asked), reference()[..length]);
    }
}

#[test]
fn what_was_not_sent_comes_again() {
    let mut chargen = Chargen::new();
    let before = chargen.next(100).to_vec();
    chargen.back(40);
    assert_eq!(*chargen.next(40), before[60..]);
    chargen.back(PERIOD);
    assert_eq!(
        *chargen.next(3),
        reference()[100..103],
        "a whole period back is the same place"
    );
    assert_eq!(chargen.next(0), b"");
}

proptest! {
    #[test]
    fn any_pieces_join_to_the_pattern(sizes in vec(0..2000_usize, 0..8)) {
        let (mut filled, mut taken) = (Chargen::new(), Chargen::new());
        let (mut all, mut slices) = (Vec::new(), Vec::new());
        for size in sizes {
            let mut piece = vec![0; size];
            filled.fill(&mut piece);
            all.extend(piece);
            while slices.len() < all.len() {
                slices.extend_from_slice(taken.next(all.len() - slices.len()));
            }
        }
        let reference = reference();
        prop_assert!(all.iter().eq(reference.iter().cycle().take(all.len())));
        prop_assert_eq!(all, slices);
        prop_assert_eq!(filled, taken);
    }
}
