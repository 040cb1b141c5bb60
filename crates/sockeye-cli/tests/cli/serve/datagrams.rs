//! Every small service in datagrams, over UDP and a Unix socket, under each of the eight models; and that none is used against
//! others.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::Serving;
use crate::lan::{Host, Lan};
use crate::sockeye::{Background, sockeye};
use sockeye_services::catalog::named;

const MODELS: [&str; 8] = [
    "process",
    "thread",
    "spin",
    "select",
    "epoll-lt",
    "epoll-et",
    "coroutine",
    "uring",
];

/// Those that answer, what to say to them, and whether the answer is right.
type Talk = (&'static str, &'static [u8], fn(&[u8]) -> bool);
const TALKS: [Talk; 7] = [
    ("echo", b"hello", |answer| answer == b"hello"),
    ("echo", b"", |answer| answer.is_empty()),
    ("daytime", b"", |answer| {
        answer.ends_with(b"\r\n") && answer.len() > 20
    }),
    ("chargen", b"", |answer| {
        answer.len() <= 512 && b" !\"#$%&".starts_with(&answer[..answer.len().min(7)])
    }),
    ("hello", b"dog", |answer| answer == b"cat"),
    ("reply", "你好\n".as_bytes(), |answer| {
        answer == "服务器已经收到你的信息\n".as_bytes()
    }),
    ("reply", "拜拜".as_bytes(), |answer| answer == b"over"),
];
/// What none of them may answer, so that the next answer would be a wrong one.
const UNANSWERED: [(&str, &[u8]); 2] = [("discard", b"anybody?"), ("hello", b"wolf")];

/// A peer's way to a service.
trait Peer {
    fn tell(&self, service: &str, says: &[u8]);
    fn hear(&self) -> Vec<u8>;
}

fn talk(peer: &dyn Peer, model: &str) {
    for (service, says) in UNANSWERED {
        peer.tell(service, says);
    }
    for (service, says, right) in TALKS {
        peer.tell(service, says);
        let answer = peer.hear();
        assert!(
            right(&answer),
            "{service} under {model}: {}",
            answer.escape_ascii()
        );
    }
}

/// Over UDP: the addresses of the services.
struct Inet<'a>(UdpSocket, &'a [(&'a str, &'a str)]);

impl Peer for Inet<'_> {
    fn tell(&self, service: &str, says: &[u8]) {
        let (_, address) = self
            .1
            .iter()
            .find(|(name, _)| *name == service)
            .expect("it is served");
        self.0.send_to(says, address).expect("send");
    }

    fn hear(&self) -> Vec<u8> {
        let mut room = vec![0; 1 << 16];
        let count = self.0.recv(&mut room).expect("an answer");
        room[..count].to_vec()
    }
}

/// Within the machine: the folder of the services' sockets.
struct Unix<'a>(UnixDatagram, &'a Path);

impl Peer for Unix<'_> {
    fn tell(&self, service: &str, says: &[u8]) {
        self.0.send_to(says, self.1.join(service)).expect("send");
    }

    fn hear(&self) -> Vec<u8> {
        let mut room = vec![0; 1 << 16];
        let count = self.0.recv(&mut room).expect("an answer");
        room[..count].to_vec()
    }
}

const SERVICES: [&str; 6] = ["echo", "discard", "daytime", "chargen", "hello", "reply"];

#[test]
fn every_small_service_in_datagrams_under_every_model() {
    for model in MODELS {
        let folder = tempfile::tempdir().expect("a folder");
        let unix = |service| format!("{service}@unixgram://{}", folder.path().join(service).display());
        let inet = |service| format!("{service}@udp://127.0.0.1:0");
        let listeners: Vec<String> = SERVICES.map(inet).into_iter().chain(SERVICES.map(unix)).collect();
        let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
        let serving = Serving::start(&["--model", model], &listeners);
        let at: Vec<_> = (0..SERVICES.len())
            .map(|number| (SERVICES[number], serving.address(number)))
            .collect();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        talk(&Inet(socket, &at), model);
        let socket = UnixDatagram::bind(folder.path().join("mine")).expect("bind");
        talk(&Unix(socket, folder.path()), model);
    }
}

