//! Dumps as `hexdump -C` of util-linux prints them.

use crate::properties::hexdump as properties;
use proptest::prelude::*;
use sockeye_proto::hexdump::{Hexdump, MAX_WIDTH};

#[test]
fn dumps_equal_those_of_the_command() {
    let zeros = |count: usize, tail: &[u8]| [vec![0; count], tail.to_vec()].concat();
    for (bytes, expected) in [
        (vec![], ""),
        (
            b"hello, w".to_vec(),
            "00000000  68 65 6c 6c 6f 2c 20 77                           |hello, w|\n\
             00000008\n",
        ),
        (
            b"hello, world\r\n".to_vec(),
            "00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0d 0a        |hello, world..|\n\
             0000000e\n",
        ),
        (
            b"\x00\x1f ~\x7f\x80\xff|0123456789".to_vec(),
            "00000000  00 1f 20 7e 7f 80 ff 7c  30 31 32 33 34 35 36 37  |.. ~...|01234567|\n\
             00000010  38 39                                             |89|\n\
             00000012\n",
        ),
        (
            zeros(100, b""),
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n\
             *\n\
             00000060  00 00 00 00                                       |....|\n\
             00000064\n",
        ),
        (
            zeros(32, b"abc"),
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n\
             *\n\
             00000020  61 62 63                                          |abc|\n\
             00000023\n",
        ),
        (
            zeros(32, b""),
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n\
             *\n\
             00000020\n",
        ),
    ] {
        assert_eq!(Hexdump::new().dump(&bytes), expected);
    }
}

#[test]
fn running_dumps_show_every_line_from_their_offset() {
    let line = "00 00 00 00  |....|\n";
    let dump = Hexdump::new().width(4);
    assert_eq!(
        dump.lines(0x1234, &[0; 8]),
        format!("00001234  {line}00001238  {line}")
    );
    assert_eq!(
        dump.lines(1 << 32, &[0; 4]),
        format!("100000000  {line}"),
        "offsets widen"
    );
    assert_eq!(
        dump.lines(u64::MAX, &[0; 8]),
        format!("ffffffffffffffff  {line}00000003  {line}")
    );
    assert_eq!(dump.lines(7, b""), "");
}

#[test]
fn the_width_is_kept_within_its_bounds() {
    assert_eq!(Hexdump::new().width(0), Hexdump::new().width(1));
    assert_eq!(Hexdump::new().width(usize::MAX), Hexdump::new().width(MAX_WIDTH));
    assert_ne!(
        Hexdump::new().width(MAX_WIDTH),
        Hexdump::new().width(MAX_WIDTH - 1)
    );
    assert_eq!(Hexdump::default(), Hexdump::new().width(16));
    assert_eq!(Hexdump::new().width(1).lines(0, b"a"), "00000000  61  |a|\n");
    let wide = Hexdump::new().width(20).lines(0, b"abcdefghijklmnopqrs");
    assert_eq!(
        wide,
        "00000000  61 62 63 64 65 66 67 68  69 6a 6b 6c 6d 6e 6f 70  71 72 73     \
         |abcdefghijklmnopqrs|\n"
    );
}

proptest! {
    #[test]
    fn every_byte_can_be_read_back(bytes in any::<Vec<u8>>(), width in 1..40_usize) {
        properties::every_byte_can_be_read_back(&bytes, width);
    }
}
