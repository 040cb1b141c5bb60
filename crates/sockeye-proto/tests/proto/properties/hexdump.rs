//! Dumps.

use sockeye_proto::hexdump::Hexdump;

/// The bytes that a running dump shows.
fn read_back(dump: &str) -> Vec<u8> {
    let hex = dump.lines().flat_map(|line| {
        let (left, _) = line.split_once("  |").expect("a line has its text");
        left.split_whitespace().skip(1)
    });
    hex.map(|byte| u8::from_str_radix(byte, 16).expect("two digits"))
        .collect()
}

/// Every byte can be read back, whatever the terminal does with what it is shown.
pub(crate) fn every_byte_can_be_read_back(bytes: &[u8], width: usize) {
    let dump = Hexdump::new().width(width).lines(0, bytes);
    assert!(dump.is_ascii() && !dump.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(read_back(&dump), bytes);
    let mut columns = dump.lines().map(|line| line.find("  |"));
    let first = columns.next();
    assert!(
        columns.all(|column| Some(column) == first),
        "the texts begin in one column"
    );
}

/// The width, and the bytes.
pub(crate) fn holds(data: &[u8]) {
    let Some((width, bytes)) = data.split_first() else {
        return;
    };
    every_byte_can_be_read_back(bytes, usize::from(*width));
    let whole = Hexdump::new().width(usize::from(*width)).dump(bytes);
    let length = whole.lines().last().map(|last| usize::from_str_radix(last, 16));
    assert_eq!(length, (!bytes.is_empty()).then_some(Ok(bytes.len())));
}