/// A socket at a port below 1024, on loopback; `None` where that needs a right that the test hasn't.
fn low() -> Option<UdpSocket> {
    for port in 1..1024 {
        match UdpSocket::bind(("127.0.0.1", port)) {
            Ok(socket) => return Some(socket),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
            Err(_) => {} // another's
        }
    }
    eprintln!("left out: this user may have no port below 1024");
    None
}

#[test]
fn a_service_s_port_is_not_answered_unless_told_otherwise() {
    let Some(low) = low() else { return };
    for model in MODELS {
        let serving = Serving::start(
            &["--model", model],
            &["echo@udp://127.0.0.1:0", "echo@udp://127.0.0.1:0?ports=any"],
        );
        // Answers of the first would come before those of the second, which is asked later.
        low.send_to(b"loop", serving.address(0)).expect("send");
        let high = UdpSocket::bind("127.0.0.1:0").expect("bind");
        high.send_to(b"high", serving.address(0)).expect("send");
        high.recv(&mut [0; 9]).expect("an answer");
        low.send_to(b"told", serving.address(1)).expect("send");
        let mut answer = [0; 9];
        let count = low.recv(&mut answer).expect("an answer");
        assert_eq!(&answer[..count], b"told", "{model}");
    }
}

/// Sends a datagram in the name of another socket.
const FORGE: &str = "
import socket, struct, sys
source, target, ports = sys.argv[1], sys.argv[2], map(int, sys.argv[3:])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
s.bind((source, 0))
s.sendto(struct.pack('!HHHH', *ports, 12, 0) + b'ping', (target, 0))
";

/// Sends so many.
const FLOOD: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
for number in range(int(sys.argv[3])):
    s.send(b'again')
";

/// Sends one that has to be answered within so many seconds.
const ASK: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.settimeout(int(sys.argv[3]))
s.send(b'?')
assert s.recv(100) == b'?'
";

