//! What comes from beyond the link, or from who means no good.

use super::{Server, watch};
use crate::lan::{Host, Lan};
use crate::sockeye::{Background, until, words};
use rustix::process::Signal;
use std::process::Output;

/// Asks a machine itself, by its address, for services of echo, from any port and from that of multicast DNS; and the echo service
/// there afterwards, many times: it prints what has answered besides.
const ASK: &str = r#"
import socket, struct, sys
there = sys.argv[1]
name = b"".join(bytes([len(part)]) + part for part in (b"_sockeye-echo", b"_tcp", b"local")) + b"\0"
query = struct.pack(">6H", 7, 0, 1, 0, 0, 0) + name + struct.pack(">2H", 12, 1)
family = socket.AF_INET6 if ":" in there else socket.AF_INET
for port in (0, 5353):
    asking = socket.socket(family, socket.SOCK_DGRAM)
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # IP_MULTICAST_ALL and IPV6_MULTICAST_ALL: what others of this machine hear of groups is no answer to an address.
    level, option = (socket.IPPROTO_IPV6, 29) if ":" in there else (socket.IPPROTO_IP, 49)
    asking.setsockopt(level, option, 0)
    asking.bind(("", port))
    for _ in range(20):
        asking.sendto(query, (there, 5353))
    echo = socket.socket(family, socket.SOCK_DGRAM)
    echo.connect((there, 8080))
    for _ in range(200):
        echo.send(b"x")
        echo.recv(10)
    asking.setblocking(False)
    try:
        print("answered:", asking.recvfrom(9000))
    except BlockingIOError:
        print("silence")
"#;

#[test]
fn nothing_is_heard_nor_answered_beyond_a_router() {
    let Some((near, far, _router)) = Lan::joined(2, 2) else {
        return;
    };
    let listeners = ["echo@tcp://[::]:8080?auth=none", "echo@udp://[::]:8080"];
    let _there = Server::announced(&near.hosts[0], "near", &listeners);
    let _here = Server::announced(&far.hosts[0], "far", &listeners);
    let seen = [&near.hosts[1], &far.hosts[1]].map(|host| watch(host, &[]));
    let last = ["discard@tcp://0.0.0.0:9?auth=none"];
    // Whose address of IPv4 is heard late, on a busy machine, is told of again; all is of this side.
    let hears = |seen: &Background, name: &str, service: &str| {
        let coming = format!("+ {name}  {service}");
        loop {
            let line = seen.line().expect("a line");
            if line.starts_with(&coming) {
                return;
            }
            assert!(line[1..].starts_with(&format!(" {name}  echo")), "{line}");
        }
    };
    for (seen, name) in seen.iter().zip(["near", "far"]) {
        listeners.iter().for_each(|_| hears(seen, name, "echo"));
    }
    // What is heard of the other side, if anything, has come before what is announced last.
    let _last =
        [(&near, "near"), (&far, "far")].map(|(lan, name)| Server::announced(&lan.hosts[1], name, &last));
    for (seen, name) in seen.iter().zip(["near", "far"]) {
        hears(seen, name, "discard");
    }
    // Neither who is beyond the router nor who is on the link is answered to an address.
    for (host, there) in [
        (&far.hosts[1], near.hosts[0].v4().to_string()),
        (&far.hosts[1], near.hosts[0].v6().to_string()),
        (&near.hosts[1], near.hosts[0].v4().to_string()),
    ] {
        let asked = Background::printing(host.python(ASK, &[&there]));
        for _ in 0..2 {
            assert_eq!(asked.line().as_deref(), Some("silence"), "{there}");
        }
    }
}

/// A socket of multicast DNS.
const SOCKET: &str = r#"
import socket, struct
group, port = "224.0.0.251", 5353
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
s.bind(("", port))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("0.0.0.0"))
"#;

/// Answers every question with itself, under a name and address that somebody would rather not have.
const LIAR: &str = r#"
def labels(*parts):
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
kind = (b"_sockeye-echo", b"_tcp", b"local")
def record(name, what, data):
    return name + struct.pack(">2HIH", what, 1, 120, len(data)) + data
