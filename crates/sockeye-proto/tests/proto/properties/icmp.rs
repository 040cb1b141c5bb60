//! Echo requests and replies.

use sockeye_proto::icmp::{Echo, Version, checksum, without_ipv4_header};

/// Whatever a network delivers is read or not, and nothing else is read than what stands there.
pub(crate) fn holds(bytes: &[u8]) {
    for version in [Version::V4, Version::V6] {
        if let Some(echo) = Echo::decode(version, bytes) {
            let again = echo.encode(version);
            assert_eq!(again[4..], bytes[4..]);
            assert_eq!(again[..2], bytes[..2]);
            assert!(version == Version::V6 || checksum(&again) == 0);
        }
    }
    if let Some((hops, rest)) = without_ipv4_header(bytes) {
        assert!(rest.len() + 20 <= bytes.len() && bytes.ends_with(rest) && hops == bytes[8]);
    }
}
