//! The client that knows when to stop, against peers that answer late, often, or never.

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::serving::{PATIENCE, each_model, plain};
use sockeye::{Model, Result, run};
use sockeye_proto::ask::{End, Policy};
use sockeye_services::ask::Ask;

/// Times that no machine is too slow for, where an answer is to come.
const PATIENT: Policy = Policy {
    timeout: PATIENCE,
    tries: 16,
    answers: Some(NonZeroUsize::MIN),
    silence: None,
};

/// A peer that answers the n-th question as it is told, and then hears no more. Its thread gives the socket back, for a
/// question to a closed one would be refused.
fn peer<const N: usize>(answers: [&'static [&'static str]; N]) -> (SocketAddr, JoinHandle<UdpSocket>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = socket.local_addr().expect("bound");
    let thread = thread::spawn(move || {
        for words in answers {
            let mut question = [0; 16];
            let (length, from) = socket.recv_from(&mut question).expect("a question");
            assert_eq!(&question[..length], b"dog");
            for word in words {
                socket.send_to(word.as_bytes(), from).expect("an answer");
            }
        }
        socket
    });
    (address, thread)
}

/// All answers, how often it asked, and how it ended.
fn asked(model: Model, to: SocketAddr, policy: Policy) -> Result<(Vec<String>, u32, Option<End>)> {
    let talk = async {
        let mut ask = Ask::dial(&format!("udp://{to}"), "dog", policy).await?;
        let mut heard = Vec::new();
        while let Some(answer) = ask.next().await? {
            heard.push(String::from_utf8_lossy(&answer.bytes).into_owned());
        }
        assert_eq!(ask.answers(), heard.len());
        Ok((heard, ask.asked(), ask.end()))
    };
    run(model, talk).expect("the model runs")
}

#[test]
fn a_service_answers_and_it_stops() {
    each_model(|model| {
        let served = plain("hello", "udp", model);
        let heard = asked(model, served.address(), PATIENT).expect("an answer");
        assert_eq!((heard.0, heard.2), (vec!["cat".to_owned()], Some(End::Enough)));
    });
}

#[test]
fn a_question_that_is_not_answered_is_asked_again() {
    // The first waits are a few milliseconds: the third try comes soon.
    each_model(|model| {
        let (address, thread) = peer([&[], &[], &["cat"]]);
        let (heard, tries, end) = asked(model, address, PATIENT).expect("an answer");
        assert_eq!((heard, end), (vec!["cat".to_owned()], Some(End::Enough)));
        assert!(tries >= 3, "{tries}");
        thread.join().expect("the peer");
    });
}

#[test]
fn so_many_answers_are_enough() {
    let (address, thread) = peer([&["one", "two", "three", "four"]]);
    let three = Policy {
        answers: NonZeroUsize::new(3),
        ..PATIENT
    };
    let (heard, _, end) = asked(Model::Thread, address, three).expect("answers");
    assert_eq!(
        (heard.join(" "), end),
        ("one two three".to_owned(), Some(End::Enough))
    );
    thread.join().expect("the peer");
}

#[test]
fn silence_after_an_answer_is_the_end() {
    each_model(|model| {
        let (address, thread) = peer([&["one", "two"]]);
        let all = Policy {
            answers: None,
            silence: Some(Duration::from_millis(200)),
            ..PATIENT
        };
        let (heard, _, end) = asked(model, address, all).expect("answers");
        assert_eq!(end, Some(End::Silence));
        // A machine that is busy for so long between the two hears the first alone.
        assert_eq!(heard[0], "one");
        thread.join().expect("the peer");
    });
}

#[test]
fn nobody_answers_and_it_ends() {
    each_model(|model| {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let short = Policy {
            timeout: Duration::from_millis(70),
            tries: 3,
            ..PATIENT
        };
        let address = silent.local_addr().expect("bound");
        let heard = asked(model, address, short).expect("no failure");
        assert_eq!(heard, (Vec::new(), 3, Some(End::TimedOut)));
        let mut question = [0; 16];
        for _ in 0..3 {
            let length = silent.recv(&mut question).expect("each try");
            assert_eq!(&question[..length], b"dog");
        }
    });
}

#[test]
fn a_port_that_nobody_has_is_told() {
    each_model(|model| {
        // The port is taken, but by a socket that hears one peer alone.
        let deaf = UdpSocket::bind("127.0.0.1:0").expect("bind");
        deaf.connect("127.0.0.1:1").expect("connect");
        let address = deaf.local_addr().expect("bound");
        let error = asked(model, address, PATIENT).expect_err("nobody is there");
        let words = error.to_string();
        assert!(
            words.starts_with(&format!("ask udp://{address}: port unreachable; ")),
            "{words}"
        );
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
    });
}
