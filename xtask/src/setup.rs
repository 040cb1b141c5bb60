//! `cargo xtask setup`: the Debian packages that the tests use, installed where they are missing.
//!
//! What cannot be installed is said and passed over: the tests that need it say so themselves.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::options::Options;
use crate::step;

/// Who uses a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// `cargo xtask test`
    Tests,
    /// `cargo xtask bench`
    Bench,
}

/// What shows that a package is there.
enum Proof {
    Program(&'static str),
    File(&'static str),
}
use For::{Bench, Tests};
use Proof::{File, Program};

struct Package {
    name: &'static str,
    proof: Proof,
    used: For,
    why: &'static str,
}

const fn package(name: &'static str, proof: Proof, used: For, why: &'static str) -> Package {
    Package {
        name,
        proof,
        used,
        why,
    }
}

/// The one list. A test that starts a program of the system has its package here.
const PACKAGES: &[Package] = &[
    package(
        "netcat-openbsd",
        Program("nc.openbsd"),
        Tests,
        "nc as users have it, against every service",
    ),
    package(
        "ncat",
        Program("ncat"),
        Tests,
        "Nmap's netcat, against every service",
    ),
    package("socat", Program("socat"), Tests, "Unix, SEQPACKET and TLS peers"),
    package(
        "inetutils-telnet",
        Program("telnet"),
        Tests,
        "telnet against the line services",
    ),
    package(
        "openssl",
        Program("openssl"),
        Tests,
        "s_client and s_server as TLS peers",
    ),
    package("curl", Program("curl"), Tests, "an HTTP client as a peer"),
    package(
        "python3",
        Program("python3"),
        Tests,
        "the tutorials' own socket programs as peers",
    ),
    package(
        "netbase",
        File("/etc/services"),
        Tests,
        "service names such as tcp://host:http",
    ),
    package(
        "iproute2",
        Program("ip"),
        Tests,
        "interfaces and network namespaces",
    ),
    package(
        "procps",
        Program("ps"),
        Tests,
        "children and zombies of the process model",
    ),
    package(
        "avahi-daemon",
        File("/usr/sbin/avahi-daemon"),
        Tests,
        "another responder of multicast DNS",
    ),
    package(
        "avahi-utils",
        Program("avahi-browse"),
        Tests,
        "what Avahi sees, and what it announces",
    ),
    package(
        "dbus-daemon",
        Program("dbus-daemon"),
        Tests,
        "the bus by which one talks to Avahi",
    ),
    package(
        "python3-zeroconf",
        File("/usr/lib/python3/dist-packages/zeroconf"),
        Tests,
        "Python's DNS-SD, as it sees and is seen",
    ),
    package("gcc", Program("gcc"), Bench, "the reference servers in C"),
    package(
        "libc6-dev",
        File("/usr/include/stdio.h"),
        Bench,
        "the reference servers in C",
    ),
    package(
        "liburing-dev",
        File("/usr/include/liburing.h"),
        Bench,
        "the io_uring reference server",
    ),
];

pub(crate) const HELP: &str = "\
usage: cargo xtask setup [--bench]

Installs the Debian packages that the tests use, where they are missing. It needs root or sudo.

  --bench   those that the reference servers of `cargo xtask bench` are built with, too
";

/// Installs what is missing, and fails where something still is.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args, &["--bench"], &[])?;
    let mut still = install(Tests);
    if options.has("--bench") {
        still.extend(install(Bench));
    }
    if !still.is_empty() {
        bail!("still missing: {}", still.join(" "));
    }
    println!("everything is there");
    Ok(())
}

/// Installs what is missing of the packages for `user`; returns the names of those that are missing still.
pub(crate) fn install(user: For) -> Vec<&'static str> {
    let missing = missing(user);
    if missing.is_empty() {
        return Vec::new();
    }
    step::announce("setup: these Debian packages are missing");
    for package in &missing {
        println!("   {:17} {}", package.name, package.why);
    }
    let names: Vec<_> = missing.iter().map(|p| p.name).collect();
    if let Err(e) = apt(&names) {
        println!("   cannot install them: {e:#}");
        println!(
            "   going on without; by hand: apt-get install {}",
            names.join(" ")
        );
    }
    self::missing(user).iter().map(|p| p.name).collect()
}

fn missing(user: For) -> Vec<&'static Package> {
    let there = |p: &Package| match p.proof {
        Program(name) => step::installed(name),
        File(path) => Path::new(path).exists(),
    };
    PACKAGES.iter().filter(|p| p.used == user && !there(p)).collect()
}

fn apt(names: &[&str]) -> Result<()> {
    if !step::installed("apt-get") {
        bail!("there is no apt-get here");
    }
    let root = is_root();
    if !root && !step::installed("sudo") {
        bail!("this needs root, and there is no sudo");
    }
    if let Err(e) = step::run(apt_get(root).args(["update", "-q"])) {
        println!("   {e:#}; trying with the lists that are there");
    }
    step::run(
        apt_get(root)
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(names),
    )
}

/// Another apt at work is waited for, this many seconds: a fresh machine often updates itself.
const LOCK: &str = "DPkg::Lock::Timeout=120";

fn apt_get(root: bool) -> Command {
    let mut command = if root {
        step::program("env")
    } else {
        step::program("sudo")
    };
    if !root && !std::io::stdin().is_terminal() {
        command.arg("-n"); // nobody is there to type a password
    }
    if !root {
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", LOCK]);
    command
}

/// The effective user, from the kernel: the second number of `Uid:`.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:"));
    uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}
