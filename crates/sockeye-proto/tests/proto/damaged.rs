//! Good messages that somebody has damaged: each parser of a peer's bytes reads them or refuses them, and does no more.

use crate::properties::{self, seeds};
use proptest::prelude::*;

/// What is done to a message.
#[derive(Clone, Debug)]
enum Harm {
    Put(usize, u8),
    Flip(usize, u8),
    Cut(usize, usize),
    Double(usize, usize),
    /// Numbers that don't fit, ends that come early, bytes that are no text.
    Insert(usize, &'static [u8]),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0..4096_usize;
    let words: Vec<&'static [u8]> = vec![
        b"99999999999999999999",
        b"-1",
        b"18446744073709551616",
        b"\xff\xfe",
        b"\0",
        b"\"",
        b"{",
        b"[[[[[[[[",
        b"}",
        b",",
        b"=",
        b"\\u0000",
        b"\n",
        b"/../",
        b"\x81",
    ];
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Harm::Put(at, byte)),
        (at.clone(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        (at.clone(), 1..64_usize).prop_map(|(at, length)| Harm::Cut(at, length)),
        (at.clone(), 1..64_usize).prop_map(|(at, length)| Harm::Double(at, length)),
        (at, prop::sample::select(words)).prop_map(|(at, word)| Harm::Insert(at, word)),
    ]
}

fn damaged(message: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for harm in harms {
        let room = bytes.len() + 1;
        match *harm {
            Harm::Put(at, byte) => bytes.insert(at % room, byte),
            Harm::Flip(at, bit) if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
            }
            Harm::Flip(..) => {}
            Harm::Cut(at, length) => {
                let at = at % room;
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Harm::Double(at, length) => {
                let at = at % room;
                let part = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Harm::Insert(at, word) => {
                bytes.splice(at % room..at % room, word.iter().copied());
            }
        }
    }
    bytes
}

/// One of the messages that are kept for a target, damaged; or any bytes.
fn near(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let one = prop::sample::select(seeds(target));
    prop_oneof![
        9 => (one, prop::collection::vec(harm(), 1..6)).prop_map(|(message, harms)| damaged(&message, &harms)),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn challenges(answer in near("challenge")) {
        properties::challenge::holds(&answer);
    }

    #[test]
    fn requests_and_answers_of_files(body in near("files")) {
        properties::files::holds(&body);
    }

    #[test]
    fn frames(data in near("frames")) {
        properties::frames::holds(&data);
    }

    #[test]
    fn streams_of_messages(data in near("framing")) {
        properties::framing::holds(&data);
    }

    #[test]
    fn echoes(bytes in near("icmp")) {
        properties::icmp::holds(&bytes);
    }

    #[test]
    fn rules(data in near("reply")) {
        properties::reply::holds(&data);
    }

    #[test]
    fn logins(message in near("scram")) {
        properties::scram::holds(&message);
    }

    #[test]
    fn words_of_a_shop(message in near("shop")) {
        properties::shop::holds(&message);
    }

    #[test]
    fn texts(data in near("text")) {
        properties::text::holds(&data);
    }
}
