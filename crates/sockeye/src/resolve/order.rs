//! The order in which a dialler tries addresses.

use std::net::SocketAddr;

/// Orders addresses for racing (RFC 8305, section 4): the families take turns, the one that the system put first
/// begins, and within a family the order stays.
///
/// ```
/// let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|text| text.parse().unwrap());
/// let ordered = sockeye::interleave(addresses.to_vec());
/// assert_eq!(ordered, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(|text| text.parse().unwrap()));
/// ```
pub fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    interleave_by(addresses, SocketAddr::is_ipv6)
}

/// [`interleave`] for anything that is of one of two families.
pub fn interleave_by<T>(items: Vec<T>, is_v6: impl Fn(&T) -> bool) -> Vec<T> {
    let Some(first) = items.first().map(&is_v6) else {
        return items;
    };
    let count = items.len();
    let (one, other): (Vec<T>, Vec<T>) = items.into_iter().partition(|item| is_v6(item) == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(count);
    while ordered.len() < count {
        ordered.extend(one.next());
        ordered.extend(other.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_take_turns() {
        for (before, after) in [
            (vec![], vec![]),
            (vec![6], vec![6]),
            (vec![60, 61, 40, 41], vec![60, 40, 61, 41]),
            (vec![40, 41, 42, 60], vec![40, 60, 41, 42]),
            (vec![40, 60, 61, 62], vec![40, 60, 61, 62]),
        ] {
            assert_eq!(interleave_by(before, |number| *number >= 60), after);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_each_family_keeps_its_order(items in proptest::collection::vec(any::<bool>(), 0..40)) {
            let items: Vec<_> = items.into_iter().enumerate().collect();
            let ordered = interleave_by(items.clone(), |item| item.1);
            for family in [true, false] {
                let of = |list: &[(usize, bool)]| list.iter().filter(|item| item.1 == family).copied().collect::<Vec<_>>();
                prop_assert_eq!(of(&items), of(&ordered));
            }
        }
    }
}
