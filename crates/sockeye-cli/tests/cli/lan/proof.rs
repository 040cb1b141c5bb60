//! The LAN itself does what its tests rely on.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use super::{Host, Impairment, Lan};
use crate::sockeye::{Background, installed};

/// Where a LAN of some kind can't be made, or a program isn't installed, tests are skipped; a run of CI (which sets `CI`) fails by
/// this one.
#[test]
fn ci_makes_lans_and_has_the_programs_that_speak_to_us() {
    let impairment = Impairment::default();
    let python = |module| Command::new("/usr/bin/python3").args(["-c", module]).output();
    let there = [
        ("a LAN", Lan::new(2).is_some()),
        ("a bad LAN", Lan::impaired(2, impairment).is_some()),
        ("two LANs", Lan::joined(1, 1).is_some()),
        ("avahi-browse", installed("avahi-browse")),
        ("dbus-daemon", installed("dbus-daemon")),
        ("stdbuf", installed("stdbuf")),
        ("avahi-daemon", Path::new("/usr/sbin/avahi-daemon").exists()),
        (
            "zeroconf of Python",
            python("import zeroconf").is_ok_and(|output| output.status.success()),
        ),
    ];
    let missing = there.iter().filter(|(_, there)| !there);
    let missing: Vec<&str> = missing.map(|(what, _)| *what).collect();
    let wanted = std::env::var_os("CI").is_some();
    assert!(
        missing.is_empty() || !wanted,
        "tests were skipped for want of {missing:?}"
    );
}

/// Tells of all that comes to port 8000.
const HEAR: &str = "
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 8000))
print('bound')
while True:
    data, peer = s.recvfrom(100)
    print(data.decode(), 'from', peer[0].removeprefix('::ffff:'))
";

/// Sends a word to an address, as often as it is told.
const SAY: &str = "
import socket, sys
word, to, times = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in to else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for _ in range(int(times)):
    s.sendto(word.encode(), (to, 8000))
";

fn hear(host: &Host) -> Background {
    let heard = Background::printing(host.python(HEAR, &[]));
    heard.line_with("bound");
    heard
}

fn say(host: &Host, word: &str, to: &str, times: u32) {
    let status = host.python(SAY, &[word, to, &times.to_string()]).status();
    assert!(status.expect("Python starts").success(), "{word} to {to}");
}

#[test]
fn a_broadcast_is_heard_on_the_lan_and_not_beyond_the_router() {
    let Some((near, far, router)) = Lan::joined(2, 1) else {
        return;
    };
    let heard = [&near.hosts[1], &router, &far.hosts[0]].map(hear);
    let from = |word: &str, ip: IpAddr| Some(format!("{word} from {ip}"));
    let sender = &near.hosts[0];

    for to in ["255.255.255.255", "10.9.1.255"] {
        say(sender, "all", to, 1);
        for neighbour in &heard[..2] {
            assert_eq!(neighbour.line(), from("all", sender.v4().into()), "{to}");
        }
    }
    say(sender, "group", "ff02::1%eth0", 1);
    assert_eq!(
        heard[0].line(),
        from("group", "fe80::1".parse().expect("an address"))
    );

    // What was for all would have come before this.
    say(sender, "one", &far.hosts[0].v4().to_string(), 1);
    assert_eq!(heard[2].line(), from("one", sender.v4().into()));
    say(sender, "one", &far.hosts[0].v6().to_string(), 1);
    assert_eq!(heard[2].line(), from("one", sender.v6().into()));
}

#[test]
fn a_bad_switch_does_the_same_again() {
    let impairment = Impairment {
        seed: 7,
        loss: 20,
        reorder: 20,
        delay: 3,
    };
    let told = || {
        let lan = Lan::impaired(3, impairment)?;
        let heard = hear(&lan.hosts[2]);
        say(&lan.hosts[0], "dog", &lan.hosts[2].v4().to_string(), 100);
        assert!(heard.line().is_some());
        let relay = lan.relay.as_ref().expect("a relay");
        Some([(); 10].map(|()| relay.line()))
    };
    let [first, second] = [(); 2].map(|()| told());
    assert_eq!(first, second);
    let Some(first) = first else { return };
    let with = |word: &str| first.iter().flatten().any(|line| line.starts_with(word));
    assert!(with("lost") && with("held"), "{first:?}");
}
