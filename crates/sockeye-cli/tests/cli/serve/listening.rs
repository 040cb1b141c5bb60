//! Where it listens, and how it says so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::Value;
use sockeye::Model;

use super::{Serving, echoes};
use crate::sockeye::{Background, run, sockeye, words};

#[test]
fn every_model_serves_streams_and_datagrams() {
    for model in Model::ALL {
        let listeners = [
            "echo@tcp://127.0.0.1:0",
            "hello@udp://127.0.0.1:0",
            "echo@tcp://[::1]:0",
        ];
        let mut serving = Serving::start(&["--model", model.name()], &listeners);
        assert!(
            serving.at[0].starts_with("echo tcp://127.0.0.1:"),
            "{:?}",
            serving.at
        );
        assert!(
            serving.at[1].starts_with("hello udp://127.0.0.1:"),
            "{:?}",
            serving.at
        );
        echoes(&mut serving.dial(0), "one\n");
        echoes(&mut serving.dial(2), "two\n");
        assert_eq!(ask(&serving, 1, b"dog"), b"cat", "{model}");
        serving.program.signal(Signal::TERM);
        assert_eq!(serving.program.end().code(), Some(0), "{model}");
    }
}

/// One datagram, and its answer.
fn ask(serving: &Serving, number: usize, question: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.connect(serving.address(number)).expect("connect");
    socket.send(question).expect("send");
    let mut answer = [0; 1024];
    let count = socket.recv(&mut answer).expect("an answer");
    answer[..count].to_vec()
}

#[test]
fn each_listener_may_have_a_model_of_its_own() {
    let listeners = Model::ALL.map(|model| format!("echo@tcp://127.0.0.1:0?model={model}"));
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let mut serving = Serving::start(&["--workers", "2"], &listeners);
    for number in 0..listeners.len() {
        echoes(&mut serving.dial(number), "hello\n");
    }
    serving.program.signal(Signal::TERM);
    assert_eq!(serving.program.end().code(), Some(0));
}

#[test]
fn options_reach_their_listener() {
    let rule = "reply@tcp://127.0.0.1:0?framing=lines&rule=a%26b =>! both&nodelay=false";
    let serving = Serving::start(&[], &[rule, "echo@tcp://127.0.0.1:0?idle=50ms"]);
    let mut stream = serving.dial(0);
    stream.write_all(b"a&b\n").expect("send");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the answer and the close");
    assert_eq!(answer, "both\n");

    let mut idle = serving.dial(1);
    let mut nothing = Vec::new();
    idle.read_to_end(&mut nothing).expect("the deadline ends it");
    let line = serving.program.line_with("closed");
    assert!(line.contains("timed out after 50ms"), "{line}");
}

