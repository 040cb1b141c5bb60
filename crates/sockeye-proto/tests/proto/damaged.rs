//! Good messages that somebody has damaged: each parser of a peer's bytes reads them or refuses them, and does no more.

use proptest::prelude::*;
use sockeye_proto::challenge::{CHALLENGE, Digest};
use sockeye_proto::files::{
    Abandon, Answer, Begun, Commit, Data, Download, Downloaded, Entry, Greeting, Head, Hello, LegacyFile,
    LegacyUpload, List, Listed, Mkdir, Move, Nothing, Path, Received, Remove, Stat, Upload, Usage, Verified,
};
use sockeye_proto::frames::{Decoder, MAX_FRAME, decode};
use sockeye_proto::framing::{Framer, Framing};
use sockeye_proto::scram::{Client, ClientFirst, KEY, Keys, MIN_ITERATIONS, PLAIN, PLUS, Server};
use sockeye_proto::shop::{Command, Goods, MAX_COUNT};
use sockeye_proto::text::Encoding;
use std::time::Duration;

/// What is done to a message.
#[derive(Clone, Debug)]
enum Harm {
    Put(usize, u8),
    Flip(usize, u8),
    Cut(usize, usize),
    Double(usize, usize),
    /// Numbers that don't fit, ends that come early, bytes that are no text.
    Insert(usize, &'static [u8]),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0..4096_usize;
    let words: Vec<&'static [u8]> = vec![
        b"99999999999999999999",
        b"-1",
        b"18446744073709551616",
        b"\xff\xfe",
        b"\0",
        b"\"",
        b"{",
        b"[[[[[[[[",
        b"}",
        b",",
        b"=",
        b"\\u0000",
        b"\n",
        b"/../",
        b"\x81",
    ];
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Harm::Put(at, byte)),
        (at.clone(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        (at.clone(), 1..64_usize).prop_map(|(at, length)| Harm::Cut(at, length)),
        (at.clone(), 1..64_usize).prop_map(|(at, length)| Harm::Double(at, length)),
        (at, prop::sample::select(words)).prop_map(|(at, word)| Harm::Insert(at, word)),
    ]
}

