//! `sockeye ask`.

use std::net::UdpSocket;
use std::process::Command;

use serde_json::Value;

use crate::lan::{Host, Impairment, Lan};
use crate::sockeye::{Background, run, words};

/// A server as tutorials have it: it answers each datagram with as many as it is told.
const SERVER: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print('bound', s.getsockname()[1])
while True:
    data, address = s.recvfrom(65536)
    for number in range(int(sys.argv[3])):
        s.sendto(f'{data.decode()} {number}'.encode(), address)
";

/// A server on this machine, and where it is.
fn server(answers: &str) -> (Background, String) {
    let mut python = Command::new("python3");
    python.args(["-u", "-c", SERVER, "127.0.0.1", "0", answers]);
    let server = Background::printing(python);
    let bound = server.line_with("bound");
    let port = bound.rsplit(' ').next().expect("a port");
    let endpoint = format!("udp://127.0.0.1:{port}");
    (server, endpoint)
}

/// No machine is too slow for this, where an answer is to come.
const PATIENT: [&str; 2] = ["--timeout", "300s"];

fn told(args: &[&str]) -> (String, String, Option<i32>) {
    let output = run(&[&["ask"], args].concat());
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (printed, words(&output), output.status.code())
}

#[test]
fn an_answer_is_printed_and_that_is_it() {
    let (_server, endpoint) = server("1");
    let ask = |args: &[&str]| told(&[&[&endpoint, "dog"], &PATIENT[..], args].concat());
    assert_eq!(ask(&[]), ("dog 0\n".to_owned(), String::new(), Some(0)));
    let (dump, ..) = ask(&["--hex"]);
    assert!(dump.starts_with("00000000  64 6f 67 20 30 "), "{dump}");
    let (lines, _, code) = ask(&["--json"]);
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!((lines.len(), code), (2, Some(0)));
    assert_eq!(
        (&lines[0]["event"], &lines[0]["text"]),
        (&"answer".into(), &"dog 0".into())
    );
    assert!(lines[0]["after_us"].is_u64());
    assert_eq!(
        (&lines[1]["event"], &lines[1]["why"]),
        (&"end".into(), &"enough".into())
    );
}

#[test]
fn the_longest_datagram_comes_back() {
    let (_server, endpoint) = server("1");
    let longest = "x".repeat(65_505); // and two more in the answer
    let (heard, said, code) = told(&[&[&endpoint, longest.as_str()], &PATIENT[..]].concat());
    assert_eq!((said.as_str(), code), ("", Some(0)));
    assert!(heard == format!("{longest} 0\n"), "{} bytes", heard.len());
}

#[test]
fn several_answers_or_all_until_silence() {
    let (_server, endpoint) = server("3");
    // A question that is asked twice has twice the answers.
    let ask = |args: &[&str]| told(&[&[&endpoint, "dog", "--tries", "1"], &PATIENT[..], args].concat());
    assert_eq!(ask(&["--answers", "2"]).0, "dog 0\ndog 1\n");
    let (all, said, code) = ask(&["--silence", "500ms"]);
    // A machine that is busy for so long between two of them hears the first alone.
    assert!(all.starts_with("dog 0\n"), "{all}");
    assert_eq!((said.as_str(), code), ("", Some(0)));
}

#[test]
fn fewer_answers_than_wanted_are_a_failure() {
    let (_server, endpoint) = server("2");
    let (heard, said, code) = told(&[
        &endpoint,
        "dog",
        "--answers",
        "3",
        "--tries",
        "1",
        "--timeout",
        "500ms",
    ]);
    assert_eq!(code, Some(1), "{heard}{said}");
    assert!(
        said.ends_with("answers in 500 ms (1 try)\n") || said.contains("no answer"),
        "{said}"
    );
}

#[test]
fn fewer_answers_before_silence_are_a_failure_too() {
    let (_server, endpoint) = server("2");
    let few = ["--answers", "3", "--silence", "100ms", "--tries", "1"];
    let (heard, said, code) = told(&[&[&endpoint, "dog"], &few[..], &PATIENT].concat());
    assert_eq!(code, Some(1), "{heard}{said}");
    assert!(
        said.ends_with(" of 3 answers, then none for 100 ms (1 try)\n"),
        "{said}"
    );
}

#[test]
fn nobody_answers() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("udp://{}", silent.local_addr().expect("bound"));
    let (heard, said, code) = told(&[&endpoint, "dog", "--timeout", "300ms"]);
    assert_eq!((heard.as_str(), code), ("", Some(1)));
    assert_eq!(said, "sockeye: no answer in 300 ms (3 tries)\n");
    let mut question = [0; 8];
    for _ in 0..3 {
        assert_eq!(silent.recv(&mut question).expect("each try"), 3);
    }
}

#[test]
fn a_port_that_nobody_has_is_said_at_once() {
    // The port is taken, but by a socket that hears one peer alone.
    let deaf = UdpSocket::bind("127.0.0.1:0").expect("bind");
    deaf.connect("127.0.0.1:1").expect("connect");
    let endpoint = format!("udp://{}", deaf.local_addr().expect("bound"));
    let (_, said, code) = told(&[&endpoint, "dog", "--timeout", "300s"]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with(&format!("sockeye: ask {endpoint}: port unreachable")),
        "{said}"
    );
}

