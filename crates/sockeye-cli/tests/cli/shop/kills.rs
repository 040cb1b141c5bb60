//! A server that is killed in the middle of its work, again and again.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use sockeye::{Model, block_on};
use sockeye_proto::money::Money;
use sockeye_services::data::Data;

use super::{Customer, UTF8, open};
use crate::dice::Dice;
use crate::serve::Serving;
use crate::sockeye::{Background, kills, sockeye};

const CUSTOMERS: usize = 8;
/// A round ends after some of so many purchases.
const LONGEST: u64 = 120;
/// More than are bought.
const STOCK: u32 = 1_000_000;

/// A customer who pays for exactly what was bought: until it is acknowledged, the same purchase is asked for again.
#[derive(Default)]
struct Shopper {
    name: usize,
    /// The next purchase, or the one whose answer was cut off.
    next: usize,
    acknowledged: BTreeMap<String, String>,
}

impl Shopper {
    fn key(&self) -> String {
        format!("{}-{}", self.name, self.next)
    }

    fn shop_until_killed(&mut self, address: &str, told: &Sender<()>) {
        let Some(mut customer) = Customer::at(address) else {
            return;
        };
        while let Some(answer) = customer.ask(&format!("buy 1 西瓜 #{}", self.key())) {
            assert!(answer.starts_with("Bought as number "), "{answer}");
            self.acknowledged.insert(self.key(), answer);
            self.next += 1;
            let _ = told.send(()); // the killer may have heard enough
        }
    }
}

#[test]
fn no_purchase_is_lost_or_made_twice_by_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::new();
    let mut shoppers: Vec<Shopper> = (0..CUSTOMERS)
        .map(|name| Shopper {
            name,
            ..Shopper::default()
        })
        .collect();
    stock_up(folder.path(), STOCK);
    for round in 0..kills() {
        let model = Model::ALL[round % Model::ALL.len()];
        let serving = start(folder.path(), model);
        let (told, acknowledged) = channel();
        let purchases = 1 + dice.below(LONGEST);
        let address = serving.address(0);
        thread::scope(|scope| {
            for shopper in &mut shoppers {
                let told = told.clone();
                scope.spawn(move || shopper.shop_until_killed(address, &told));
            }
            drop(told);
            for _ in 0..purchases {
                acknowledged.recv().expect("a purchase");
            }
            kill_process_group(Pid::from_child(&serving.program.child), Signal::KILL).expect("it is there");
        });
    }
    let total: usize = shoppers.iter().map(|shopper| shopper.acknowledged.len()).sum();
    assert!(total >= kills(), "only {total} purchases");

    // What was acknowledged is found by its key, word for word; what was cut off is made at most once.
    let serving = open(folder.path(), "epoll", UTF8);
    let mut customer = Customer::enter(&serving).expect("a shop");
    let mut sold = 0;
    for shopper in &shoppers {
        for (key, answer) in &shopper.acknowledged {
            assert_eq!(
                customer.ask(&format!("buy 1 西瓜 #{key}")).as_ref(),
                Some(answer),
                "{key}"
            );
        }
        let last = format!("buy 1 西瓜 #{}", shopper.key());
        let answer = customer.ask(&last).expect("an answer");
        assert_eq!(customer.ask(&last), Some(answer));
        sold += shopper.acknowledged.len() as i64 + 1;
    }
    let report = report(folder.path());
    assert!(report.is_right(), "{report:?}");
    let (melon, melons) = &report.goods[0];
    assert_eq!(*melons, sold);
    assert_eq!(i64::from(melon.stock.expect("a stock")), i64::from(STOCK) - sold);
    assert_eq!(report.takings, Money::from_cents(200 * sold));
    assert_eq!(report.owed, report.takings);
    eprintln!(
        "torture: shop: {} kills; {total} acknowledged purchases are there, each once; stock and money conserved",
        kills()
    );
}

/// A server in a process group of its own, so that the processes that it forks die with it.
fn start(folder: &Path, model: Model) -> Serving {
    let data = folder.to_string_lossy();
    let mut command = sockeye(&["serve", "--data", &data, "--model", model.name(), UTF8]);
    command.process_group(0);
    Serving::of(Background::start(command), 1)
}

pub(super) fn stock_up(folder: &Path, melons: u32) {
    use sockeye_services::store::till::Offer;
    let data = Data::at(folder);
    data.visit().expect("a folder");
    let melon = Offer {
        name: "西瓜".parse().expect("a name"),
        price: Money::from_cents(200),
        stock: melons,
    };
    let store = data.store().expect("a store");
    block_on(store.offer(vec![melon], true, 0))
        .expect("a model")
        .expect("offered");
}

pub(super) fn report(folder: &Path) -> sockeye_services::store::till::Report {
    let data = Data::at(folder);
    data.visit().expect("a folder");
    let store = data.store().expect("a store");
    block_on(store.report()).expect("a model").expect("a report")
}