fn damaged(message: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for harm in harms {
        let room = bytes.len() + 1;
        match *harm {
            Harm::Put(at, byte) => bytes.insert(at % room, byte),
            Harm::Flip(at, bit) if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
            }
            Harm::Flip(..) => {}
            Harm::Cut(at, length) => {
                let at = at % room;
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Harm::Double(at, length) => {
                let at = at % room;
                let part = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Harm::Insert(at, word) => {
                bytes.splice(at % room..at % room, word.iter().copied());
            }
        }
    }
    bytes
}

/// One of these, damaged; or any bytes.
fn near(messages: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let one = prop::sample::select(messages);
    prop_oneof![
        9 => (one, prop::collection::vec(harm(), 1..6)).prop_map(|(message, harms)| damaged(&message, &harms)),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

fn texts(messages: &[&str]) -> Vec<Vec<u8>> {
    messages.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn files_messages() -> Vec<Vec<u8>> {
    let id = "0f".repeat(16);
    let hash = "a1".repeat(32);
    let receipt =
        format!(r#"{{"path":"a/b","size":3,"hash":"{hash}","mtime":"-7","time":"1","durable":false}}"#);
    texts(&[
        r#"{"id":1,"operate":"hello","version":1}"#,
        r#"{"id":2,"operate":"stat","path":"文件/报告.txt"}"#,
        r#"{"id":3,"operate":"list","path":"a","after":"a/b","limit":10,"recursive":true}"#,
        r#"{"id":4,"operate":"mkdir","path":"a/b","parents":true}"#,
        r#"{"id":5,"operate":"remove","path":"a","recursive":true}"#,
        r#"{"id":6,"operate":"move","path":"a","to":"b","clobber":true}"#,
        &format!(
            r#"{{"id":7,"operate":"upload","upload":"{id}","path":"a","size":9007199254740991,"mtime":"-1","hash":"{hash}","sync":false,"follows":5}}"#
        ),
        &format!(r#"{{"id":8,"operate":"data","upload":"{id}","offset":16777216,"follows":1024}}"#),
        &format!(r#"{{"id":9,"operate":"commit","upload":"{id}","hash":"{hash}"}}"#),
        &format!(r#"{{"id":9,"operate":"abandon","upload":"{id}"}}"#),
        &format!(
            r#"{{"id":10,"operate":"download","path":"a","offset":1,"length":2,"if":{{"size":3,"mtime":"4","hash":"{hash}"}}}}"#
        ),
        r#"{"operate": "upload", "user": "xiaoming"}"#,
        r#"{"filename": "a.mp4", "filesize": 123}"#,
        &format!(r#"{{"id":1,"ok":{{"upload":"{id}","offset":5,"receipt":{receipt}}}}}"#),
        r#"{"id":null,"error":{"code":"not-found","message":"there is nothing"}}"#,
        r#"{"id":2,"ok":{"entries":[{"path":"a","kind":"file","size":1,"mtime":"2"},{"path":"b","kind":"folder","mtime":"0"}],"more":true}}"#,
        r#"{"id":3,"ok":{"used":1,"reserved":2,"limit":null}}"#,
        &format!(r#"{{"id":3,"ok":{{"size":1,"hash":"{hash}","recorded":"{hash}","matches":true}}}}"#),
        &format!(r#"{{"id":3,"ok":{{"size":7,"mtime":"1","hash":"{hash}","offset":1,"follows":6}}}}"#),
    ])
}

fn shop_messages() -> Vec<Vec<u8>> {
    texts(&[
        "buy 3 瓜子 #6f1c-2",
        "买3个瓜子",
        "top up 12.50 #k",
        "充值 100",
        "add 2 green tea",
        "refund 17",
        "checkout #x",
        "目前商店还有:瓜子(4.5),西瓜(2),矿泉水(2.5)。请问您需要什么?",
        "拜拜",
    ])
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..], body].concat()
}

/// A login up to its end: what the client said first, what the server asked, the proof, and the server's own.
fn scram_messages(binding: Option<[u8; KEY]>) -> [Vec<u8>; 4] {
    let (mut client, first) = Client::begin("anna", binding, &[1; 18]);
    let (server, challenge) = challenged(&first, binding).expect("a challenge");
    let question = client.read(&challenge).expect("a question");
    let proof = client.prove(&question, &Keys::of(&[9; KEY]));
    let accepted = server.verify(&proof).expect("the right proof").message;
    [first, challenge, proof, accepted]
}

fn challenged(first: &[u8], binding: Option<[u8; KEY]>) -> Option<(Server, Vec<u8>)> {
    let mechanism = if binding.is_some() { PLUS } else { PLAIN };
    let verifier = Keys::of(&[9; KEY]).verifier(vec![5; 16], MIN_ITERATIONS);
    let first = ClientFirst::read(first).ok()?;
    Server::challenge(mechanism, first, verifier, binding, &[2; 18]).ok()
}

/// As base64 in JSON, which is how they travel.
fn login_messages() -> Vec<Vec<u8>> {
    [None, Some([3; KEY])]
        .into_iter()
        .flat_map(scram_messages)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn requests_and_answers_of_files(body in near(files_messages())) {
        fn read<T: serde::de::DeserializeOwned>(body: &[u8]) {
            let _ = decode::<T>(body);
            let _ = decode::<Answer<T>>(body);
        }
        let _ = (decode::<Head>(&body), decode::<LegacyUpload>(&body), decode::<LegacyFile>(&body));
        read::<Hello>(&body);
        read::<List>(&body);
        read::<Mkdir>(&body);
        read::<Data>(&body);
        read::<Commit>(&body);
        read::<Abandon>(&body);
        read::<Download>(&body);
        let _ = decode::<Answer<Begun>>(&body);
        let _ = decode::<Answer<Downloaded>>(&body);
        let _ = decode::<Answer<Entry>>(&body);
        let _ = decode::<Answer<Greeting>>(&body);
        let _ = decode::<Answer<Listed>>(&body);
        let _ = decode::<Answer<Nothing>>(&body);
        let _ = decode::<Answer<Received>>(&body);
        let _ = decode::<Answer<Usage>>(&body);
        let _ = decode::<Answer<Verified>>(&body);
        let paths = [
            decode::<Stat>(&body).map(|about| about.path),
            decode::<Remove>(&body).map(|about| about.path),
            decode::<Move>(&body).map(|about| about.to),
            decode::<Upload>(&body).map(|about| about.path),
        ];
        for path in paths.into_iter().flatten() {
            if let Ok(path) = Path::parse(&path) {
                prop_assert!(path.names().all(|name| !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])));
            }
        }
    }

    #[test]
    fn frames(
        stream in near(files_messages().iter().map(|body| [framed(body), framed(body)].concat()).collect()),
        size in 1..70_usize,
    ) {
        let (mut decoder, mut found) = (Decoder::new(), 0);
        'stream: for mut rest in stream.chunks(size) {
            loop {
                let taken = decoder.push(rest);
                rest = &rest[taken..];
                match decoder.next() {
                    Ok(Some(frame)) => {
                        prop_assert!((1..=MAX_FRAME).contains(&frame.len()));
                        found += 4 + frame.len();
                    }
                    Ok(None) if rest.is_empty() => break,
                    Ok(None) => prop_assert!(taken > 0, "neither taken nor told"),
                    Err(_) => break 'stream,
                }
            }
        }
        prop_assert!(found <= stream.len(), "no byte is told of twice");
    }

    #[test]
    fn logins(message in near(login_messages())) {
        for binding in [None, Some([3; KEY])] {
            let [first, challenge, proof, accepted] = scram_messages(binding);
            // Whatever the server takes for a beginning, it takes the right end of it alone.
            if let Some((server, _)) = challenged(&message, binding) {
                prop_assert!(message == first || server.verify(&proof).is_err());
            }
            let (server, _) = challenged(&first, binding).expect("a challenge");
            prop_assert!(message == proof || server.verify(&message).is_err());
            let (mut client, _) = Client::begin("anna", binding, &[1; 18]);
            if let Ok(question) = client.read(&message) {
                prop_assert!(question.iterations >= MIN_ITERATIONS && question.salt.len() >= 8);
            }
            let question = client.read(&challenge).expect("a question");
            client.prove(&question, &Keys::of(&[9; KEY]));
            prop_assert!(message == accepted || client.confirm(&message).is_err());
        }
    }

    #[test]
    fn challenges(answer in near(Digest::ALL.iter().map(|digest| digest.answer(b"hush", &[7; CHALLENGE]).into_bytes()).collect())) {
        for digest in Digest::ALL {
            let right = digest.answer(b"hush", &[7; CHALLENGE]);
            prop_assert_eq!(digest.accepts(b"hush", &[7; CHALLENGE], &answer), answer == right.as_bytes());
        }
    }

    #[test]
    fn words_of_a_shop(message in near(shop_messages()), size in 1..20_usize) {
        for label in ["utf-8", "gbk", "gb18030"] {
            let encoding: Encoding = label.parse().expect("an encoding");
            let text = encoding.decode(&message);
            let (command, _) = Command::read(&text);
            if let Command::Buy { count, .. } | Command::Add { count, .. } = command {
                prop_assert!((1..=MAX_COUNT).contains(&count));
            }
            let _ = Goods::read(&text);
        }
        for framing in [Framing::Auto, Framing::Lines, Framing::Chunk] {
            let mut framer = Framer::new(framing, 64);
            for (turn, piece) in message.chunks(size).enumerate() {
                let now = Duration::from_millis(50 * turn as u64);
                framer.feed(piece, now);
                while let Ok(Some(message)) = framer.next(now) {
                    prop_assert!(message.body().len() <= 64);
                }
            }
        }
    }
}