#[test]
fn what_makes_no_sense_is_said() {
    for (args, part) in [
        (
            &["tcp://h:80", "x"][..],
            r"for a stream write: printf 'TEXT\n' | nc h 80",
        ),
        (&["udp://255.255.255.255:80", "x"], "sockeye broadcast"),
        (&["udp://127.0.0.1:0", "x"], "nobody can be reached at port 0"),
        (&["udp://h:80"], "<TEXT>"),
        (&["udp://h:80", "x", "--tries", "21"], "20"),
        (
            &["udp://h:80", "x", "--answers", "0"],
            "write a whole number from 1 on",
        ),
        (&["udp://h:80", "x", "--timeout", "0s"], "no time"),
    ] {
        let (_, said, code) = told(args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn a_broadcast_address_is_more_than_one_peer() {
    let (_, said, code) = told(&["udp://127.255.255.255:8000", "x"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("permission denied; a network's broadcast address"),
        "{said}"
    );
    assert!(said.contains("sockeye broadcast --to ADDRESS"), "{said}");
}

#[test]
fn what_is_lost_is_asked_again() {
    // With this seed the first question is lost, and the first answer.
    let impairment = Impairment {
        seed: 66,
        loss: 60,
        reorder: 20,
        delay: 5,
    };
    let Some(lan) = Lan::impaired(2, impairment) else {
        return;
    };
    let [client, server] = &lan.hosts[..] else {
        panic!("two hosts");
    };
    let address = server.v4().to_string();
    let python = Background::printing(server.python(SERVER, &[&address, "8000", "1"]));
    python.line_with("bound");
    let endpoint = format!("udp://{address}:8000");
    let args = [
        "ask",
        &endpoint,
        "dog",
        "--tries",
        "16",
        "--timeout",
        "300s",
        "--json",
    ];
    let output = client.run(&args);
    let heard = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let answer: Value = serde_json::from_str(heard.lines().next().expect("a line")).expect("JSON");
    assert_eq!(answer["text"], "dog 0");
    assert!(
        answer["tries"].as_u64().is_some_and(|tries| tries >= 3),
        "{answer}"
    );
    lan.has_lost();
}

#[test]
fn other_machines_say_that_nobody_has_a_port() {
    let Some((near, far, _router)) = Lan::joined(2, 1) else {
        return;
    };
    for (host, ip) in [
        (&near.hosts[0], near.hosts[1].v4().to_string()),
        (&near.hosts[0], format!("[{}]", near.hosts[1].v6())),
        (&near.hosts[1], far.hosts[0].v4().to_string()),
        (&far.hosts[0], format!("[{}]", near.hosts[0].v6())),
    ] {
        let output = host.run(&["ask", &format!("udp://{ip}:9"), "dog", "--timeout", "300s"]);
        assert_eq!(output.status.code(), Some(1), "{ip}");
        assert!(
            words(&output).contains("port unreachable"),
            "{ip}: {}",
            words(&output)
        );
    }
}

#[test]
fn where_no_way_leads_is_said() {
    let Some((near, far, router)) = Lan::joined(1, 1) else {
        return;
    };
    let (here, there) = (&near.hosts[0], &far.hosts[0]);
    let ip = |host: &Host, words: &str| {
        let status = host.command(Command::new("ip").args(words.split(' '))).status();
        assert!(status.expect("ip starts").success(), "{words}");
    };
    let ask = |address: String| {
        let output = here.run(&["ask", &format!("udp://{address}:9"), "x", "--timeout", "300s"]);
        assert_eq!(output.status.code(), Some(1), "{address}");
        words(&output)
    };
    // What the router lets nobody through to, it says by ICMP, and the socket's next call fails.
    ip(&router, &format!("route add prohibit {}", there.v4()));
    let said = ask(there.v4().to_string());
    assert!(
        said.contains(&format!("ask udp://{}:9: no route to host; a router", there.v4())),
        "{said}"
    );
    // Who it says can't be reached may be back soon; and yet there is no need to wait.
    ip(&router, "route add unreachable 10.9.7.0/24");
    let said = ask("10.9.7.1".to_owned());
    assert!(
        said.contains("ask udp://10.9.7.1:9: no route to host; a router"),
        "{said}"
    );
    ip(&router, "route add unreachable fd09:0:0:7::/64");
    let said = ask("[fd09:0:0:7::1]".to_owned());
    assert!(
        said.contains("ask udp://[fd09:0:0:7::1]:9: network is unreachable; a router"),
        "{said}"
    );
    // Here nobody needs to be asked.
    ip(here, "route add unreachable 10.8.0.1");
    let said = ask("10.8.0.1".to_owned());
    assert!(
        said.contains("dial udp://10.8.0.1:9: no route to host; "),
        "{said}"
    );
    ip(here, "route del default");
    let said = ask(there.v4().to_string());
    assert!(
        said.contains("network is unreachable; this machine has no route to it"),
        "{said}"
    );
}
