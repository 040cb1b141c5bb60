//! Echo requests and replies of ICMP (RFC 792) and ICMPv6 (RFC 4443), and what is told of those that didn't arrive.

use std::fmt;

/// The smallest message: type, code, checksum, identifier and sequence number.
pub const HEADER: usize = 8;

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// ICMP, of IPv4.
    V4,
    /// ICMPv6.
    V6,
}

impl Version {
    /// The types of an echo request and of its reply.
    const fn types(self) -> [u8; 2] {
        match self {
            Version::V4 => [8, 0],
            Version::V6 => [128, 129],
        }
    }
}

/// An echo request or a reply to one.
///
/// ```
/// use sockeye_proto::icmp::{Echo, Version};
///
/// let request = Echo { reply: false, identifier: 7, sequence: 1, payload: b"hello" };
/// let bytes = request.encode(Version::V4);
/// assert_eq!(Echo::decode(Version::V4, &bytes), Some(request));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Whether it is a reply.
    pub reply: bool,
    /// Whose it is. The kernel writes its own over it where a program may ping without being root.
    pub identifier: u16,
    /// Which one of theirs.
    pub sequence: u16,
    /// What is to come back.
    pub payload: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Its bytes. The checksum of ICMPv6 covers addresses that only the kernel knows: it is left 0, and the kernel writes it
    /// (RFC 3542, section 3.1).
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend([version.types()[usize::from(self.reply)], 0, 0, 0]);
        bytes.extend(self.identifier.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.payload);
        if version == Version::V4 {
            let sum = checksum(&bytes).to_be_bytes();
            bytes[2..4].copy_from_slice(&sum);
        }
        bytes
    }

    /// Reads one, without a look at its checksum: what the kernel hands over has passed its own. `None` is any other message, or
    /// one that is cut short.
    pub fn decode(version: Version, bytes: &'a [u8]) -> Option<Self> {
        let (header, payload) = bytes.split_first_chunk::<HEADER>()?;
        let [kind, code, _, _, id_high, id_low, number_high, number_low] = *header;
        let reply = version.types().iter().position(|known| *known == kind)? == 1;
        (code == 0).then_some(Echo {
            reply,
            identifier: u16::from_be_bytes([id_high, id_low]),
            sequence: u16::from_be_bytes([number_high, number_low]),
            payload,
        })
    }
}

/// The Internet checksum (RFC 1071). Over bytes that contain their own it is 0.
pub fn checksum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words = words.iter().map(|word| u16::from_be_bytes(*word));
    let last = rest.first().map(|byte| u16::from_be_bytes([*byte, 0]));
    let mut sum: u64 = words.chain(last).map(u64::from).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The hops that a packet of IPv4 had left, and what it carries: the raw sockets of IPv4 hand over the header too (RFC 791).
/// `None` when it is cut short.
pub fn without_ipv4_header(packet: &[u8]) -> Option<(u8, &[u8])> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    let hops = *packet.get(8)?;
    (length >= 20).then_some((hops, packet.get(length..)?))
}

/// What a router or a host says of a packet that didn't arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The protocol that says it.
    pub version: Version,
    /// The message's type.
    pub kind: u8,
    /// The message's code.
    pub code: u8,
    /// The greatest packet that fits, where this is what's wrong; else 0.
    pub mtu: u32,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match (self.version, self.kind, self.code) {
            (Version::V4, 3, 0 | 6 | 11) => "network unreachable",
            (Version::V4, 3, 1 | 7 | 12) => "host unreachable",
            (Version::V4, 3, 2) => "protocol unreachable",
            (Version::V4, 3, 3) | (Version::V6, 1, 4) => "port unreachable",
            (Version::V4, 3, 4) | (Version::V6, 2, _) => {
                return write!(f, "too big: packets of {} bytes fit", self.mtu);
            }
            (Version::V4, 3, 9 | 10 | 13) | (Version::V6, 1, 1 | 5) => "forbidden by a filter",
            (Version::V4, 11, 0) | (Version::V6, 3, 0) => "too many hops",
            (Version::V6, 1, 0) => "no route there",
            (Version::V6, 1, 3) => "address unreachable",
            (Version::V6, 1, 6) => "route refused",
            (_, kind, code) => return write!(f, "ICMP type {kind}, code {code}"),
        };
        f.write_str(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: [Version; 2] = [Version::V4, Version::V6];

    #[test]
    fn a_request_has_the_bytes_of_the_rfc() {
        let request = Echo {
            reply: false,
            identifier: 0x1234,
            sequence: 2,
            payload: b"abc",
        };
        let v4 = request.encode(Version::V4);
        assert_eq!(v4, b"\x08\x00\x21\x67\x12\x34\x00\x02abc");
        let v6 = request.encode(Version::V6);
        assert_eq!(v6, b"\x80\x00\x00\x00\x12\x34\x00\x02abc");
    }

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 1071, section 3: the sum of these is ddf2.
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
        assert_eq!(checksum(&[]), 0xffff);
        assert_eq!(checksum(&[1]), !0x0100);
        assert_eq!(checksum(&vec![0xff; 1 << 17]), 0);
    }

    #[test]
    fn the_header_of_ipv4_is_taken_off() {
        let packet = |first: u8, length: usize| {
            let mut packet = vec![0; length];
            (packet[0], packet[8]) = (first, 64);
            packet
        };
        assert_eq!(without_ipv4_header(&packet(0x45, 28)), Some((64, &[0; 8][..])));
        assert_eq!(without_ipv4_header(&packet(0x46, 28)), Some((64, &[0; 4][..])));
        assert_eq!(without_ipv4_header(&packet(0x45, 20)), Some((64, &[][..])));
        for short in [packet(0x45, 19), packet(0x4f, 59), packet(0x44, 28)] {
            assert_eq!(without_ipv4_header(&short), None);
        }
        assert_eq!(without_ipv4_header(&[]), None);
    }

    #[test]
    fn troubles_have_words() {
        for (version, kind, code, words) in [
            (Version::V4, 3, 1, "host unreachable"),
            (Version::V4, 3, 4, "too big: packets of 1400 bytes fit"),
            (Version::V4, 11, 0, "too many hops"),
            (Version::V6, 1, 3, "address unreachable"),
            (Version::V6, 2, 0, "too big: packets of 1400 bytes fit"),
            (Version::V6, 4, 2, "ICMP type 4, code 2"),
        ] {
            let trouble = Trouble {
                version,
                kind,
                code,
                mtu: 1400,
            };
            assert_eq!(trouble.to_string(), words);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            reply: bool, identifier: u16, sequence: u16,
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let echo = Echo { reply, identifier, sequence, payload: &payload };
            for version in BOTH {
                let bytes = echo.encode(version);
                prop_assert_eq!(Echo::decode(version, &bytes), Some(echo));
                for cut in 0..HEADER {
                    prop_assert_eq!(Echo::decode(version, &bytes[..cut]), None);
                }
            }
            prop_assert_eq!(checksum(&echo.encode(Version::V4)), 0);
        }

        /// Each flipped bit changes the checksum.
        #[test]
        fn no_flipped_bit_goes_unseen(bytes in proptest::collection::vec(any::<u8>(), 1..100), at: prop::sample::Index, bit in 0..8_u8) {
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert_ne!(checksum(&bytes), checksum(&flipped));
        }
    }
}
