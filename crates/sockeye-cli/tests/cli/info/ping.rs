//! `--ping`: on loopback, on a LAN, beyond a router, and where it isn't permitted.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{info, page};
use crate::lan::{Host, Lan};
use crate::sockeye::{run, words};

/// Runs a line of the shell on this host.
fn shell(host: &Host, line: &str) {
    let mut shell = Command::new("sh");
    let status = host.command(shell.args(["-ec", line])).status();
    assert!(status.expect("sh starts").success(), "{line}");
}

/// Lets everybody on this host ping.
fn permit(host: &Host) {
    shell(host, "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range");
}

/// What was found out from this host, and the exit code.
#[track_caller]
fn found(host: &Host, args: &[&str]) -> (Value, Option<i32>) {
    let output = host.run(&[&["info", "--json", "--ping"], args].concat());
    let report = serde_json::from_slice(&output.stdout);
    (
        report.unwrap_or_else(|error| panic!("{error}: {}", words(&output))),
        output.status.code(),
    )
}

#[test]
fn a_host_is_there_by_either_kind_of_socket() {
    let Some(lan) = Lan::new(2) else { return };
    let [here, there] = &lan.hosts[..] else {
        panic!("two hosts")
    };
    for socket in ["raw", "ping"] {
        let near = ["127.0.0.1", "::1"].map(str::to_owned);
        let far = [
            there.v4().to_string(),
            there.v6().to_string(),
            "fe80::2%eth0".to_owned(),
        ];
        for host in near.iter().chain(&far) {
            for size in [0_usize, 56, 1400] {
                let size = size.to_string();
                let args = [host, "--count", "3", "--interval", "10ms", "--size", &size];
                let (report, code) = found(here, &args);
                assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report:#}");
                let ping = &report["ping"][0];
                assert_eq!(ping["socket"], socket, "{report:#}");
                for (name, value) in [
                    ("sent", 3),
                    ("received", 3),
                    ("lost", 0),
                    ("duplicated", 0),
                    ("damaged", 0),
                ] {
                    assert_eq!(ping[name], value, "{host}: {ping:#}");
                }
                let replies = ping["replies"].as_array().expect("a list");
                for (number, reply) in (1..).zip(replies) {
                    assert_eq!((&reply["kind"], &reply["ttl"]), (&json!("reply"), &json!(64)));
                    assert_eq!(reply["sequence"], number);
                }
                let time = |name: &str| ping[name].as_u64().expect("a time");
                assert!(
                    time("min_us") <= time("avg_us") && time("avg_us") <= time("max_us"),
                    "{ping:#}"
                );
            }
        }
        permit(here);
    }
}

#[test]
fn the_greatest_packet_comes_back_in_pieces() {
    let Some(lan) = Lan::new(2) else { return };
    let there = lan.hosts[1].v4().to_string();
    let (report, code) = found(&lan.hosts[0], &[&there, "--count", "1", "--size", "65507"]);
    assert_eq!(
        (code, &report["ping"][0]["received"]),
        (Some(0), &json!(1)),
        "{report:#}"
    );
}

#[test]
fn a_router_says_what_it_cannot_reach_and_hops_are_counted() {
    let Some((near, far, router)) = Lan::joined(1, 1) else {
        return;
    };
    let here = &near.hosts[0];
    for there in [far.hosts[0].v4().to_string(), far.hosts[0].v6().to_string()] {
        let (report, _) = found(here, &[&there, "--count", "1"]);
        assert_eq!(report["ping"][0]["replies"][0]["ttl"], 63, "{report:#}");
    }
    // The kernel has two limits of how often it says so by IPv4, of which one can be taken away; the other lets five pass.
    shell(
        &router,
        "echo 0 >/proc/sys/net/ipv4/icmp_ratemask; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit",
    );
    // Nobody has these, and the router has no way to them.
    for (socket, permit) in [("raw", false), ("ping", true)] {
        if permit {
            self::permit(here);
        }
        for (nobody, why, says) in [
            ("10.200.0.1", "network unreachable", router.v4().to_string()),
            ("fd99::1", "no route there", router.v6().to_string()),
        ] {
            let (report, code) = found(here, &[nobody, "--count", "2", "--interval", "10ms"]);
            assert_eq!(code, Some(1), "{report:#}");
            let ping = &report["ping"][0];
            assert_eq!((&ping["socket"], &ping["lost"]), (&json!(socket), &json!(2)));
            assert_eq!(ping["lost_percent"], 100.0);
            for reply in ping["replies"].as_array().expect("a list") {
                assert_eq!(
                    (&reply["kind"], &reply["error"]),
                    (&json!("unreachable"), &json!(why)),
                    "{report:#}"
                );
                assert_eq!(reply["from"], says, "{report:#}");
            }
            assert_eq!(report["error"]["kind"], "unreachable");
            assert_eq!(report["error"]["step"], "ping");
            let message = report["error"]["message"].as_str().expect("words");
            let expected = format!("none of 2 requests was answered: {why}, says {says}");
            assert!(message.contains(&expected), "{message}");
        }
    }
}

