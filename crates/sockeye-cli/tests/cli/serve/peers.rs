//! Programs that people have, against every service.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::Serving;
use crate::sockeye::installed;

/// A program that talks to a server; it is killed when it has been heard.
struct Peer(std::process::Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

/// Gives the program something to say, and waits until it has said `expected`. Its standard input stays open: some
/// leave at the end of it without waiting for the answer.
#[track_caller]
fn hears(program: &str, args: &[&str], says: &[u8], expected: &[u8]) {
    if !installed(program) {
        return;
    }
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut peer = Peer(command.spawn().expect("an installed program starts"));
    let mut stdin = peer.0.stdin.take().expect("a pipe");
    stdin.write_all(says).expect("it listens");
    stdin.flush().expect("it listens");
    let mut stdout = peer.0.stdout.take().expect("a pipe");
    let mut heard = Vec::new();
    let mut room = [0; 4096];
    while !heard.windows(expected.len()).any(|window| window == expected) {
        let count = stdout.read(&mut room).expect("its standard output");
        assert!(
            count > 0,
            "{program} {args:?} heard only {}",
            heard.escape_ascii()
        );
        heard.extend_from_slice(&room[..count]);
    }
}

const SERVICES: [&str; 6] = [
    "echo@tcp://127.0.0.1:0",
    "daytime@tcp://127.0.0.1:0",
    "chargen@tcp://127.0.0.1:0",
    "hello@tcp://127.0.0.1:0",
    "reply@tcp://127.0.0.1:0",
    "reply@tcp://127.0.0.1:0?encoding=gbk",
];
const GBK_RECEIVED: &[u8] =
    b"\xb7\xfe\xce\xf1\xc6\xf7\xd2\xd1\xbe\xad\xca\xd5\xb5\xbd\xc4\xe3\xb5\xc4\xd0\xc5\xcf\xa2";

/// What to say to each of them, and what is to come.
const TALKS: [(&[u8], &[u8]); 6] = [
    (b"hello\n", b"hello\n"),
    (b"", b"-UTC"),
    (b"", b"\"#$%&'()*+,-./"),
    (b"hi\n", b"helloworld"),
    ("拜拜\n".as_bytes(), b"over\n"),
    (b"\xc4\xe3\xba\xc3\n", GBK_RECEIVED),
];

#[test]
fn netcats_and_telnet_talk_to_every_service() {
    let serving = Serving::start(&[], &SERVICES);
    for (number, (says, expected)) in TALKS.into_iter().enumerate() {
        let [host, port] = serving.words(number);
        hears("nc", &[host, port], says, expected);
        hears("ncat", &[host, port], says, expected);
        hears("socat", &["-", &format!("TCP:{host}:{port}")], says, expected);
        let telnet: &[u8] = match expected {
            b"over\n" => b"over", // a terminal's line ends with CR LF
            other => other.strip_suffix(b"\n").unwrap_or(other),
        };
        if says.is_ascii() {
            hears("telnet", &[host, port], says, telnet);
        }
    }
}

#[test]
fn netcats_send_datagrams() {
    let serving = Serving::start(
        &[],
        &[
            "echo@udp://127.0.0.1:0",
            "hello@udp://127.0.0.1:0",
            "reply@udp://127.0.0.1:0",
            "daytime@udp://127.0.0.1:0",
        ],
    );
    let talks: [(&str, &str); 4] = [
        ("hello\n", "hello\n"),
        ("dog\n", "cat\n"),
        ("拜拜\n", "over\n"),
        ("\n", "-UTC"),
    ];
    for (number, (says, expected)) in talks.into_iter().enumerate() {
        let [host, port] = serving.words(number);
        let (says, expected) = (says.as_bytes(), expected.as_bytes());
        hears("nc", &["-u", host, port], says, expected);
        hears("ncat", &["-u", host, port], says, expected);
        hears("socat", &["-", &format!("UDP:{host}:{port}")], says, expected);
    }
}

#[test]
fn unix_sockets_and_tls_have_their_peers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let unix = format!("reply@unix://{}", path.display());
    let name = format!("sockeye-test-{}", std::process::id());
    let abstract_name = format!("echo@unix:@{name}");
    let serving = Serving::start(&[], &[&unix, "echo@tls://127.0.0.1:0", &abstract_name]);
    let path = path.to_string_lossy();
    hears("nc", &["-U", &path], "拜拜\n".as_bytes(), b"over\n");
    hears(
        "socat",
        &["-", &format!("UNIX-CONNECT:{path}")],
        "拜拜\n".as_bytes(),
        b"over\n",
    );
    hears(
        "socat",
        &["-", &format!("ABSTRACT-CONNECT:{name}")],
        b"hello\n",
        b"hello\n",
    );
    let address = serving.address(1);
    hears(
        "openssl",
        &["s_client", "-quiet", "-connect", address],
        b"hello\n",
        b"hello\n",
    );
    let [host, port] = serving.words(1);
    hears("ncat", &["--ssl", host, port], b"hello\n", b"hello\n");
}

/// As the tutorials teach it: `send` of a bare message, `recv` of what comes, until the farewell.
const PYTHON_CLIENT: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((sys.argv[1], int(sys.argv[2])))
for message in ("你好", "在吗", "拜拜"):
    s.send(message.encode(sys.argv[3]))
    print(s.recv(1024).decode(sys.argv[3]), flush=True)
print("end" if s.recv(1024) == b"" else "more", flush=True)
s.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.sendto(b"dog", (sys.argv[4], int(sys.argv[5])))
print(u.recvfrom(1024)[0].decode(), flush=True)
"#;

#[test]
fn python_clients_that_send_no_newline_are_answered() {
    for (encoding, model) in [
        ("utf-8", "thread"),
        ("gbk", "process"),
        ("gb18030", "epoll-et"),
        ("utf-8", "uring"),
    ] {
        let reply = format!("reply@tcp://127.0.0.1:0?encoding={encoding}");
        let serving = Serving::start(&["--model", model], &[&reply, "hello@udp://127.0.0.1:0"]);
        let ([host, port], [udp_host, udp_port]) = (serving.words(0), serving.words(1));
        let args = ["-c", PYTHON_CLIENT, host, port, encoding, udp_host, udp_port];
        let received = "服务器已经收到你的信息";
        hears(
            "python3",
            &args,
            b"",
            format!("{received}\n{received}\nover\nend\ncat\n").as_bytes(),
        );
    }
}
