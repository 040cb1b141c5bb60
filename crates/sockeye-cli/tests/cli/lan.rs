//! A LAN: hosts on a switch, each a network namespace with an interface `eth0` and a loopback of its own.
//!
//! | | |
//! |---|---|
//! | addresses | host `i` (from 1) of LAN `l` (from 1) has `10.9.l.i/24`, `fd09:0:0:l::i/64` and `fe80::i`; the router is 254 |
//! | switch | a bridge in a namespace of its own, or `lan/relay.py`, which loses, delays and reorders by a seed |
//! | names | of the process and a count, so that tests run beside each other; dropping takes all away, after a panic too |
//!
//! A machine that makes no namespaces skips these tests and says so; under CI, `lan/proof.rs` fails then.

mod namespace;
mod proof;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Output, Stdio};

use crate::sockeye::{Background, sockeye};
use namespace::{Namespace, wire};

/// The router's last byte on every LAN.
const ROUTER: u8 = 254;

/// What a bad switch does to datagrams of UDP; all else passes, so that a neighbour is always found. What happens to the
/// n-th datagram from one host to another depends on nothing but the seed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    pub(crate) seed: u64,
    /// Of a hundred, how many never arrive.
    pub(crate) loss: u8,
    /// Of a hundred, how many wait until the next of the same pair has passed.
    pub(crate) reorder: u8,
    /// The longest that one is under way, in milliseconds.
    pub(crate) delay: u32,
}

/// Hosts that hear each other.
pub(crate) struct Lan {
    pub(crate) hosts: Vec<Host>,
    /// The program that is the switch, if it isn't a bridge.
    relay: Option<Background>,
    _switch: Namespace,
}

/// A machine of the LAN.
pub(crate) struct Host {
    space: Namespace,
    lan: u8,
    number: u8,
}

impl Lan {
    /// So many hosts on a switch; `None` where that can't be made, which is said.
    pub(crate) fn new(hosts: u8) -> Option<Lan> {
        skipped(Self::build(1, hosts, None, None))
    }

    /// So many hosts on a switch that isn't a good one.
    pub(crate) fn impaired(hosts: u8, impairment: Impairment) -> Option<Lan> {
        skipped(Self::build(1, hosts, None, Some(impairment)))
    }

    /// Two LANs, and the router between them, which is on the first by `eth1` and on the second by `eth2`.
    pub(crate) fn joined(first: u8, second: u8) -> Option<(Lan, Lan, Host)> {
        let build = || {
            let space = Namespace::new("router")?;
            space.shell(
                "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
            );
            let first = Self::build(1, first, Some(&space), None)?;
            let second = Self::build(2, second, Some(&space), None)?;
            let (lan, number) = (1, ROUTER);
            Ok((first, second, Host { space, lan, number }))
        };
        skipped(build())
    }

    fn build(
        lan: u8,
        hosts: u8,
        router: Option<&Namespace>,
        impairment: Option<Impairment>,
    ) -> Result<Lan, String> {
        let switch = Namespace::new(&format!("switch{lan}"))?;
        let made = (1..=hosts).map(|number| {
            let space = Namespace::new(&format!("lan{lan}host{number}"))?;
            Ok(Host { space, lan, number })
        });
        let hosts = made.collect::<Result<Vec<_>, String>>()?;
        let mut plugs: Vec<_> = hosts
            .iter()
            .map(|h| (&h.space, "eth0".to_owned(), h.number))
            .collect();
        plugs.extend(router.map(|space| (space, format!("eth{lan}"), ROUTER)));
        let ports: Vec<_> = plugs.iter().map(|(.., number)| format!("port{number}")).collect();
        for ((space, interface, number), port) in plugs.iter().zip(&ports) {
            wire(
                space,
                interface,
                &format!("02:00:00:00:{lan:02x}:{number:02x}"),
                &switch,
                port,
            )?;
        }
        let relay = match impairment {
            None => {
                switch.bridge(&ports);
                None
            }
            Some(impairment) => Some(relay(&switch, impairment, &ports)),
        };
        for (space, interface, number) in &plugs {
            space.wait_for(interface, "state UP");
            space.ip(&addresses(lan, *number, interface));
        }
        for host in &hosts {
            host.space.ip(&routes(lan, router.is_some()));
        }
        let _switch = switch;
        Ok(Lan {
            hosts,
            relay,
            _switch,
        })
    }

    /// Waits until the relay has lost a datagram.
    pub(crate) fn has_lost(&self) {
        self.relay.as_ref().expect("a relay").line_with("lost");
    }
}

/// Says why a test can't be.
fn skipped<T>(made: Result<T, String>) -> Option<T> {
    made.inspect_err(|why| eprintln!("skipped: no network namespaces can be made: {why}"))
        .ok()
}

/// Duplicate addresses aren't looked for, so that nothing waits for that.
fn addresses(lan: u8, number: u8, interface: &str) -> Vec<String> {
    let v4 = Ipv4Addr::new(10, 9, lan, number);
    vec![
        "link set lo up".to_owned(),
        format!("addr add {v4}/24 brd + dev {interface}"),
        format!("addr add {}/64 dev {interface} nodad", v6(lan, number)),
        format!("addr add fe80::{number:x}/64 dev {interface} nodad"),
    ]
}

/// All else is beyond the router; without one, it is looked for on the LAN, as multicast and 255.255.255.255 are.
fn routes(lan: u8, router: bool) -> Vec<String> {
    let (v4, v6) = (Ipv4Addr::new(10, 9, lan, ROUTER), v6(lan, ROUTER));
    match router {
        true => vec![
            format!("route add 0.0.0.0/0 via {v4} dev eth0"),
            format!("route add ::/0 via {v6} dev eth0"),
        ],
        false => vec!["route add 0.0.0.0/0 dev eth0".to_owned()],
    }
}

fn v6(lan: u8, number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd09, 0, 0, lan.into(), 0, 0, 0, number.into())
}

fn relay(switch: &Namespace, impairment: Impairment, ports: &[String]) -> Background {
    let Impairment {
        seed,
        loss,
        reorder,
        delay,
    } = impairment;
    let numbers = [seed, loss.into(), reorder.into(), delay.into()];
    let mut program = Command::new("python3");
    program.args(["-u", "-c", include_str!("lan/relay.py")]);
    program.args(numbers.map(|number| number.to_string())).args(ports);
    let relay = Background::start(switch.command(&program));
    relay.line_with("ready");
    relay
}

impl Host {
    pub(crate) fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 9, self.lan, self.number)
    }

    pub(crate) fn v6(&self) -> Ipv6Addr {
        v6(self.lan, self.number)
    }

    /// The same program, environment and folder, on this host. Its input and outputs are to be set anew: nothing comes in.
    pub(crate) fn command(&self, command: &Command) -> Command {
        self.space.command(command)
    }

    /// The binary under test, on this host.
    pub(crate) fn sockeye(&self, args: &[&str]) -> Command {
        self.command(&sockeye(args))
    }

    /// A program of Python, on this host.
    pub(crate) fn python(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("python3");
        command.args(["-u", "-c", program]).args(args);
        self.command(&command)
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.sockeye(args).output().expect("it starts")
    }

    /// Starts the binary; what it says on its standard error is there to be waited for.
    pub(crate) fn spawn(&self, args: &[&str]) -> Background {
        let mut command = self.sockeye(args);
        command.stdout(Stdio::null());
        Background::start(command)
    }

    /// Starts the binary; what it prints on either of its outputs is there to be waited for.
    pub(crate) fn listen(&self, args: &[&str]) -> Background {
        Background::heard(self.sockeye(args))
    }
}
