//! Arguments that make no sense, the help, colours.

use super::{info, page};
use crate::sockeye::{installed, words};

#[test]
fn wrong_arguments_are_usage_errors_that_say_what_to_write() {
    for (args, part) in [
        (&[][..], "HOST"),
        (&["h", "70000"], "65535"),
        (&["h", "0"], "nobody can be reached at port 0"),
        (&["tcp://h:80", "80"], "leave `80` out"),
        (&["http://h"], "the schemes are tcp"),
        (&["h", "80", "--timeout", "0s"], "nothing can be done in no time"),
        (&["h", "80", "--timeout", "soon"], "5s"),
        (&["h", "--tls"], "--tls needs a port"),
        (&["h", "80", "--insecure"], "add --tls"),
        (&["h", "80", "--ca", "x.pem"], "add --tls"),
        (&["h", "443", "--tls", "--ca", "no/such.pem"], "no/such.pem"),
        (&["udp://h:1", "--tls"], "TLS goes over a stream"),
        (&["unix:@x", "--tls"], "--servername NAME"),
    ] {
        let output = info(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", words(&output));
        assert!(words(&output).contains(part), "{args:?}: {}", words(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn the_help_has_examples() {
    let output = info(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = page(&output);
    for part in [
        "sockeye info localhost 8080",
        "--servername",
        "--reverse",
        "Exit codes:",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
}

/// `script` gives a program a terminal; the answer of its run in one, in this environment.
fn on_a_terminal(environment: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new("script");
    let line = format!("{} info 127.0.0.1", env!("CARGO_BIN_EXE_sockeye"));
    command.args(["-qec", &line, "/dev/null"]);
    command
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(environment.iter().copied());
    command.stdin(std::process::Stdio::null());
    String::from_utf8(command.output().expect("script starts").stdout).expect("text")
}

#[test]
fn a_terminal_gets_colours_unless_it_has_none_or_nobody_wants_them() {
    if !installed("script") {
        return;
    }
    assert!(on_a_terminal(&[]).contains("\x1b[1;36mresolve\x1b[0m"));
    assert!(!on_a_terminal(&[("NO_COLOR", "1")]).contains('\x1b'));
    assert!(!on_a_terminal(&[("TERM", "dumb")]).contains('\x1b'));
}