#[test]
fn unix_sockets_go_with_their_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("what?");
    let listener = format!("echo@unix://{}/what%3F?model=thread", folder.path().display());
    let mut serving = Serving::start(&[], &[&listener]);
    let mut stream = UnixStream::connect(&path).expect("connect");
    stream.write_all(b"hello").expect("send");
    stream.shutdown(Shutdown::Write).expect("half-close");
    let mut back = String::new();
    stream.read_to_string(&mut back).expect("the echo");
    assert_eq!(back, "hello");
    serving.program.signal(Signal::TERM);
    assert_eq!(serving.program.end().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn json_is_an_object_a_line() {
    let listeners = ["echo@tcp://127.0.0.1:0", "echo@udp://127.0.0.1:0"];
    let mut program = Background::start(sockeye(&[&["serve", "--json", "-v"], &listeners[..]].concat()));
    let object = |line: String| -> Value { serde_json::from_str(&line).expect("JSON") };
    let mut addresses = Vec::new();
    for scheme in ["tcp", "udp"] {
        let line = object(program.line().expect("a line"));
        assert_eq!(
            (line["event"].as_str(), line["service"].as_str()),
            (Some("listening"), Some("echo"))
        );
        assert_eq!(line["model"], "epoll-lt");
        let endpoint = line["endpoint"].as_str().expect("text");
        assert!(
            endpoint.starts_with(&format!("{scheme}://127.0.0.1:")),
            "{endpoint}"
        );
        addresses.push(endpoint[6..].to_owned());
    }
    let mut stream = std::net::TcpStream::connect(&addresses[0]).expect("connect");
    echoes(&mut stream, "hello\n");
    drop(stream);
    let opened = object(program.line().expect("a line"));
    assert_eq!(
        (opened["event"].as_str(), opened["message"].as_str()),
        (Some("log"), Some("opened"))
    );
    let closed = object(program.line().expect("a line"));
    assert_eq!(
        (closed["message"].as_str(), closed["sent"].as_u64()),
        (Some("closed"), Some(6))
    );
    program.signal(Signal::INT);
    assert_eq!(object(program.line().expect("a line"))["event"], "stopping");
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn a_port_that_is_taken_fails_before_anything_serves() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let taken = format!("echo@tcp://{}", taken.local_addr().expect("bound"));
    let output = run(&["serve", "echo@tcp://127.0.0.1:0", &taken]);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("address already in use; another server has it"),
        "{words}"
    );
    assert!(!words.contains("listening"), "{words}");
}

#[test]
fn plain_serve_starts_everything_that_it_can() {
    let mut program = Background::start(sockeye(&["serve"]));
    let usual = sockeye_services::catalog::ALL.iter().flat_map(|service| {
        let at = move |scheme| format!("{} {scheme}://127.0.0.1:{}", service.name, service.port);
        service.schemes.iter().map(at)
    });
    let mut missing: Vec<String> = usual.collect();
    // Another program on this machine may have some of the ports: then they are left out, and said to be.
    let mut has_all = true;
    while let Some(at) = missing.first().cloned() {
        let line = program.line().expect("a line for each listener");
        if line.contains(" has port ") || line.contains(" have port ") {
            has_all = false;
            let advice = program.line().expect("what to do");
            assert!(advice.contains("sockeye serve echo@"), "{advice}");
            let ports: Vec<&str> = line.split([' ', ',', '/']).collect();
            missing.retain(|one| !ports.contains(&one.rsplit(':').next().unwrap_or_default()));
        } else {
            assert_eq!(line, format!("listening {at}"));
            missing.remove(0);
            let try_it = program.line().expect("a command");
            assert!(try_it.starts_with("    try: "), "{try_it}");
        }
    }
    if !has_all {
        return;
    }
    // Whoever comes second has nothing to serve, and says so in one message.
    let second = run(&["serve"]);
    let said = words(&second);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.starts_with("sockeye: nothing can be served: "), "{said}");
    assert!(said.contains("(process ") && said.lines().count() == 2, "{said}");
    program.signal(Signal::TERM);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_folder_for_data_is_made_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("a/b");
    let data = data.to_str().expect("text");
    for _ in ["made", "found"] {
        let _serving = Serving::start(&["--data", data], &["echo@tcp://127.0.0.1:0"]);
        let mode = std::fs::metadata(data).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    for (path, expected) in [
        (file.display().to_string(), "it is no folder"),
        (format!("{}/x", file.display()), "make data folder"),
    ] {
        let output = run(&["serve", "--data", &path, "echo@tcp://127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(words(&output).contains(expected), "{}", words(&output));
    }
}

#[test]
fn the_soft_limit_of_open_files_is_no_limit() {
    let mut command = std::process::Command::new("sh");
    let serve = format!(
        "ulimit -Sn 64; exec {} serve echo@tcp://127.0.0.1:0",
        env!("CARGO_BIN_EXE_sockeye")
    );
    command.arg("-c").arg(serve);
    let serving = Serving::of(Background::start(command), 1);
    let mut streams: Vec<_> = (0..100).map(|_| serving.dial(0)).collect();
    streams.iter_mut().for_each(|stream| echoes(stream, "here\n"));
}