def answer(name, address):
    full, host = labels(name, *kind), labels(b"liar" + name[:2].hex().encode(), b"local")
    txt = b"".join(bytes([len(t)]) + t for t in (b"txtvers=1", b"auth=\x1b]0;owned\x07", b"v=\xc2\x9b2J"))
    records = [record(labels(*kind), 12, full), record(full, 33, struct.pack(">3H", 0, 0, 8080) + host),
               record(full, 16, txt), record(host, 1, socket.inet_aton(address))]
    return struct.pack(">6H", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(9000)
    if data[2] & 0x80 == 0 and b"_sockeye-echo\x04_tcp" in data:
        s.sendto(answer(b"a\x1b[2J\x1b[H\r\nb", "10.9.1.1"), (group, port))
        s.sendto(answer(b"elsewhere", "127.0.0.1"), (group, port))
"#;

/// What a client is told of whom it is to go to, when it has heard enough to say this.
#[track_caller]
fn told_of(host: &Host, name: &str, part: &str) -> Output {
    let heard = |output: &Output| words(output).contains(part);
    let output = until(heard, || host.run(&["info", name]));
    assert!(heard(&output), "{}", words(&output));
    output
}

#[test]
fn a_liar_steers_no_terminal_and_leads_nobody_off_the_link() {
    let Some(lan) = Lan::new(2) else { return };
    let liar = Background::printing(lan.hosts[0].python(&format!("{SOCKET}{LIAR}"), &[]));
    liar.line_with("ready");
    let seen = watch(&lan.hosts[1], &["echo"]);
    let line = seen.line_with("2J");
    assert!(
        line.starts_with(r"+ a\u{1b}[2J\u{1b}[H\r\nb  echo  tcp://10.9.1.1:8080  eth0  \u{1b}]0;owned\u{7}"),
        "{line}"
    );
    let json = watch(&lan.hosts[1], &["echo", "--json"]).line_with("2J");
    // A list is what was heard until it is made: on a busy machine, nothing.
    let list = || {
        let output = lan.hosts[1].run(&["discover", "echo"]);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let list = std::iter::repeat_with(list).find(|list| list.contains("2J"));
    for text in [list.unwrap_or_default(), json] {
        assert!(
            !text.contains(|letter: char| letter.is_control() && letter != '\n'),
            "{text:?}"
        );
    }
    let elsewhere = "it says that it is at 127.0.0.1, which is not on this link";
    let output = told_of(&lan.hosts[1], "@elsewhere/echo", elsewhere);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
}

/// Goes by a name that another one has, too, and asks nobody for it.
const TWIN: &str = r#"
import sys
def labels(*parts):
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
def record(name, what, data):
    return name + struct.pack(">2HIH", what, 1 if what == 12 else 0x8001, 120, len(data)) + data
kind = (b"_sockeye-discard", b"_tcp", b"local")
full, host = labels(b"twin", *kind), labels(sys.argv[1].replace(".", "-").encode(), b"local")
records = [record(labels(*kind), 12, full), record(full, 33, struct.pack(">3H", 0, 0, 9) + host),
           record(full, 16, b"\x09txtvers=1"), record(host, 1, socket.inet_aton(sys.argv[1]))]
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(9000)
    if data[2] & 0x80 == 0 and b"_sockeye-discard\x04_tcp" in data:
        s.sendto(struct.pack(">6H", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records), (group, port))
"#;

#[test]
fn two_of_a_name_are_noticed_and_neither_is_connected_to() {
    let Some(lan) = Lan::new(3) else { return };
    let twin = |host: &Host| {
        let program = format!("{SOCKET}{TWIN}");
        let twin = Background::printing(host.python(&program, &[&host.v4().to_string()]));
        twin.line_with("ready");
        twin
    };
    let one = twin(&lan.hosts[0]);
    let looked = |part: &str| words(&told_of(&lan.hosts[2], "@twin/discard", part));
    looked("@twin/discard is tcp://10.9.1.1:9");
    let other = twin(&lan.hosts[1]);
    let told = looked("several servers answer to @twin/discard");
    for part in ["at tcp://10.9.1.1:9", "at tcp://10.9.1.2:9"] {
        assert!(told.contains(part), "{told}");
    }
    drop((one, other));
}

/// What is said there.
const LINK: &str = r#"
def record(name, what, data):
    return name + struct.pack(">2HIH", what, 0x8001, 2**31 - 1, len(data)) + data
def say(records):
    s.sendto(struct.pack(">6H", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records), (group, port))
print("ready", flush=True)
"#;

/// Says more and more that nobody has asked for, and that is to be kept for ever.
const FLOOD: &str = r#"
number = 0
while True:
    number += 50
    say([record(struct.pack(">B8sB", 8, b"%08d" % (number + i), 0), 16, b"\3a=1") for i in range(50)])
"#;

/// Has every name that a machine wants for itself.
const CLAIM: &str = r#"
while True:
    data, peer = s.recvfrom(9000)
    flags, questions, at = data[2], struct.unpack(">H", data[4:6])[0], 12
    for _ in range(0 if flags & 0x80 else questions):
        start = at
        while data[at] and data[at] < 192:
            at += data[at] + 1
        # Its end may stand in a name before it.
        name, at = data[start:at].removesuffix(b"\5local"), at + (6 if data[at] else 5)
        if b"_" not in name:
            say([record(name + b"\5local\0", 1, socket.inet_aton("10.9.1.99"))])
"#;

/// The most memory that a program has had, in KiB.
fn most_memory(program: &Background) -> u64 {
    let path = format!("/proc/{}/status", program.child.id());
    let status = std::fs::read_to_string(path).expect("it is there");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("a number")
}

#[test]
fn who_floods_the_network_fills_no_memory_of_a_server() {
    let Some(lan) = Lan::new(2) else { return };
    let server = Server::announced(&lan.hosts[0], "kitchen", &["echo@tcp://0.0.0.0:8080?auth=none"]);
    // Who was stopped and goes on, perhaps in the midst of a wait, is as well guarded as before.
    for signal in [Signal::STOP, Signal::CONT].repeat(10) {
        server.serving.signal(signal);
    }
    let before = most_memory(&server.serving);
    let flood = Background::printing(lan.hosts[1].python(&format!("{SOCKET}{LINK}{FLOOD}"), &[]));
    let told = server
        .serving
        .line_with("warning: nothing is announced for 10s: ");
    assert!(told.ends_with("somebody floods the network"), "{told}");
    let taken = most_memory(&server.serving) - before;
    assert!(taken < 32 << 10, "{taken} KiB");
    drop(flood);
    server.serving.line_with("announced echo as kitchen");
    server.end();
}

#[test]
fn who_listens_to_a_flood_is_told_so() {
    let Some(lan) = Lan::new(2) else { return };
    let _flood = Background::printing(lan.hosts[1].python(&format!("{SOCKET}{LINK}{FLOOD}"), &[]));
    for args in [&["discover", "--watch"][..], &["discover", "--wait", "1h"]] {
        let output = lan.hosts[0].run(args);
        let told = words(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.ends_with("somebody floods the network\n"), "{told}");
    }
}

#[test]
fn who_claims_every_host_is_not_given_way_for_ever() {
    let Some(lan) = Lan::new(2) else { return };
    let claim = Background::printing(lan.hosts[1].python(&format!("{SOCKET}{LINK}{CLAIM}"), &[]));
    claim.line_with("ready");
    let server = Server::start(&lan.hosts[0], "kitchen", &["echo@tcp://0.0.0.0:8080?auth=none"]);
    let told = server
        .serving
        .line_with("warning: nothing is announced for 10s: ");
    assert!(
        told.contains("somebody may claim every name that it takes for itself"),
        "{told}"
    );
    drop(claim);
    server.serving.line_with("announced echo as kitchen");
    server.end();
}

/// Tells of more types than there are.
const TYPES: &str = r#"
number = 0
while True:
    number += 20
    kind = b"\4_udp\5local\0"
    types = [struct.pack(">B9sB4s", 9, b"_%08x" % ((number + i) % 4000), 4, b"_tcp") + b"\5local\0" for i in range(20)]
    say([record(b"\x09_services\7_dns-sd" + kind, 12, one) for one in types])
"#;

#[test]
fn more_types_than_anybody_could_mean_are_a_failure() {
    let Some(lan) = Lan::new(2) else { return };
    let _types = Background::printing(lan.hosts[1].python(&format!("{SOCKET}{LINK}{TYPES}"), &[]));
    let output = lan.hosts[0].run(&["discover", "--types", "--wait", "1h"]);
    let told = words(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("more is announced than can be followed") || told.contains("floods the network"),
        "{told}"
    );
}
