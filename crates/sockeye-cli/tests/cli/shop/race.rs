//! Many customers, few melons.

use std::sync::Barrier;
use std::thread;

use sockeye::Model;

use super::kills::{report, stock_up};
use super::{Customer, UTF8, open};

const CUSTOMERS: usize = 64;
const MELONS: u32 = 10;

/// One by one until there are none; how many were got.
fn buy_all(mut customer: Customer, start: &Barrier) -> i64 {
    start.wait();
    let mut bought = 0;
    loop {
        match customer.ask("西瓜").expect("an answer").as_str() {
            "抱歉,您购买的商品目前没有,请选购其他的。" => return bought,
            answer => {
                bought += 1;
                assert_eq!(answer, format!("购买成功,余额 -{}", 2 * bought));
            }
        }
    }
}

#[test]
fn sixty_four_customers_get_the_last_ten_melons_and_no_more() {
    for model in Model::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        stock_up(folder.path(), MELONS);
        let serving = open(folder.path(), model.name(), UTF8);
        let start = Barrier::new(CUSTOMERS);
        let sold: i64 = thread::scope(|scope| {
            let customers: Vec<_> = (0..CUSTOMERS)
                .map(|_| Customer::enter(&serving).expect("a shop"))
                .map(|customer| scope.spawn(|| buy_all(customer, &start)))
                .collect();
            customers
                .into_iter()
                .map(|customer| customer.join().expect("an end"))
                .sum()
        });
        assert_eq!(sold, i64::from(MELONS), "{model}");
        let report = report(folder.path());
        assert!(report.is_right(), "{model}: {report:?}");
        let (melon, melons) = &report.goods[0];
        assert_eq!((melon.stock, *melons), (Some(0), i64::from(MELONS)), "{model}");
        assert_eq!(report.takings.cents(), 200 * i128::from(MELONS), "{model}");
    }
}
