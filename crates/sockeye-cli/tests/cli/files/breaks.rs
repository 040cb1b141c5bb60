//! Ends without warning, of either side, in the middle of a large file.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::proxy::Proxy;
use super::{Person, again, service};
use crate::sockeye::Background;

const MIB: usize = 1 << 20;
const UNIT: u64 = 16 << 20;

/// What was said of the only file.
fn outcome(told: &str) -> Value {
    serde_json::from_str(told.lines().next().expect("a line")).expect("JSON")
}

#[test]
fn an_upload_whose_client_was_killed_twice_goes_on_from_what_is_on_the_disk() {
    let (serving, data) = service("");
    let proxy = Proxy::to(serving.address(0));
    let person = Person::new();
    let bytes = person.file("f", 80 * MIB);
    for through in [2 * UNIT + 1000, UNIT + 1000] {
        proxy.hold_after(through);
        let client = Background::start(person.command(&["put", &proxy.endpoint, "f"]));
        let held = proxy.held();
        client.signal(Signal::KILL);
        drop(client);
        drop(held);
        assert!(
            !data.path().join("files/users/local/f").exists(),
            "nothing partial is visible"
        );
    }
    let kept = outcome(&person.does(&["put", &proxy.endpoint, "f", "--json"]));
    let from = kept["from"].as_u64().expect("a number");
    assert!(from >= UNIT && from % UNIT == 0, "{kept}");
    assert!(fs::read(data.path().join("files/users/local/f")).expect("there") == bytes);
}

#[test]
fn an_upload_goes_on_by_itself_when_its_service_was_killed_and_comes_again() {
    let (mut serving, data) = service("");
    let proxy = Proxy::to(serving.address(0));
    let person = Person::new();
    let bytes = person.file("f", 80 * MIB);
    proxy.hold_after(3 * UNIT + 1000);
    let mut command = person.command(&["put", &proxy.endpoint, "f", "--json"]);
    command.stdout(Stdio::piped());
    let mut client = Background::start(command);
    let held = proxy.held();
    serving.program.signal(Signal::KILL);
    serving.program.end();
    let serving = again("", &data);
    proxy.lead_to(serving.address(0));
    drop(held);
    let mut told = String::new();
    let mut out = client.child.stdout.take().expect("a pipe");
    std::io::Read::read_to_string(&mut out, &mut told).expect("text");
    assert!(client.end().success());
    let kept = outcome(&told);
    let from = kept["from"].as_u64().expect("a number");
    assert!(from % UNIT == 0, "{kept}");
    assert!(fs::read(data.path().join("files/users/local/f")).expect("there") == bytes);
}

#[test]
fn an_interrupted_transfer_says_how_to_go_on() {
    let (serving, _data) = service("");
    let proxy = Proxy::to(serving.address(0));
    let person = Person::new();
    person.file("it's", 40 * MIB);
    proxy.hold_after(UNIT + 1000);
    let mut client = Background::start(person.command(&["put", &proxy.endpoint, "it's"]));
    let _held = proxy.held();
    client.signal(Signal::INT);
    let line = client.line_with("to go on: ");
    assert!(
        line.ends_with(&format!("files put {} 'it'\\''s'", proxy.endpoint)),
        "{line}"
    );
    assert_eq!(client.end().code(), Some(1));
}

#[test]
fn a_download_whose_client_was_killed_goes_on() {
    let (serving, _data) = service("");
    let person = Person::new();
    let bytes = person.file("f", 80 * MIB);
    let at = format!("tcp://{}", serving.address(0));
    person.does(&["put", &at, "f"]);
    let proxy = Proxy::to(serving.address(0));
    proxy.hold_back_after(3 * UNIT + 1000);
    let client = Background::start(person.command(&["get", &proxy.endpoint, "f", "back/"]));
    let held = proxy.held();
    client.signal(Signal::KILL);
    drop((client, held));
    assert!(!person.path("back/f").exists());
    let kept = outcome(&person.does(&["get", &proxy.endpoint, "f", "back/", "--json"]));
    assert!(kept["from"].as_u64().expect("a number") % UNIT == 0, "{kept}");
    assert!(fs::read(person.path("back/f")).expect("there") == bytes);
}
