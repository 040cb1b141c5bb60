//! `sockeye bench`: against our own servers, against servers with faults, and what it refuses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::info::closed_port;
use crate::lan::{Impairment, Lan};
use crate::serve::Serving;
use crate::sockeye::{Background, installed, run, sockeye, words};

/// Runs it with a window of so many seconds and a warm-up of a tenth of that.
fn bench_for(seconds: f64, args: &[&str]) -> Output {
    let (window, warm_up) = (seconds.to_string(), (seconds / 10.0).to_string());
    let times = ["--seconds", &window, "--warm-up", &warm_up];
    run(&[&["bench"], args, &times].concat())
}

/// Short: what is tested is that it measures, not what.
const QUICK: f64 = 0.2;
/// Longer than any machine needs, for what must not end a run.
const NEVER: f64 = 3600.0;

fn bench(args: &[&str]) -> Output {
    bench_for(QUICK, &[args, &["--connections", "4"]].concat())
}

/// Measures until it succeeds, which it does once each connection is heard: a machine that has no time for this test needs
/// a longer window.
fn bench_served(args: &[&str]) -> Output {
    let mut seconds = QUICK;
    loop {
        let output = bench_for(seconds, args);
        if output.status.success() || seconds > 100.0 {
            return output;
        }
        seconds *= 4.0;
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(output)))
}

/// A server on a thread that gives each connection to `serve`; it is there as long as the test's process.
fn server(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("accept");
            thread::spawn(move || serve(stream));
        }
    });
    endpoint
}

#[test]
fn an_echo_under_load() {
    for (listener, options) in [
        ("echo@tcp://127.0.0.1:0", vec![]),
        ("echo@udp://127.0.0.1:0", vec![]),
        ("echo@tls://127.0.0.1:0", vec!["--insecure"]),
        (
            "echo@tcp://127.0.0.1:0?model=process",
            vec!["--depth", "8", "--size", "1KiB"],
        ),
    ] {
        let serving = Serving::start(&[], &[listener]);
        let endpoint = serving.at[0].split_once(' ').unwrap().1;
        let output = bench_served(&[&[endpoint, "--connections", "4", "--json"], &options[..]].concat());
        let result = &json(&output)["results"][0];
        let round = &result["rounds"][0];
        assert!(round["requests"].as_u64().unwrap() > 0, "{listener}: {result}");
        let packets = &round["packets"];
        assert_eq!(packets.is_object(), listener.contains("udp"), "{result}");
        if let Some(sent) = packets["sent"].as_u64() {
            let fates = ["received", "lost", "late"].map(|fate| packets[fate].as_u64().unwrap());
            assert_eq!(fates.iter().sum::<u64>(), sent, "{result}");
            assert!(packets["received_percent"].as_f64().unwrap() > 0.0, "{result}");
            assert_eq!(result["packets"]["sent"], sent, "{result}");
        }
        for trouble in ["errors", "wrong", "silent"] {
            assert_eq!(round[trouble], 0, "{listener}: {result}");
        }
        assert!(output.status.success(), "{listener}: {}", words(&output));
    }
}

#[test]
fn what_a_bad_network_does_to_datagrams_is_told() {
    let impairment = Impairment {
        seed: 5,
        loss: 5,
        reorder: 10,
        delay: 0,
    };
    let Some(lan) = Lan::impaired(2, impairment) else {
        return;
    };
    let endpoint = format!("udp://{}:8080", lan.hosts[1].v4());
    let serving = lan.hosts[1].spawn(&["serve", &format!("echo@{endpoint}?rate=off")]);
    serving.line_with("listening");
    let mut seconds = QUICK;
    loop {
        let window = seconds.to_string();
        let args = [
            "bench",
            &endpoint,
            "-c",
            "2",
            "-d",
            "8",
            "--seconds",
            &window,
            "--json",
        ];
        let output = lan.hosts[0].run(&args);
        let result = &json(&output)["results"][0];
        let packets = &result["packets"];
        let count = |name: &str| packets[name].as_u64().expect(name);
        assert_eq!(
            count("sent"),
            count("received") + count("lost") + count("late"),
            "{packets}"
        );
        assert_eq!(result["rounds"][0]["wrong"], 0, "{result}");
        // What is lost is nobody's fault.
        if count("lost") > 0 && count("reordered") > 0 && output.status.success() {
            break;
        }
        // A machine that has had no time to send enough of them, or for a connection to hear any.
        assert!(seconds < 100.0, "{result}");
        seconds *= 4.0;
    }
}

