//! `sockeye shop`, and the shop that it visits.

mod admin;
mod broken;
mod disk;
mod kills;
mod old_client;
mod race;
mod script;
mod user;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::serve::Serving;

/// A shop in this folder.
fn open(data: &Path, model: &str, listener: &str) -> Serving {
    let data = data.to_string_lossy();
    Serving::start(&["--data", &data, "--model", model], &[listener])
}

const UTF8: &str = "shop@tcp://127.0.0.1:0?encoding=utf-8&framing=lines";

/// A customer who speaks lines of UTF-8.
struct Customer(BufReader<TcpStream>);

impl Customer {
    /// In the shop, the greeting heard; `None` when it has just closed.
    fn enter(serving: &Serving) -> Option<Self> {
        Self::at(serving.address(0))
    }

    fn at(address: &str) -> Option<Self> {
        Self::greeted(address, "?")
    }

    /// The same, by words that end so.
    fn greeted(address: &str, end: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut customer = Customer(BufReader::new(stream));
        // A greeting has no newline.
        let (mut greeting, last) = (Vec::new(), *end.as_bytes().last()?);
        while !greeting.ends_with(end.as_bytes()) {
            let read = customer.0.read_until(last, &mut greeting).ok()?;
            (read > 0).then_some(())?;
        }
        Some(customer)
    }

    /// The answer to a line; `None` when the shop has closed meanwhile.
    fn ask(&mut self, line: &str) -> Option<String> {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        self.0.read_line(&mut answer).ok()?;
        Some(answer.strip_suffix('\n')?.to_owned())
    }
}
