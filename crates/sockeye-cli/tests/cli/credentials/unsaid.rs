//! Clients that don't say who they are, where that is asked for.

use std::io::{Read, Write};

use serde_json::Value;

use crate::files::Person;
use crate::serve::Serving;
use crate::sockeye::{Background, run, sockeye, words};
use crate::user::secret;

const FILES: &str = "files@tcp://127.0.0.1:0";
const SHOP: &str = "shop@tcp://127.0.0.1:0?auth=scram";

#[test]
fn they_are_told_what_to_write() {
    let data = tempfile::tempdir().expect("a folder");
    let [closed, open] = ["closed", "open"].map(|who| format!("{FILES}?register={who}"));
    let serving = Serving::start(&["--data", &data.path().to_string_lossy()], &[&closed, &open]);
    let [closed, open] = [0, 1].map(|at| format!("tcp://{}", serving.address(at)));
    let person = Person::new();
    person.file("f", 10);
    for args in [
        &["ls", &closed][..],
        &["put", &closed, "f"],
        &["get", &closed, "f"],
    ] {
        let said = person.fails(args, 1);
        assert!(
            said.contains("--user NAME") && !said.contains("register"),
            "{said}"
        );
    }
    let said = person.fails(&["ls", &open], 1);
    assert!(
        said.contains("`sockeye files register` makes an account"),
        "{said}"
    );
    let told = person.run(&["ls", &closed, "--json"]).stdout;
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    assert_eq!(told["error"]["code"], "denied", "{told}");
}

#[test]
fn a_customer_is_told_while_the_shop_is_silent() {
    let data = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(&["--data", &data.path().to_string_lossy()], &[SHOP]);
    let endpoint = format!("tcp://{}", serving.address(0));
    let shop = Background::start(sockeye(&["shop", &endpoint]));
    shop.line_with("a server that wants a login waits for it: --user NAME");
}

#[test]
fn who_begins_with_other_words_is_answered() {
    let data = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(&["--data", &data.path().to_string_lossy()], &[SHOP]);
    let mut stream = serving.dial(0);
    stream.write_all("瓜子\n".as_bytes()).expect("send");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // it may be reset behind the answer
    let answer: Value = serde_json::from_slice(&answer[4..]).expect("a frame");
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&Value::Null, &"login".into())
    );
}

#[test]
fn who_logs_in_where_nobody_has_to_is_told() {
    let data = tempfile::tempdir().expect("a folder");
    let open = "shop@tcp://127.0.0.1:0";
    let serving = Serving::start(&["--data", &data.path().to_string_lossy()], &[open]);
    let endpoint = format!("tcp://{}", serving.address(0));
    let password = secret(data.path(), "password", "correct horse\n");
    let output = run(&["shop", &endpoint, "--user", "anna", "--password-file", &password]);
    let said = words(&output);
    assert!(
        said.contains("perhaps it asks for none: leave the user out"),
        "{said}"
    );
}
