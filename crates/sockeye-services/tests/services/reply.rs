//! `reply`: row S3, and the framings and encodings that text services have in common.

use crate::serving::{Peer, Served, ask, datagrams, each_model, plain, serve};
use sockeye::Model;
use sockeye_proto::text::Encoding;
use sockeye_services::reply::Reply;
use sockeye_services::settings::Settings;
use std::io::Write;

const RECEIVED: &str = "服务器已经收到你的信息";

fn over_tcp(model: Model, settings: Settings) -> Served {
    serve("reply", "tcp://127.0.0.1:0", model, settings)
}

#[test]
fn an_old_client_that_sends_no_newline_gets_bare_answers() {
    each_model(|model| {
        let served = plain("reply", "tcp", model);
        let mut peer = Peer::of(&served);
        for message in ["你好", "bye"] {
            peer.send(message);
            peer.expect(RECEIVED);
        }
        peer.send("拜拜");
        peer.expect_end("over");
        drop(peer);
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn a_terminal_gets_lines_ended_as_it_ends_its_own() {
    each_model(|model| {
        let served = plain("reply", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.send("hello\n");
        peer.expect(format!("{RECEIVED}\n"));
        peer.send("hello\r\n");
        peer.expect(format!("{RECEIVED}\r\n"));
        peer.send("拜拜\r\n");
        peer.expect_end("over\r\n");
    });
}

#[test]
fn messages_that_come_together_are_answered_in_order() {
    each_model(|model| {
        // By lines: a machine that is busy for 200 ms in the middle of it would make two messages of one.
        let settings = Settings::new()
            .set("framing", "lines")
            .set("rule", "/^(.*)$/ => <$1>");
        let served = over_tcp(model, settings);
        let mut peer = Peer::of(&served);
        let (mut question, mut answer) = (String::new(), String::new());
        for number in 0..5_000 {
            question.push_str(&format!("{number}\n"));
            answer.push_str(&format!("<{number}>\n"));
        }
        let mut writer = peer.0.try_clone().expect("another handle");
        std::thread::scope(|scope| {
            scope.spawn(move || writer.write_all(question.as_bytes()).expect("send"));
            peer.expect(&answer);
        });
        // A last message that only the end of the stream ends.
        peer.send("end");
        peer.close_write();
        peer.expect_end("<end>");
    });
}

#[test]
fn a_message_in_pieces_is_one_message() {
    each_model(|model| {
        let settings = Settings::new().set("framing", "lines").set("rule", "* => $0!");
        let served = over_tcp(model, settings);
        let mut peer = Peer::of(&served);
        for piece in ["你好".as_bytes(), b" wor", b"ld\r", b"\n"] {
            piece.chunks(1).for_each(|byte| peer.send(byte));
        }
        peer.expect("你好 world!\r\n");
    });
}

#[test]
fn lines_wait_for_their_newline() {
    each_model(|model| {
        let settings = Settings::new().set("framing", "lines").set("rule", "* => $0!");
        let served = over_tcp(model, settings);
        let mut peer = Peer::of(&served);
        peer.send("one\ntw");
        peer.expect("one!\n");
        peer.send("o\n");
        peer.expect("two!\n");
        peer.send("three");
        peer.close_write();
        peer.expect_end("three!");
    });
}

#[test]
fn under_chunk_each_read_is_a_message() {
    each_model(|model| {
        let settings = Settings::new()
            .set("framing", "chunk")
            .set("rule", "/(?s)^(.*)$/ => [$1]");
        let served = over_tcp(model, settings);
        let mut peer = Peer::of(&served);
        peer.send("one");
        peer.expect("[one]");
        peer.send("two\nthree\n");
        peer.expect("[two\nthree]\n");
    });
}

#[test]
fn gbk_goes_both_ways() {
    let gbk = Encoding::GBK;
    each_model(|model| {
        let served = over_tcp(model, Settings::new().set("encoding", "gbk"));
        let mut peer = Peer::of(&served);
        peer.send(gbk.encode("你好"));
        peer.expect(gbk.encode(RECEIVED));
        peer.send(gbk.encode("拜拜\n"));
        peer.expect_end("over\n");
    });
}

#[test]
fn undecodable_bytes_are_replaced_never_fatal() {
    each_model(|model| {
        let served = over_tcp(model, Settings::new().set("rule", "* => $0"));
        let mut peer = Peer::of(&served);
        peer.send(b"a\xff\xfeb\n");
        peer.expect("a\u{fffd}\u{fffd}b\n");
    });
}

#[test]
fn a_message_over_the_limit_is_told_and_closed() {
    each_model(|model| {
        let settings = Settings::new().set("max-message", "16").set("rule", "* => $0");
        let served = over_tcp(model, settings);
        let mut peer = Peer::of(&served);
        peer.send("0123456789abcdef\n0123456789abcdefg");
        peer.expect_end(
            "0123456789abcdef\nerror: message over the limit of 16 bytes: send shorter messages\n",
        );
    });
}

#[test]
fn the_usual_limit_is_64_kib() {
    each_model(|model| {
        let settings = Settings::new().set("framing", "lines").set("rule", "* => fine");
        let served = over_tcp(model, settings);
        let mut peer = Peer::of(&served);
        let mut message = vec![b'x'; 64 * 1024];
        message.push(b'\n');
        peer.send(&message);
        peer.expect("fine\n");
        message.insert(0, b'x');
        peer.send(&message);
        peer.expect_end("error: message over the limit of 65536 bytes: send shorter messages\n");
    });
}

#[test]
fn a_rule_may_close_after_any_answer_or_without_one() {
    each_model(|model| {
        let served = over_tcp(
            model,
            Settings::new().set("rule", "quiet =>! ;; * =>! thank you !"),
        );
        let mut peer = Peer::of(&served);
        peer.send("anything");
        peer.expect_end("thank you !");
        let mut peer = Peer::of(&served);
        peer.send("quiet\n");
        peer.expect_end("");
    });
}

#[test]
fn rules_are_tried_in_order_and_files_come_last() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "# greetings\na => file a\nb => file b\n* => other\n").expect("written");
    let settings = Settings::new()
        .set("rules", file.path().to_string_lossy())
        .set("rule", "a => first")
        .set("rule", "c => third");
    let served = over_tcp(Model::default(), settings);
    let mut peer = Peer::of(&served);
    for (message, answer) in [("a", "first"), ("b", "file b"), ("c", "third"), ("d", "other")] {
        peer.send(format!("{message}\n"));
        peer.expect(format!("{answer}\n"));
    }
}

#[test]
fn a_datagram_is_a_message() {
    each_model(|model| {
        let served = plain("reply", "udp", model);
        let socket = datagrams(&served);
        assert_eq!(ask(&socket, "你好"), RECEIVED.as_bytes());
        assert_eq!(ask(&socket, ""), RECEIVED.as_bytes());
        assert_eq!(ask(&socket, "你好\n"), format!("{RECEIVED}\n").as_bytes());
        assert_eq!(ask(&socket, "拜拜"), b"over");

        let settings = Settings::new()
            .set("encoding", "gbk")
            .set("max-message", "8")
            .set("rule", "quiet => ;; * => $0");
        let served = serve("reply", "udp://127.0.0.1:0", model, settings);
        let socket = datagrams(&served);
        let message = Encoding::GBK.encode("你好");
        assert_eq!(ask(&socket, &message), *message);
        socket.send(b"quiet").expect("send"); // gets no answer
        assert!(ask(&socket, "too long a message").starts_with(b"error: message over the limit of 8 bytes"));
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    for (name, value, packets, words) in [
        (
            "framing",
            "xml",
            false,
            "set framing=xml: unknown framing `xml`: use auto, lines or chunk",
        ),
        ("framing", "lines", true, "each datagram is one message"),
        ("encoding", "utf-16", false, "a newline is not one byte in it"),
        ("encoding", "klingon", false, "unknown encoding `klingon`"),
        ("max-message", "0", false, "it is not from 1 byte to 64MiB"),
        ("max-message", "1GiB", false, "it is not from 1 byte to 64MiB"),
        ("max-message", "big", false, "write a size such as"),
        ("rule", "hello", false, "rules, rule 1: no `=>` in it"),
        ("rule", "/(/ => x", false, "regular expression"),
        ("rule", "# nothing", false, "there is no rule in it"),
        (
            "rules",
            "/no/such/file",
            false,
            "set rules=/no/such/file: No such file",
        ),
    ] {
        let mut settings = Settings::new().set(name, value);
        settings.packets = packets;
        let error = Reply::from_settings(&settings).err().expect(value).to_string();
        assert!(error.contains(words), "{error}");
    }
}
