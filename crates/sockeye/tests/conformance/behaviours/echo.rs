//! What is sent comes back, however it is cut up.

use super::behaviours;
use crate::client::{self, end_writing, exchange, receive, receive_to_end, send};
use crate::dice::Dice;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;

behaviours![
    echo_in_any_chunking,
    echo_byte_by_byte,
    echo_over_ipv6,
    echo_around_urgent_data,
];

/// Around everything that is a size to somebody: a byte, a page, a segment, the library's receive, and megabytes.
const SIZES: [usize; 11] = [
    1,
    2,
    1000,
    4095,
    4097,
    16 << 10,
    (64 << 10) - 1,
    64 << 10,
    (64 << 10) + 1,
    1 << 20,
    16 << 20,
];

fn echo_in_any_chunking(model: Model) {
    let mut served = Served::start(model, "echo");
    for (seed, size) in (1..).zip(SIZES) {
        let mut dice = Dice::new(seed);
        let bytes = dice.bytes(size);
        let client = served.connect();
        client::echo(&client, &bytes, &mut dice);
        end_writing(&client);
        assert!(receive_to_end(&client).is_empty(), "more came than was sent");
        let closed = served.wait_for_closed();
        assert_eq!((closed.received, closed.sent), (size as u64, size as u64));
        assert_eq!(closed.reason, "finished");
    }
}

fn echo_byte_by_byte(model: Model) {
    let served = Served::start(model, "echo");
    let client = served.connect();
    for byte in Dice::new(1).bytes(500) {
        exchange(&client, [byte]);
    }
}

fn echo_over_ipv6(model: Model) {
    let served = Served::of(&Spec::new(model, "echo").with("endpoint", "tcp://[::1]:0"));
    let mut dice = Dice::new(6);
    let bytes = dice.bytes(100_000);
    client::echo(&served.connect(), &bytes, &mut dice);
}

/// A receive stops before urgent data (tcp(7)), which telnet sends; what is behind it has come all the same.
fn echo_around_urgent_data(model: Model) {
    let served = Served::start(model, "echo");
    for _ in 0..20 {
        let client = served.connect();
        send(&client, b"abc");
        client.send_out_of_band(b"!").expect("urgent data");
        send(&client, b"def");
        assert_eq!(receive(&client, 6), b"abcdef");
    }
}
