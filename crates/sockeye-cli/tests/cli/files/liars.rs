//! Services that mean no good: what they say must not steer the terminal.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};
use sockeye_proto::frames::{Decoder, encode};
use sockeye_proto::harmless::steers;

use super::Person;
use crate::sockeye::words;

/// A word that steers: it sets a title, clears the screen (twice), turns the direction, forges a line, rings.
const EVIL: &str = "A\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}B\nforged";

/// What it answers to a request, beside the `id`.
type Answers = fn(&Value) -> Value;

/// A service that answers so; its endpoint.
fn liar(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut input = Decoder::new();
            let mut byte = [0];
            while let Ok(1) = stream.read(&mut byte) {
                input.push(&byte);
                if let Some(frame) = input.next().expect("a frame") {
                    let request: Value = serde_json::from_slice(&frame).expect("JSON");
                    let mut answer = answers(&request);
                    if answer["id"].is_null() && !answer["nobody"].is_boolean() {
                        answer["id"] = request["id"].clone();
                    }
                    let _ = stream.write_all(&encode(&answer).expect("short")); // it may have heard enough
                }
            }
        }
    });
    endpoint
}

/// What comes before anything else.
fn hello(request: &Value) -> Option<Value> {
    (request["operate"] == "hello").then(|| {
        json!({"ok": {"version": 1, "server": "s", "mechanisms": [], "register": "open", "user": "u",
            "unit": 1 << 24, "max_inline": 1 << 20}})
    })
}

/// Runs it, and looks at what it prints and says; the exit code.
#[track_caller]
fn harmless(person: &Person, args: &[&str]) -> Option<i32> {
    let output = person.run(args);
    let printed = String::from_utf8(output.stdout.clone()).expect("text");
    for text in [printed, words(&output)] {
        let steered = text.chars().find(|c| steers(*c) && *c != '\n');
        assert_eq!(steered, None, "{args:?}: {text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{args:?}: {text}"
        );
    }
    output.status.code()
}

#[test]
fn an_answer_that_makes_no_sense_steers_nothing() {
    let person = Person::new();
    let cases: [Answers; 3] = [
        |_| json!({"error": {"code": EVIL, "message": "m"}}),
        |_| json!({EVIL: {}}),
        |asked| {
            hello(asked)
                .unwrap_or_else(|| json!({"ok": {"path": "a", "kind": "file", "size": EVIL, "mtime": "0"}}))
        },
    ];
    for answers in cases {
        let at = liar(answers);
        for args in [
            &["stat", &at, "a"][..],
            &["get", &at, "a"],
            &["stat", &at, "a", "--json"],
        ] {
            assert_eq!(harmless(&person, args), Some(1), "{args:?}");
        }
    }
}

/// A word that steers and belongs into a path: nothing but the order of writing.
const PATH: &str = "a\u{202e}gpj.\u{2028}exe 字";

/// What answers with these words wherever there is room for some.
fn evil(asked: &Value) -> Value {
    match asked["operate"].as_str().unwrap_or_default() {
        "hello" => {
            json!({"ok": {"version": 1, "server": EVIL, "mechanisms": [], "register": "open", "user": EVIL,
            "unit": 1 << 24, "max_inline": 1 << 20}})
        }
        "stat" => {
            json!({"ok": {"path": PATH, "kind": if asked["path"] == "d" { "folder" } else { "file" }, "size": 2, "mtime": "0"}})
        }
        "list" => {
            json!({"ok": {"entries": [{"path": PATH, "kind": "file", "size": 2, "mtime": "0"}], "more": false}})
        }
        "verify" => json!({"ok": {"size": 2, "hash": "0".repeat(64), "matches": true}}),
        "quota" => json!({"nobody": true, "error": {"code": "io", "message": EVIL}}),
        _ => json!({"error": {"code": "io", "message": EVIL}}),
    }
}

#[test]
fn no_word_of_a_service_steers_anything() {
    let person = Person::new();
    let at = liar(evil);
    for (args, code) in [
        (&["ls", &at, "d"][..], 0),
        (&["ls", &at, PATH, "d"], 0),
        (&["stat", &at, "a"], 0),
        (&["verify", &at, "d/*"], 0),
        (&["login", &at], 0),
        (&["rm", &at, "d/*"], 1),
        (&["quota", &at], 1),
        (&["get", &at, "a"], 1),
        (&["get", &at, "d"], 1),
        (&["mkdir", &at, "x"], 1),
    ] {
        assert_eq!(harmless(&person, args), Some(code), "{args:?}");
        assert_eq!(
            harmless(&person, &[args, &["--json"]].concat()),
            Some(code),
            "{args:?}"
        );
    }
    let told = person.does(&["ls", &at, "d"]);
    assert!(told.ends_with("a\\u{202e}gpj.\\u{2028}exe 字\n"), "{told}");
    let told = person.does(&["ls", &at, "d", "--json"]);
    let entry: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(entry["path"], PATH, "programs get the very name");
}