#[test]
fn a_host_that_does_not_answer_is_lost_and_fails() {
    let Some(lan) = Lan::new(2) else { return };
    let [here, there] = &lan.hosts[..] else {
        panic!("two hosts")
    };
    shell(there, "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all");
    let host = there.v4().to_string();
    let args = [&host, "--count", "2", "--interval", "10ms", "--timeout", "50ms"];
    let (report, code) = found(here, &args);
    assert_eq!(
        (code, &report["error"]["kind"]),
        (Some(1), &json!("timeout")),
        "{report:#}"
    );
    assert_eq!(report["ping"][0]["lost_percent"], 100.0);
    assert_eq!(report["ping"][0]["avg_us"], json!(null));
    // No router: there is no way to begin with.
    let (report, code) = found(here, &["fd99::1"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["error"]["kind"], "unreachable", "{report:#}");
    assert!(report["ping"][0]["error"].is_string(), "{report:#}");
    let output = here.run(&[&["info", "--ping"], &args[..]].concat());
    let (page, told) = (page(&output), words(&output));
    assert!(page.contains("2 sent, 0 received, 2 lost (100.0 %)"), "{page}");
    assert!(
        told.contains("none of 2 requests was answered within 50ms; it may be down"),
        "{told}"
    );
}

/// Nobody else, without any of root's rights.
const STRANGER: [&str; 6] = [
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "--inh-caps=-all",
];

#[test]
fn who_may_not_ping_is_told_what_to_do() {
    let Some(lan) = Lan::new(1) else { return };
    let here = &lan.hosts[0];
    // Where a stranger can reach it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(open).tempdir_in("/tmp");
    let folder = folder.expect("a folder");
    let binary = folder.path().join("sockeye");
    std::fs::copy(env!("CARGO_BIN_EXE_sockeye"), &binary).expect("a copy");
    let ping = |host: &str| {
        let mut command = Command::new("setpriv");
        command.args(STRANGER).arg(&binary);
        command.args(["info", host, "--ping", "--count", "1", "--json"]);
        here.command(&command).output().expect("it starts")
    };
    for host in ["127.0.0.1", "::1"] {
        let output = ping(host);
        assert_eq!(output.status.code(), Some(1));
        let told = words(&output);
        for part in [
            "does not allow it",
            "sysctl -w net.ipv4.ping_group_range=",
            "setcap cap_net_raw+ep",
            "as root",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!(report["error"]["kind"], "denied", "{report:#}");
    }
    permit(here);
    for host in ["127.0.0.1", "::1"] {
        let output = ping(host);
        assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    }
}

#[test]
fn ctrl_c_ends_it_with_what_there_is() {
    let Some(lan) = Lan::new(1) else { return };
    let args = ["info", "--ping", "127.0.0.1", "--interval", "1h"];
    let mut pinging = lan.hosts[0].listen(&args);
    pinging.line_with("answered");
    pinging.signal(Signal::INT);
    pinging.line_with("1 sent, 1 received, 0 lost");
    assert_eq!(pinging.end().code(), Some(0));
}

#[test]
fn a_connection_is_made_beside_it() {
    let Some(lan) = Lan::new(1) else { return };
    let here = &lan.hosts[0];
    let serving = here.spawn(&["serve", "echo@tcp://127.0.0.1:8080"]);
    serving.line_with("listening");
    let (report, code) = found(here, &["127.0.0.1", "8080", "--count", "1"]);
    assert_eq!(
        (code, &report["ping"][0]["received"]),
        (Some(0), &json!(1)),
        "{report:#}"
    );
    assert!(report["connection"]["tcp"].is_object(), "{report:#}");
    let (report, code) = found(here, &["127.0.0.1", "9", "--count", "1"]);
    assert_eq!((code, &report["error"]["step"]), (Some(1), &json!("connect")));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (args, part) in [
        (&["h", "--count", "3"][..], "--ping"),
        (&["h", "--ping", "--count", "0"], "1..=65535"),
        (&["h", "--ping", "--interval", "1ms"], "write 10ms or more"),
        (&["h", "--ping", "--size", "64KiB"], "65507 bytes at the most"),
        (&["unix:@x", "--ping"], "unix:@x has none"),
    ] {
        let output = info(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", words(&output));
        assert!(words(&output).contains(part), "{args:?}: {}", words(&output));
    }
    // What is not asked for is not done.
    let output = run(&["info", "127.0.0.1", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["ping"], json!([]));
}
