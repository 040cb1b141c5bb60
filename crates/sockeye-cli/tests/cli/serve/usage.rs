//! What can't be had is refused with the reason, before anything is bound.

use crate::sockeye::{run, sockeye, words};

#[test]
fn impossible_combinations_are_refused_with_the_reason() {
    for (args, expected) in [
        (
            "echo@tcp://127.0.0.1:0?model=select&connections=2000",
            "select(2) promises room for 1024 descriptors only",
        ),
        ("echo@tcp://127.0.0.1:0?model=thread&workers=2", "no workers"),
        ("--model process --workers 4 echo@tcp://127.0.0.1:0", "no workers"),
        (
            "echo@tcp://127.0.0.1:0?workers=100000",
            "ask for 1024 at the most",
        ),
        (
            "echo@tcp://127.0.0.1:0?connections=99999999999",
            "raise the hard limit",
        ),
        (
            "echo@tcp://127.0.0.1:0?framing=lines",
            "has no option `framing` (it is one of reply",
        ),
        (
            "reply@udp://127.0.0.1:0?framing=lines",
            "each datagram is one message",
        ),
        (
            "reply@tcp://127.0.0.1:0?encoding=utf-16",
            "a newline is not one byte in it",
        ),
        (
            "echo@udp://127.0.0.1:0?connections=3",
            "there are no connections, only datagrams",
        ),
        (
            "echo@tcp://127.0.0.1:0?packets=3",
            "there are no datagrams, only connections",
        ),
        (
            "echo@udp://127.0.0.1:0?cert=a&key=b",
            "only tls:// endpoints have certificates",
        ),
        ("echo@tcp://127.0.0.1:0?peers=any", "forged senders"),
        ("echo@unixgram:@x?rate=5", "forged senders"),
        ("echo@tls://127.0.0.1:0?cert=a", "without `key`"),
        ("echo@tls://127.0.0.1:0?key=a", "without `cert`"),
        (
            "echo@tls://127.0.0.1:0?cert=/no/such&key=/no/such",
            "read TLS certificates /no/such: ",
        ),
        (
            "reply@tcp://127.0.0.1:0?rules=/no/such",
            "set rules=/no/such: No such file",
        ),
    ] {
        refused(&args.split(' ').collect::<Vec<_>>(), expected);
    }
}

#[test]
fn slips_of_the_pen_are_told_with_what_was_meant() {
    for (argument, expected) in [
        (
            "ehco@tcp://127.0.0.1:0",
            "no service `ehco` (did you mean echo?); the services are echo, discard",
        ),
        (
            "echo@tcp://127.0.0.1:0?nodealy=1",
            "has no option `nodealy` (did you mean nodelay?)",
        ),
        (
            "reply@tcp://127.0.0.1:0?modl=x",
            "(did you mean model?)\nThere are options of\n  the listener:  model,",
        ),
        (
            "reply@tcp://127.0.0.1:0?modl=x",
            "  reply:         rule, rules, framing",
        ),
        ("echo@tcp://127.0.0.1:0?spin=11ms", "write 10ms or less"),
        (
            "echo@tcp://127.0.0.1:0?what=1",
            "  the listener:  model, workers, spin",
        ),
        (
            "echo@tcp://127.0.0.1:0?model=tread",
            "there is no model \"tread\"; the models are process, thread",
        ),
        (
            "echo@tcp://127.0.0.1:0?idle=5",
            "idle=5: parse duration 5: the unit is missing",
        ),
        ("echo@tcp://127.0.0.1:0?idle=0s", "more than 0"),
        ("echo@tcp://127.0.0.1:0?connections=0", "write 1 or more"),
        ("echo@tcp://127.0.0.1:0?connections=few", "write it in digits"),
        (
            "echo@tcp://127.0.0.1:0?nodelay=x",
            "set option nodelay=x: it is neither true nor false; write true or false\n",
        ),
        ("echo@tcp://127.0.0.1:0?idle=1s&idle=2s", "stands there twice"),
        ("echo@tcp://127.0.0.1:0?idle=%zz", "two hexadecimal digits"),
        (
            "echo@tcp://127.0.0.1",
            "the port is missing; write tcp://HOST:PORT",
        ),
        ("echo@unix://host:80", "unix:///PATH"),
        ("tcp://127.0.0.1:0", "Write SERVICE@ENDPOINT"),
        (
            "reply@tcp://127.0.0.1:0?rule=hello",
            "no `=>` in it: write PATTERN => ANSWER",
        ),
    ] {
        refused(&[argument], expected);
    }
    refused(&["--no-such-option"], "--no-such-option");
    refused(&["--model", "x"], "there is no model");
    refused(&["--workers", "-1"], "write a whole number");
    refused(
        &["--log", "a=b=c", "echo@tcp://127.0.0.1:0"],
        "the filter of the log",
    );
    refused(&["--log", "inof", "echo@tcp://127.0.0.1:0"], "`inof` is no level");
}

#[test]
fn what_shields_others_is_told_in_words_that_there_are() {
    for (argument, expected) in [
        (
            "echo@udp://127.0.0.1:0?peers=all",
            "there are no peers \"all\"; write near or any",
        ),
        (
            "echo@udp://127.0.0.1:0?ports=x",
            "there are no ports \"x\"; write safe or any",
        ),
        ("echo@udp://127.0.0.1:0?rate=0", "from 1 to 1000000; write off"),
        (
            "echo@udp://127.0.0.1:0?factor=99999",
            "from 1 to 10000; write off",
        ),
    ] {
        refused(&[argument], expected);
    }
}

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let output = run(&[&["serve"], args].concat());
    let words = words(&output);
    assert!(words.contains(expected), "{args:?}: {words}");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
    assert!(!words.contains("listening"), "{args:?}: {words}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

/// What is not clap's to break: the tables and examples are the same on every terminal, and fit on it.
#[test]
fn help_fits_on_every_terminal() {
    for command in [
        &[][..],
        &["serve"],
        &["info"],
        &["bench"],
        &["user"],
        &["discover"],
    ] {
        for help in ["-h", "--help"] {
            let shown = |columns: &str| {
                let mut command = sockeye(&[command, &[help]].concat());
                let output = command.env("COLUMNS", columns).output().expect("it starts");
                String::from_utf8(output.stdout).expect("text")
            };
            let (narrow, wide) = (shown("80"), shown("100"));
            assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
            let tables = |text: &str| {
                let options = text.find("Print version").expect("an option");
                text[options..].to_owned()
            };
            assert_eq!(tables(&narrow), tables(&wide));
        }
    }
    let output = run(&["--help"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Examples:\n  sockeye serve"));
}

#[test]
fn help_shows_what_there_is() {
    let output = run(&["serve", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8_lossy(&output.stdout);
    for word in [
        "echo",
        "8080/tcp+udp",
        "max-message=SIZE",
        "peers=near|any",
        "per-address=N",
        "congestion",
        "Examples:",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}
