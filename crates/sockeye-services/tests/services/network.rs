//! A network of a test's own, whose addresses are nobody else's, and in which senders may be forged.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use rustix::net::{AddressFamily, SendFlags, SocketType, bind, ipproto, sendto, socket};

/// Tells the test that it is inside.
const INSIDE: &str = "SOCKEYE_TEST_NETWORK";

/// Addresses in it that are not loopback, though nobody else's.
pub(crate) const HOSTS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(10, 77, 0, 1),
    Ipv4Addr::new(10, 77, 0, 2),
    Ipv4Addr::new(10, 77, 0, 3),
];

/// Runs the test of this name once more, inside; it is left out, with a word, where the system permits no such network.
pub(crate) fn inside(test: &str, behaviour: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return behaviour();
    }
    let mut words = vec!["--net"];
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user");
    }
    let permitted = Command::new("unshare").args(&words).arg("true").output();
    match permitted {
        Ok(output) if output.status.success() => {}
        other => return eprintln!("left out: no network of its own: {other:?}"),
    }
    let addresses = HOSTS
        .map(|host| format!("ip address add {host}/32 dev lo && "))
        .concat();
    let script = format!("ip link set lo up && {addresses} exec \"$0\" \"$@\"");
    let this = std::env::current_exe().expect("this program");
    let output = Command::new("unshare")
        .args(&words)
        .args(["sh", "-c", &script])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "no test is named {test}: {said}");
}

/// Sends a datagram in the name of another socket.
pub(crate) fn forge(from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    let IpAddr::V4(_) = from.ip() else {
        panic!("the checksum may be left out over IPv4 only");
    };
    let length = u16::try_from(8 + bytes.len()).expect("a short datagram");
    let mut datagram = Vec::new();
    for word in [from.port(), to.port(), length, 0] {
        datagram.extend_from_slice(&word.to_be_bytes());
    }
    datagram.extend_from_slice(bytes);
    let raw =
        socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::UDP)).expect("inside it is permitted");
    bind(&raw, &SocketAddr::new(from.ip(), 0)).expect("an address of this network");
    sendto(&raw, &datagram, SendFlags::empty(), &SocketAddr::new(to.ip(), 0)).expect("send");
}