#[test]
fn a_table_for_people() {
    let serving = Serving::start(&[], &["echo@tcp://127.0.0.1:0"]);
    let endpoint = serving.at[0].split_once(' ').unwrap().1;
    let output = bench_served(&[endpoint, "--connections", "4", "--depth", "1,2"]);
    let table = String::from_utf8(output.stdout).unwrap();
    for part in [
        "4 connections, 64 B, depth 1 (",
        "depth 2",
        "requests/s",
        "p99.9",
        endpoint,
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains('\x1b'), "colours are for terminals");
}

#[test]
fn one_wrong_byte_is_told_and_fails() {
    let endpoint = server(|mut stream| {
        let mut bytes = [0; 4096];
        for number in 0.. {
            let Ok(count @ 1..) = stream.read(&mut bytes) else {
                return;
            };
            if number == 20 {
                bytes[count / 2] ^= 0x10;
            }
            if stream.write_all(&bytes[..count]).is_err() {
                return;
            }
        }
    });
    // It ends when each connection has met a wrong byte.
    let output = bench_for(NEVER, &[&endpoint, "--connections", "4"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(
        table.contains("4 wrong") && table.contains("wrong bytes: byte "),
        "{table}"
    );
}

#[test]
fn a_server_that_never_answers_is_told_and_fails() {
    let endpoint = server(|mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let output = bench(&[&endpoint]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(
        table.contains("4 silent") && table.contains("nothing was answered"),
        "{table}"
    );
}

#[test]
fn nobody_there() {
    let (_socket, port) = closed_port();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let output = bench(&[&endpoint]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains(&format!("dial {endpoint}: connection refused")),
        "{table}"
    );
}

#[test]
fn two_models_in_one_run() {
    for transport in [vec![], vec!["--udp"]] {
        let args = [
            &["--models", "thread,epoll-et", "--rounds", "2", "--json"][..],
            &["--connections", "4"][..],
            &transport[..],
        ]
        .concat();
        let output = bench_served(&args);
        assert!(output.status.success(), "{}", words(&output));
        let document = json(&output);
        let results = document["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for (result, model) in results.iter().zip(["thread", "epoll-et"]) {
            assert_eq!(result["server"], model);
            assert_eq!(result["rounds"].as_array().unwrap().len(), 2, "{result}");
            assert!(result["requests_per_second"]["median"].as_f64().unwrap() > 0.0);
            // In the round that took more: in another the work may have been done before the window began.
            assert!(
                result["cpu_us_per_request"]["max"].as_f64().unwrap() > 0.0,
                "{result}"
            );
        }
        assert!(document["machine"]["cores"].as_u64().unwrap() > 0);
    }
}

#[test]
fn other_people_s_servers() {
    if !installed("python3") {
        return;
    }
    let script = "import socketserver, sys\n\
        class Echo(socketserver.BaseRequestHandler):\n \
         def handle(self):\n  \
          while data := self.request.recv(65536): self.request.sendall(data)\n\
        socketserver.ThreadingTCPServer(('127.0.0.1', int(sys.argv[1])), Echo).serve_forever()\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.py");
    std::fs::write(&file, script).unwrap();
    let command = format!("python3 {} {{port}}", file.display());
    let report = folder.path().join("report.html");
    let output = bench(&[
        "--models",
        "select",
        "--against",
        &format!("snake={command}"),
        "--against",
        "broken=echo no such luck; exit 7 # {port}",
        "--rounds",
        "1",
        "--report",
        report.to_str().unwrap(),
    ]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("\n  snake "), "{table}");
    assert!(
        table.contains("broken failed: broken ended (exit status: 7); it said:\n    no such luck"),
        "{table}"
    );
    assert_eq!(output.status.code(), Some(1), "one of them failed");
    let page = std::fs::read_to_string(&report).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("snake") && page.ends_with("</html>\n"));
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    for (args, reason) in [
        (
            &["--models", "select", "--connections", "2000"][..],
            "select holds at most",
        ),
        (&["--models", "fibre"], "there is no model \"fibre\""),
        (
            &["--models", "all", "--udp", "--size", "8"],
            "size is 8, and must be from 16 to 65507",
        ),
        (&["--against", "server"], "has no {port}"),
        (&["tcp://127.0.0.1:9", "--depth", "0"], "depth is 0"),
        (&["tcp://127.0.0.1:9", "--rounds", "0"], "--rounds must be from 1"),
        (&["tcp://127.0.0.1"], "the port is missing"),
        (
            &["tcp://localhost:0"],
            "tcp://localhost:0: nobody can be reached at port 0",
        ),
        (
            &["tcp://127.0.0.1:9", "--udp"],
            "an ENDPOINT says itself what it carries",
        ),
        (
            &["tcp://127.0.0.1:9", "--workers", "2"],
            "for servers that are started here",
        ),
        (
            &["tcp://127.0.0.1:9", "--seconds", "-1"],
            "write a number of seconds from 0.001",
        ),
        (&["tcp://127.0.0.1:9", "--depth", "-1"], "write a whole number"),
        (&[], "--models all"),
    ] {
        let output = run(&[&["bench"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", words(&output));
        assert!(words(&output).contains(reason), "{args:?}: {}", words(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_model_that_cannot_do_a_case_is_left_out_of_it() {
    let output = bench_served(&[
        "--models",
        "select,epoll-lt",
        "--connections",
        "1001",
        "--rounds",
        "1",
        "--json",
    ]);
    let document = json(&output);
    assert!(
        document["results"][0]["left_out"]
            .as_str()
            .unwrap()
            .contains("at most 1000")
    );
    assert!(
        document["results"][1]["requests_per_second"]["median"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn an_interrupt_tells_what_there_is_and_leaves_no_server_behind() {
    let mut command = sockeye(&[
        "bench",
        "--models",
        "epoll-lt,thread",
        "--rounds",
        "500",
        "--json",
    ]);
    command.args(["--seconds", "0.2", "--warm-up", "0.02", "-vv", "--no-pin"]);
    command.stdout(std::process::Stdio::piped());
    let mut program = Background::start(command);
    let line = program.line_with("listens");
    program.signal(Signal::INT);
    let mut text = String::new();
    program
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["interrupted"], true);
    assert_eq!(program.end().code(), Some(1));
    let port = line.rsplit(':').next().unwrap().trim();
    assert!(
        TcpStream::connect(format!("127.0.0.1:{port}")).is_err(),
        "the server is still there"
    );
}

#[test]
fn a_bench_that_is_killed_leaves_no_server_behind() {
    for server in [
        ["--models", "process"],
        ["--against", "SOCKEYE serve echo@tcp://127.0.0.1:{port}"],
    ] {
        let server = server.map(|word| word.replace("SOCKEYE", env!("CARGO_BIN_EXE_sockeye")));
        let mut command = sockeye(&["bench", "--seconds", "600", "-vv", "--no-pin"]);
        command.args(server).stdout(std::process::Stdio::null());
        let mut program = Background::start(command);
        let line = program.line_with("listens");
        let port = line.rsplit(':').next().unwrap().trim();
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        crate::serve::echoes(&mut stream, "here\n");
        program.signal(Signal::KILL);
        // Ended in order or broken: by whoever is killed with a connection.
        if let Err(error) = stream.read(&mut [0]) {
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "the server is still there"
            );
        }
        program.child.wait().unwrap();
    }
}
