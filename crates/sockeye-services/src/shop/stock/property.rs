//! Files of goods.

use super::{MOST_GOODS, MOST_MONEY, MOST_STOCK, parse};
use sockeye_proto::money::Money;
use std::collections::HashSet;

/// Whatever stands in one, no shop begins with more than it has room for.
pub(crate) fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(goods) = parse(text) else { return };
    assert!((1..=MOST_GOODS).contains(&goods.len()));
    for good in &goods {
        assert!((Money::ZERO..=MOST_MONEY).contains(&good.price) && good.stock <= MOST_STOCK);
    }
    let names: HashSet<_> = goods.iter().map(|good| &good.name).collect();
    assert_eq!(names.len(), goods.len());
}
