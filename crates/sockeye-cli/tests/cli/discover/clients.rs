//! Clients that are given a name.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::Server;
use crate::lan::{Host, Lan};
use crate::sockeye::{until, words};
use crate::user::secret;

/// A client with a home of its own.
struct Client<'a> {
    host: &'a Host,
    home: &'a Path,
}

impl Client<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host.sockeye(args);
        command
            .env("XDG_CONFIG_HOME", self.home)
            .env("XDG_STATE_HOME", self.home);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }

    /// What it says when it has heard whom it is to go to.
    #[track_caller]
    fn told(&self, args: &[&str], part: &str) -> Output {
        let heard = |output: &Output| words(output).contains(part);
        let output = until(heard, || self.run(args));
        assert!(heard(&output), "{args:?}: {}", words(&output));
        output
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let heard = |output: &Output| !words(output).contains("nobody on this network announces");
        let output = until(heard, || self.run(args));
        assert!(output.status.success(), "{args:?}: {}", words(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn refused(&self, args: &[&str], part: &str) {
        let output = self.told(args, part);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", words(&output));
    }

    fn pins(&self) -> String {
        fs::read_to_string(self.home.join("sockeye/pins")).expect("pins")
    }
}

#[test]
fn who_wants_a_login_announces_it_and_names_are_shown_as_they_are() {
    let Some(lan) = Lan::new(2) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = Client {
        host: &lan.hosts[0],
        home: home.path(),
    };
    let _server = Server::announced(&lan.hosts[1], "Anna's café (2)", &["shop@tls://0.0.0.0:9999"]);
    let output = client.run(&["shop", "@anna's café (2)"]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said.lines().next(),
        Some("@Anna's café (2)/shop is tls://10.9.1.2:9999")
    );
    assert!(
        said.ends_with("@anna's café (2)/shop announces that it wants to know who comes: --user NAME\n"),
        "{said}"
    );
    let password = secret(home.path(), "password", "correct horse battery\n");
    let output = client.run(&[
        "shop",
        "@anna's café (2)",
        "--user",
        "ann",
        "--password-file",
        &password,
    ]);
    let said = words(&output);
    assert!(said.contains("@anna's café (2)/shop is new here"), "{said}");
    // The pin's line has its blanks between words alone.
    assert!(
        client.pins().starts_with("@anna's%20café%20(2)/shop "),
        "{}",
        client.pins()
    );
}

#[test]
fn files_are_kept_at_a_name_and_its_certificate_is_pinned_to_that() {
    let Some(lan) = Lan::new(3) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let password = secret(home.path(), "password", "correct horse battery\n");
    let client = Client {
        host: &lan.hosts[0],
        home: home.path(),
    };
    let files = |what: &[&'static str]| {
        let mut all = vec!["files"];
        all.extend(what);
        all.extend(["--user", "ann", "--password-file"]);
        all.into_iter()
            .map(str::to_owned)
            .chain([password.clone()])
            .collect::<Vec<_>>()
    };
    let ls = files(&["ls", "@Kitchen"]);
    let ls: Vec<&str> = ls.iter().map(String::as_str).collect();
    let register = files(&["register", "@kitchen"]);
    let register: Vec<&str> = register.iter().map(String::as_str).collect();

    let server = Server::announced(
        &lan.hosts[1],
        "kitchen",
        &["files@tls://0.0.0.0:9000?register=open"],
    );
    client.refused(
        &["files", "ls", "@cellar"],
        "There are\n    @kitchen/files at tls://10.9.1.2:9000",
    );
    client.done(&register);
    let note = home.path().join("note.txt");
    fs::write(&note, "milk\n").expect("a file");
    let note = note.to_string_lossy().into_owned();
    client.done(&[
        "files",
        "put",
        "@kitchen",
        "--user",
        "ann",
        "--password-file",
        &password,
        &note,
    ]);
    assert!(client.done(&ls).contains("note.txt"));
    let pins = client.pins();
    assert!(
        pins.starts_with("@kitchen/files ") && pins.lines().count() == 1,
        "{pins}"
    );

    // Whoever else goes by that name, elsewhere and with a certificate of his own, isn't trusted.
    server.end();
    let other = Server::announced(
        &lan.hosts[2],
        "Kitchen",
        &["files@tls://0.0.0.0:9000?register=open"],
    );
    client.refused(&ls, "@kitchen/files shows another certificate than before");
    other.end();
    // Nor is anybody without.
    let plain = ["files@tcp://0.0.0.0:9000?register=open&insecure=true"];
    let plain = Server::announced(&lan.hosts[2], "kitchen", &plain);
    client.refused(&ls, "was met over TLS before, and is announced without now");
    plain.end();
    assert_eq!(client.pins(), pins);
}

#[test]
fn a_certificate_that_was_met_by_its_address_is_the_one_that_is_expected() {
    let Some(lan) = Lan::new(2) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = Client {
        host: &lan.hosts[0],
        home: home.path(),
    };
    let at = format!("{}:9999", lan.hosts[1].v4());
    fs::create_dir(home.path().join("sockeye")).expect("a folder");
    let wrong = format!("{at} {}\n", "ab".repeat(32));
    fs::write(home.path().join("sockeye/pins"), &wrong).expect("a file");
    let listener = "shop@tls://0.0.0.0:9999?auth=none&encoding=utf-8";
    let _shop = Server::announced(&lan.hosts[1], "corner", &[listener]);
    // What is announced is right, and yet it isn't what was pinned.
    client.refused(
        &["shop", "@corner"],
        &format!("{at} shows another certificate than before"),
    );
    assert_eq!(client.pins(), wrong);
    fs::remove_file(home.path().join("sockeye/pins")).expect("a file");
    client.done(&["shop", &format!("tls://{at}"), "--encoding", "utf-8"]);
    // It speaks what it announces to speak.
    let script = home.path().join("script");
    fs::write(&script, "list\n").expect("a file");
    let mut visit = client.command(&["shop", "@corner"]);
    let visit = visit
        .stdin(fs::File::open(&script).expect("a file"))
        .output()
        .expect("it starts");
    let goods = String::from_utf8_lossy(&visit.stdout).into_owned();
    assert!(goods.contains("瓜子"), "{goods} {}", words(&visit));
    let pins = client.pins();
    let (by_address, by_name) = pins.trim_end().split_once('\n').expect("two lines");
    assert_eq!(by_address.replace(&at, "@corner/shop"), by_name);
}

#[test]
fn a_name_stands_for_what_it_offers() {
    let Some(lan) = Lan::new(2) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = Client {
        host: &lan.hosts[0],
        home: home.path(),
    };
    let listeners = [
        "echo@tcp://[::]:8080?auth=none",
        "echo@udp://[::]:8080",
        "discard@tcp://[::]:9?auth=none",
    ];
    let _server = Server::announced(&lan.hosts[1], "kitchen", &listeners);
    let there = lan.hosts[1].v4();
    for (name, endpoint) in [
        ("@kitchen/echo", format!("tcp://{there}:8080")),
        ("@KITCHEN/echo/udp", format!("udp://{there}:8080")),
        ("@kitchen/discard", format!("tcp://{there}:9")),
    ] {
        let output = client.told(&["info", name, "--json"], &format!(" is {endpoint}\n"));
        let json = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(json.contains(&format!(r#""target": "{endpoint}""#)), "{json}");
    }
    let asked = client.done(&["ask", "@kitchen/echo", "hello", "--timeout", "300s"]);
    assert_eq!(asked, "hello\n");
    // Who has just answered to somebody is silent for a second; who is waited for is taken all the same.
    let is_taken = |output: &Output| words(output).contains(" is tcp://");
    let output = until(is_taken, || {
        super::watch(&lan.hosts[0], &["_sockeye-echo._tcp"]).line_with("+ kitchen  echo");
        client.run(&["info", "@kitchen/echo"])
    });
    assert!(is_taken(&output), "{}", words(&output));
    client.refused(
        &["info", "@kitchen"],
        "say which, as @kitchen/discard, @kitchen/echo",
    );
    client.refused(&["info", "@cellar/echo"], "@kitchen/echo at udp://");
    client.refused(
        &["shop", "@kitchen"],
        "nobody on this network announces the service shop as @kitchen",
    );
}
