//! `sockeye broadcast`, and the tutorials' programs of rows S6 and S7 against it, `listen` and `ask`.

use std::io::Write;
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use serde_json::Value;

use crate::lan::{Host, Lan};
use crate::sockeye::{Background, run, sockeye, words};

/// A listener at port 8000 of a host.
fn listen(host: &Host, args: &[&str]) -> Background {
    let listener = host.listen(&[&["listen", "udp://:8000"], args].concat());
    listener.line_with("listening at");
    listener
}

#[track_caller]
fn heard(listener: &Background) -> Value {
    let line = listener.line().expect("a datagram");
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
}

#[track_caller]
fn sent(host: &Host, args: &[&str]) -> String {
    let output = host.run(&[&["broadcast"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", words(&output));
    printed(&output)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn it_leaves_by_every_interface_and_goes_not_beyond_a_router() {
    let Some((near, far, router)) = Lan::joined(2, 1) else {
        return;
    };
    let listeners = [&near.hosts[1], &far.hosts[0]].map(|host| listen(host, &["--json"]));
    let said = sent(&near.hosts[0], &["from one network"]);
    let from = near.hosts[0].v4();
    assert!(
        said.starts_with(&format!("sent to 255.255.255.255:8000 by eth0, from {from}:")),
        "{said}"
    );
    let told = heard(&listeners[0]);
    assert_eq!(told["text"], "from one network");
    assert_eq!(
        (&told["interface"], &told["local"]),
        (&"eth0".into(), &"255.255.255.255:8000".into())
    );
    assert!(
        told["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with(&format!("{from}:")))
    );

    let said = sent(&router, &["from the middle"]);
    assert!(
        said.contains("by eth1, from 10.9.1.254:") && said.contains("by eth2, from 10.9.2.254:"),
        "{said}"
    );
    // The far one has not heard the first.
    assert_eq!(heard(&listeners[1])["text"], "from the middle");
    assert_eq!(heard(&listeners[0])["text"], "from the middle");

    sent(&router, &["--interface", "eth1", "near"]);
    sent(&router, &["--to", "directed", "directed"]);
    assert_eq!(heard(&listeners[0])["text"], "near");
    for (listener, network) in listeners.iter().zip(["10.9.1.255:8000", "10.9.2.255:8000"]) {
        let told = heard(listener);
        assert_eq!(
            (&told["text"], &told["local"]),
            (&"directed".into(), &network.into())
        );
    }
    sent(&router, &["--to", "eth2", "far"]);
    assert_eq!(heard(&listeners[1])["text"], "far");
}

#[test]
fn the_interfaces_are_listed() {
    let Some((_near, _far, router)) = Lan::joined(1, 1) else {
        return;
    };
    let output = router.run(&["broadcast", "--list"]);
    let table = printed(&output);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        ["interface", "number", "state", "groups", "address", "broadcast"]
    );
    // All but the number, which is the kernel's.
    let has = |wanted: &[&str]| {
        let cells = |row: &[&str]| row[..1] == wanted[..1] && row.get(2..) == wanted.get(1..);
        rows.iter().any(|row| cells(row))
    };
    assert!(has(&["lo", "loopback", "yes", "127.0.0.1/8"]), "{table}");
    assert!(
        has(&["eth1", "up", "yes", "10.9.1.254/24", "10.9.1.255"]),
        "{table}"
    );
    assert!(
        has(&["eth2", "up", "yes", "10.9.2.254/24", "10.9.2.255"]),
        "{table}"
    );

    let output = router.run(&["broadcast", "--list", "--json"]);
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let eth2 = list
        .as_array()
        .and_then(|all| all.iter().find(|one| one["name"] == "eth2"));
    let eth2 = eth2.expect("the second");
    assert_eq!((&eth2["used"], &eth2["loopback"]), (&true.into(), &false.into()));
    assert_eq!(eth2["multicast"], true);
    assert_eq!(eth2["addresses"][0]["broadcast"], "10.9.2.255");
}

#[test]
fn groups_are_heard_by_those_who_join() {
    let Some(lan) = Lan::new(3) else { return };
    let [one, two, three] = &lan.hosts[..] else {
        panic!("three hosts");
    };
    let groups = [
        "--group",
        "239.1.2.3",
        "--group",
        "ff15::4711",
        "--group",
        "ff02::4711%eth0",
    ];
    let member = listen(two, &[&groups[..], &["--json"]].concat());
    let same = listen(one, &[&groups[..], &["--json"]].concat());
    let stranger = listen(three, &["--json"]);
    for (to, local) in [
        ("239.1.2.3", "239.1.2.3:8000"),
        ("ff15::4711", "[ff15::4711%eth0]:8000"),
        ("ff02::4711%eth0", "[ff02::4711%eth0]:8000"),
    ] {
        sent(one, &["--to", to, "--ttl", "3", "--no-loop", "quiet"]);
        sent(one, &["--to", to, "loud"]);
        for text in ["quiet", "loud"] {
            let told = heard(&member);
            assert_eq!((&told["text"], &told["local"]), (&text.into(), &local.into()));
            assert_eq!(told["interface"], "eth0");
        }
        assert_eq!(heard(&same)["text"], "loud", "{to}");
    }
    sent(one, &["everybody"]);
    assert_eq!(heard(&stranger)["text"], "everybody");
}

#[test]
fn who_answers_is_told_with_the_time_it_took() {
    let Some(lan) = Lan::new(3) else { return };
    let _listeners = [1, 2].map(|at| listen(&lan.hosts[at], &["--answer", "/who/ => $$ here"]));
    // While another line may come, it hears.
    let mut asking = lan.hosts[0].sockeye(&["broadcast", "--wait", "1ms", "--json"]);
    asking.stdin(Stdio::piped());
    let mut asking = Background::printing(asking);
    let mut input = asking.child.stdin.take().expect("a pipe");
    input.write_all("who is there?\n".as_bytes()).expect("it reads");
    let mut lines: Vec<Value> = (0..3).map(|_| heard(&asking)).collect();
    drop(input);
    lines.push(heard(&asking));
    assert_eq!(asking.end().code(), Some(0));
    assert_eq!(
        (&lines[0]["event"], &lines[0]["interface"]),
        (&"sent".into(), &"eth0".into())
    );
    let mut peers: Vec<_> = lines[1..3]
        .iter()
        .map(|one| one["peer"].as_str().expect("a peer"))
        .collect();
    peers.sort_unstable();
    assert_eq!(peers, ["10.9.1.2:8000", "10.9.1.3:8000"]);
    for line in &lines[1..3] {
        assert_eq!(
            (&line["event"], &line["text"]),
            (&"answer".into(), &"$ here".into())
        );
        assert!(line["rtt_us"].is_u64());
    }
    assert_eq!(
        (&lines[3]["event"], &lines[3]["peers"]),
        (&"end".into(), &2.into())
    );

    let output = lan.hosts[0].run(&["broadcast", "--wait", "300ms", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(words(&output), "sockeye: nobody answered in 300ms\n");
}

#[test]
fn what_can_not_be_sent_is_said_and_the_rest_leaves() {
    let Some(lan) = Lan::new(2) else { return };
    let listener = listen(&lan.hosts[1], &[]);
    let output = lan.hosts[0].run(&["broadcast", "--to", "fd99::1", "--to", "eth0", "hello"]);
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(
        said.starts_with("sockeye: not sent: send udp://[fd99::1]:8000: "),
        "{said}"
    );
    listener.line_with("eth0  hello");

    let none = "no interface with an address is called `nosuch0`; there are lo, eth0";
    for (args, code, part) in [
        (&["--to", "nosuch0", "x"][..], 2, none),
        (&["--to", "239.1.2.3%nosuch0", "x"], 2, none),
        (&["--interface", "nosuch0", "x"], 2, none),
        (&["--count", "0", "x"], 2, "write a whole number from 1 on"),
        (
            &["--to", "lo", "x"],
            1,
            "no way to a directed broadcast by lo: what it sends never leaves this machine",
        ),
    ] {
        let output = lan.hosts[0].run(&[&["broadcast"], args].concat());
        assert_eq!(output.status.code(), Some(code));
        assert!(words(&output).contains(part), "{}", words(&output));
    }
}

/// A way to one other machine, as long as it runs.
const TUNNEL: &str = "
import fcntl, os, signal, struct, subprocess
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'tun0', 0x1001))
for line in ['link set tun0 up', 'addr add 10.8.0.1 peer 10.8.0.2 dev tun0']:
    subprocess.run(['ip'] + line.split(), check=True)
print('up')
signal.pause()
";

#[test]
fn what_an_interface_can_not_do_is_said_before_anything_is_sent() {
    let Some((near, _far, router)) = Lan::joined(1, 1) else {
        return;
    };
    let ip = |words: &str| {
        let status = router.command(Command::new("ip").args(words.split(' '))).status();
        assert!(status.expect("ip starts").success(), "{words}");
    };
    let refused = |args: &[&str], part: &str| {
        let output = router.run(&[&["broadcast"], args, &["x"]].concat());
        assert_eq!((output.status.code(), printed(&output)), (Some(1), String::new()));
        assert!(words(&output).contains(part), "{args:?}: {}", words(&output));
    };
    ip("link set eth1 multicast off");
    for to in ["239.1.2.3%eth1", "ff02::4711%eth1"] {
        refused(&["--to", to], "by eth1: it can't multicast");
    }
    let listed = printed(&router.run(&["broadcast", "--list"]));
    let eth1 = listed.lines().find(|line| line.starts_with("eth1"));
    assert!(
        eth1.is_some_and(|line| line.contains("  up     ") && line.contains("  no  ")),
        "{listed}"
    );
    // By itself it takes the others; and a broadcast is no group.
    assert!(sent(&router, &["--to", "239.1.2.3", "x"]).contains("by eth2"));
    let listener = listen(&near.hosts[0], &[]);
    sent(&router, &["--to", "eth1", "dog"]);
    listener.line_with("eth0  dog");
    ip("link set eth2 down");
    refused(&["--to", "eth2"], "by eth2: it is down");
    refused(&["--to", "239.1.2.3"], "no interface reaches 239.1.2.3");
    if !std::path::Path::new("/dev/net/tun").exists() {
        return eprintln!("left out: there are no tunnels here");
    }
    let tunnel = Background::printing(router.python(TUNNEL, &[]));
    tunnel.line_with("up");
    for args in [&["--to", "tun0"][..], &["--interface", "tun0"]] {
        refused(args, "by tun0: it leads to one other machine");
    }
    sent(&router, &["--to", "239.1.2.3%tun0", "x"]);
}

/// Row S7 as tutorials have it: broadcasts go to port 8000, one message a datagram.
const SENDER: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto('大家好'.encode('utf-8'), ('<broadcast>', 8000))
";
const RECEIVER: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('', 8000))
print('bound', flush=True)
while True:
    data, address = s.recvfrom(1024)
    print(address[0], data.decode('utf-8'), flush=True)
    s.sendto('收到'.encode('utf-8'), address)
";
/// Row S6: a client that sends and waits for its answer.
const CLIENT: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(300)
s.sendto('你好'.encode('utf-8'), (sys.argv[1], 8000))
print(s.recvfrom(1024)[0].decode('utf-8'))
";

#[test]
fn old_programs_and_ours_hear_each_other() {
    let Some(lan) = Lan::new(3) else { return };
    let [ours, old, other] = &lan.hosts[..] else {
        panic!("three hosts");
    };
    let listener = listen(ours, &["--answer", "* => 服务器已经收到你的信息"]);
    assert!(old.python(SENDER, &[]).status().expect("Python starts").success());
    let line = listener.line().expect("a datagram");
    assert!(
        line.contains(&format!("  {}:", old.v4())) && line.ends_with("  eth0  大家好"),
        "{line}"
    );
    let client = old
        .python(CLIENT, &[&ours.v4().to_string()])
        .output()
        .expect("Python starts");
    assert_eq!(printed(&client), "服务器已经收到你的信息\n");

    let receiver = Background::printing(old.python(RECEIVER, &[]));
    receiver.line_with("bound");
    sent(ours, &["大家好"]);
    assert_eq!(receiver.line(), Some(format!("{} 大家好", ours.v4())));
    let asking = other.listen(&["broadcast", "--wait", "300s", "在吗"]);
    let answer = asking.line_with(&format!("{}:8000  eth0  ", old.v4()));
    assert!(answer.ends_with("  收到"), "{answer}");
    drop(asking);
    let asked = ours.run(&[
        "ask",
        &format!("udp://{}:8000", old.v4()),
        "你好",
        "--timeout",
        "300s",
    ]);
    assert_eq!(
        (printed(&asked).as_str(), asked.status.code()),
        ("收到\n", Some(0))
    );

    let mut service = other.spawn(&["serve", "reply@udp://0.0.0.0:8000"]);
    service.line_with("reply");
    let client = old
        .python(CLIENT, &[&other.v4().to_string()])
        .output()
        .expect("Python starts");
    assert_eq!(printed(&client), "服务器已经收到你的信息\n");
    service.signal(rustix::process::Signal::TERM);
    service.end();
}

/// A socket of this machine that hears, and its port.
fn hearing() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
    let port = socket.local_addr().expect("bound").port().to_string();
    (socket, port)
}

#[track_caller]
fn next(socket: &UdpSocket) -> String {
    let mut buffer = [0; 100];
    let length = socket.recv(&mut buffer).expect("a datagram");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// A broadcast on this machine that reads its texts, and where it reads them.
fn fed(port: &str, more: [&str; 2]) -> (Child, ChildStdin) {
    let mut command = sockeye(&["broadcast", "--to", "127.255.255.255", "--port", port]);
    command.args(more).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let input = child.stdin.take().expect("a pipe");
    (child, input)
}

#[test]
fn each_line_is_a_datagram() {
    let (socket, port) = hearing();
    let (mut child, mut input) = fed(&port, ["--count", "3"]);
    input.write_all("one\n".as_bytes()).expect("it reads");
    // It goes out before the next is there.
    assert_eq!(next(&socket), "one");
    input.write_all("two\r\n\nfour\n".as_bytes()).expect("it reads");
    drop(input);
    assert_eq!([next(&socket), next(&socket)], ["two", ""]);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn after_the_last_line_nobody_waits() {
    let (socket, port) = hearing();
    let (mut child, mut input) = fed(&port, ["--every", "1h"]);
    input.write_all(b"one\n").expect("it reads");
    assert_eq!(next(&socket), "one");
    drop(input);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn a_text_is_sent_again() {
    let (socket, port) = hearing();
    let args = ["broadcast", "--to", "127.255.255.255", "--port", &port];
    let often = [
        "--every",
        "1ms",
        "--count",
        "3",
        "--encoding",
        "gbk",
        "--json",
        "瓜子",
    ];
    let output = run(&[&args[..], &often].concat());
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let mut buffer = [0; 100];
    for _ in 0..3 {
        let length = socket.recv(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..length], b"\xb9\xcf\xd7\xd3");
    }
    assert_eq!(printed(&output).matches("\"event\":\"sent\"").count(), 3);
}

#[test]
fn what_makes_no_sense_is_said() {
    let long = "x".repeat(65_508);
    for (args, part) in [
        (&["--port", "0", "x"][..], "0 is not in 1..=65535"),
        (&["--to", "nothing%eth0", "x"], "no address"),
        (&["--list", "x"], "cannot be used with"),
        (
            &["--to", "127.0.0.1", "--interface", "lo", "x"],
            "the routes choose",
        ),
        (&["--to", "127.0.0.1", &long], "65507"),
        (&["--to", "fe80::1", "x"], "write fe80::1%INTERFACE"),
        (&["--wait", "soon", "x"], "5s"),
    ] {
        let output = run(&[&["broadcast"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
        assert!(words(&output).contains(part), "{part}: {}", words(&output));
    }
}
