//! The file service's words.

use crate::properties::files::holds;
use proptest::prelude::*;
use serde_json::{Value, json};
use sockeye_proto::files::{
    Answer, Begun, Code, Done, Download, Failure, Hash, Head, List, Mtime, Nothing, Path, Receipt, Request,
    Stat, Upload, UploadName,
};

#[test]
fn requests_are_what_the_protocol_shows() {
    let about = Stat {
        path: "a/b.bin".into(),
    };
    let request = Request {
        id: 2,
        operate: "stat",
        about,
    };
    let shown = json!({"id": 2, "operate": "stat", "path": "a/b.bin"});
    assert_eq!(serde_json::to_value(&request).expect("JSON"), shown);
    let head: Head = serde_json::from_value(shown).expect("a head");
    assert_eq!(
        (head.id, head.operate.as_str(), head.follows),
        (Some(2), "stat", None)
    );

    let upload = Upload {
        upload: Some(UploadName([15; 16])),
        path: "a".into(),
        size: 3,
        mtime: Mtime(-1),
        hash: None,
        clobber: false,
        sync: true,
        follows: None,
    };
    let shown = json!({
        "upload": "0f".repeat(16), "path": "a", "size": 3, "mtime": "-1", "hash": null, "clobber": false
    });
    assert_eq!(serde_json::to_value(&upload).expect("JSON"), shown);
    assert_eq!(
        serde_json::from_value::<Upload>(shown).expect("an upload"),
        upload
    );
}

#[test]
fn what_may_be_left_out_has_its_usual_value() {
    let upload: Upload =
        serde_json::from_value(json!({"path": "a", "size": 0, "new": [1]})).expect("an upload");
    assert!(upload.sync && !upload.clobber && upload.upload.is_none());
    let list: List = serde_json::from_value(json!({"operate": "list"})).expect("a list");
    assert_eq!(list, List::default());
    let download: Download = serde_json::from_value(json!({"path": "a"})).expect("a download");
    assert_eq!((download.offset, download.length), (0, None));
}

#[test]
fn answers_are_what_the_protocol_shows() {
    let fine = Answer {
        id: Some(1),
        done: Done::Ok(Nothing {}),
    };
    assert_eq!(
        serde_json::to_value(&fine).expect("JSON"),
        json!({"id": 1, "ok": {}})
    );
    let failure = Failure::new(Code::NotFound, "there is no file a");
    let failed: Answer<Nothing> = Answer {
        id: None,
        done: Done::Error(failure.clone()),
    };
    let shown = json!({"id": null, "error": {"code": "not-found", "message": "there is no file a"}});
    assert_eq!(serde_json::to_value(&failed).expect("JSON"), shown);
    assert_eq!(
        serde_json::from_value::<Answer<Nothing>>(shown).expect("an answer"),
        failed
    );
    for neither in [json!({"id": 1}), json!({"id": 1, "ok": {}, "error": failure})] {
        serde_json::from_value::<Answer<Nothing>>(neither).expect_err("it says two things, or nothing");
    }
    assert_eq!(failure.to_string(), "there is no file a (not-found)");
    let later: Failure = serde_json::from_value(json!({"code": "newer", "message": ""})).expect("a failure");
    assert_eq!(later.code, Code::Unknown);
}

#[test]
fn a_receipt_says_only_when_it_is_not_durable() {
    let receipt = Receipt {
        path: "a".into(),
        size: 1,
        hash: Hash([0; 32]),
        mtime: Mtime(2),
        time: Mtime(3),
        durable: true,
    };
    let answer = Begun {
        receipt: Some(receipt.clone()),
        ..Begun::default()
    };
    let shown =
        json!({"receipt": {"path": "a", "size": 1, "hash": "00".repeat(32), "mtime": "2", "time": "3"}});
    assert_eq!(serde_json::to_value(&answer).expect("JSON"), shown);
    let loose = Receipt {
        durable: false,
        ..receipt
    };
    assert_eq!(serde_json::to_value(&loose).expect("JSON")["durable"], false);
}

#[test]
fn values_of_another_form_are_refused() {
    for text in [
        "",
        "0f",
        "0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F",
        "0g0g0g0g0g0g0g0g0g0g0g0g0g0g0g0g",
    ] {
        assert!(text.parse::<UploadName>().is_err(), "{text}");
    }
    for text in ["", "+1", "1.5", " 1", "9223372036854775808"] {
        assert!(text.parse::<Mtime>().is_err(), "{text}");
    }
    assert!(
        serde_json::from_value::<Mtime>(json!(5)).is_err(),
        "JSON's numbers end too early"
    );
}

#[test]
fn hostile_paths_are_refused() {
    let deep = ["a"; 65].join("/");
    let long = "x".repeat(256);
    let longest = vec!["y".repeat(200); 21].join("/");
    for path in [
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "../../etc/passwd",
        "a/./b",
        "a\\..\\b",
        "a\0",
        "a\nb",
        "\u{7f}",
        "\u{85}",
        "\u{fffe}",
        "\u{10ffff}",
        "\u{fdd0}",
        ".sockeye",
        ".sockeye/x",
        &deep,
        &long,
        &longest,
    ] {
        assert!(Path::parse(path).is_err(), "{path:?}");
    }
    for path in [
        "",
        "a",
        "...",
        "..a",
        "a/.sockeye",
        "-rf",
        "文件/报告.txt",
        "a b",
        &["a"; 64].join("/"),
    ] {
        assert!(Path::parse(path).is_ok(), "{path:?}");
    }
    assert!(Path::name("a/b").is_err() && Path::name("").is_err());
    assert_eq!(
        Path::parse("a")
            .and_then(|path| path.join("b"))
            .map(|p| p.to_string()),
        Ok("a/b".into())
    );
}

proptest! {
    #[test]
    fn a_path_never_leads_out(text in r"([./\\a\x00]|\PC){0,12}") {
        holds(text.as_bytes());
    }

    #[test]
    fn any_json_is_read_or_refused(value in json_value()) {
        holds(value.to_string().as_bytes());
    }
}

/// Objects of the members that requests have, with values that they may and may not have.
fn json_value() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "id", "operate", "path", "size", "mtime", "hash", "clobber", "sync", "follows", "upload", "after",
        "if",
    ]);
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9a-f/]{0,64}".prop_map(Value::from),
        "[0-9a-f]{32}".prop_map(Value::from),
        Just(json!({"size": -1})),
        Just(json!([])),
    ];
    prop::collection::hash_map(name, value, 0..9).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}