/// How many datagrams the programs of a host have sent.
fn sent(host: &Host) -> u64 {
    let program = "print(*[line.split()[4] for line in open('/proc/net/snmp') if line.startswith('Udp:')])";
    let output = host.python(program, &[]).output().expect("Python starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let (name, number) = text.trim().split_once(' ').expect("a name and a number");
    assert_eq!(name, "OutDatagrams");
    number.parse().expect("a number")
}

#[track_caller]
fn python(host: &Host, program: &str, args: &[&str]) {
    let output = host.python(program, args).output().expect("Python starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// A server of these services, each at its usual port.
fn usual(host: &Host, services: &[&str], model: &str) -> Background {
    let at = |service: &&str| {
        let port = named(service).expect(service).port;
        format!("{service}@udp://{}:{port}?model={model}", host.v4())
    };
    let listeners: Vec<String> = services.iter().map(at).collect();
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let serving = host.spawn(&[&["serve"], &listeners[..]].concat());
    listeners
        .iter()
        .for_each(|_| drop(serving.line_with("listening")));
    serving
}

#[test]
fn two_servers_on_a_lan_are_not_set_on_each_other() {
    let Some(lan) = Lan::new(3) else { return };
    let [one, other, third] = &lan.hosts[..] else {
        panic!("three hosts")
    };
    for (count, model) in (1..).zip(MODELS) {
        let _serving =
            [(one, "daytime"), (other, "reply")].map(|(host, second)| usual(host, &["echo", second], model));
        let [source, target] = [one, other].map(|host| host.v4().to_string());
        for from in ["8080", "8013"] {
            for to in ["8080", "7788"] {
                python(one, FORGE, &[&source, &target, from, to]);
            }
        }
        for host in [&target, &source] {
            python(third, ASK, &[host, "8080", "300"]);
        }
        assert_eq!([one, other].map(sent), [count; 2], "{model}");
    }
}

#[test]
fn a_flood_gets_its_rate_and_others_their_answers() {
    /// Far more than are answered in the time that it takes to send them.
    const COUNT: u64 = 200;
    let Some(lan) = Lan::new(5) else { return };
    let [one, other, others @ ..] = &lan.hosts[..] else {
        panic!("five hosts")
    };
    let mut before = 0;
    for model in MODELS {
        let host = one.v4().to_string();
        let listener = format!("echo@udp://{host}:8080?model={model}&rate=1");
        let serving = one.spawn(&["serve", &listener]);
        serving.line_with("listening");
        python(other, FLOOD, &[&host, "8080", &COUNT.to_string()]);
        // One may have its answers counted with the flood's, once in 8,192; not all of them.
        let answered = |asks: &Host| {
            let output = asks.python(ASK, &[&host, "8080", "10"]).output();
            output.expect("Python starts").status.success()
        };
        assert!(others.iter().any(answered), "{model}");
        let told = serving.line_with("datagram not answered");
        assert!(told.contains("WARN") && told.contains("(rate=N)"), "{told}");
        let now = sent(one);
        assert!(
            (2..COUNT).contains(&(now - before)),
            "{model}: {before} then {now}"
        );
        before = now;
    }
}

#[test]
fn rules_that_other_machines_may_not_be_answered_by_are_told_at_start() {
    let long = "0123456789".repeat(10);
    let warned = |rule: &str, host: &str, options: &str| {
        let listener = format!("reply@udp://{host}:0?rule={rule}{options}");
        let serving = Background::start(sockeye(&["serve", &listener]));
        let first = serving.line().expect("a line");
        first.starts_with("warning: ").then_some(first)
    };
    let told = warned(&format!("long=>{long}"), "0.0.0.0", "").expect("a warning");
    for part in ["an answer of 100 bytes", "an empty one are 56", "factor=5 "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for (rule, host, options) in [
        (&*format!("long=>{long}"), "127.0.0.1", ""),
        (&format!("long=>{long}"), "0.0.0.0", "&factor=5"),
        (&format!("long=>{long}"), "0.0.0.0", "&factor=off"),
        ("short=>answer", "0.0.0.0", ""),
    ] {
        assert_eq!(warned(rule, host, options), None);
    }
}

/// Asks 20 times for what is not answered, and then for what is.
const IN_VAIN: &str = "
import socket, sys
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.settimeout(60)
peer.connect((sys.argv[1], int(sys.argv[2])))
for question in [b'long'] * 20 + [b'short']:
    peer.send(question)
assert peer.recv(2000) == b'answer'
";

#[test]
fn answers_that_are_too_long_are_told_of_once() {
    let Some(lan) = Lan::new(2) else { return };
    let host = lan.hosts[0].v4().to_string();
    let long = "0123456789".repeat(10);
    let listener = format!("reply@udp://{host}:7788?rule=long=>{long}&rule=short=>answer");
    let mut serving = lan.hosts[0].spawn(&["serve", &listener]);
    serving.line_with("listening");
    python(&lan.hosts[1], IN_VAIN, &[&host, "7788"]);
    serving.signal(rustix::process::Signal::INT);
    let lines: Vec<String> = std::iter::from_fn(|| serving.line()).collect();
    let told = lines.iter().filter(|line| line.contains("datagram not answered"));
    assert_eq!(told.count(), 1, "{lines:#?}");
    assert!(serving.end().success());
}

/// Sends what the kernel cuts into datagrams, and so hands over as one (`UDP_SEGMENT`, `UDP_GRO`, udp(7)); hears an answer to
/// each.
const JOINED: &str = "
import socket, sys
UDP_SEGMENT = 103
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.settimeout(60)
peer.connect(('127.0.0.1', int(sys.argv[1])))
peer.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 10)
for turn in range(5):
    sent = [b'%04d bytes' % number for number in range(20)] + [b'end']
    for _ in range(4):
        peer.send(b''.join(sent))
    heard = [peer.recv(2000) for _ in range(4 * len(sent))]
    assert heard == 4 * sent, heard
";

#[test]
fn what_comes_as_one_is_answered_one_by_one() {
    for model in MODELS {
        let serving = Serving::start(&["--model", model], &["echo@udp://127.0.0.1:0"]);
        let (_, port) = serving.address(0).rsplit_once(':').expect("a port");
        let mut python = std::process::Command::new("python3");
        let output = python.args(["-c", JOINED, port]).output().expect("python3");
        assert!(
            output.status.success(),
            "{model}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
