//! A server under test, as the test sees it: a process that says what happens to it, and does what it is told.

use crate::PATIENCE;
use crate::client;
use crate::process_facts::{self, Facts, eventually};
use crate::spec::{Spec, VARIABLE};
use socket2::Socket;
use sockeye::{Endpoint, Model};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A server in a process of its own. Dropping it ends the process.
pub(crate) struct Served {
    process: Child,
    commands: ChildStdin,
    lines: Receiver<String>,
    /// All that it has said.
    log: Vec<String>,
    /// What of that nobody has waited for.
    unread: VecDeque<String>,
    endpoint: Endpoint,
    certificate: Option<Vec<u8>>,
}

/// How often a process must look the same before it is taken to have settled.
const SETTLED: usize = 20;

/// A connection's end, as its server told it.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) reason: String,
}

impl Closed {
    fn read(words: &str) -> Self {
        let mut words = words.splitn(3, ' ');
        let mut word = || words.next().expect("bytes received, bytes sent, reason");
        let (received, sent, reason) = (word(), word(), word());
        Closed {
            received: received.parse().expect("a count"),
            sent: sent.parse().expect("a count"),
            reason: reason.to_owned(),
        }
    }
}

impl Served {
    /// A server with this handler on a port of the system's choice.
    pub(crate) fn start(model: Model, handler: &str) -> Self {
        Self::of(&Spec::new(model, handler))
    }

    pub(crate) fn of(spec: &Spec) -> Self {
        let this = std::env::current_exe().expect("the path of this program");
        let mut program = Command::new(&this);
        if spec.text("blocks").is_some() {
            // As a program does that waits for its signals by signalfd(2) or sigwait(3).
            program = Command::new("env");
            program.arg("--block-signal").arg(this);
        }
        let mut process = program
            .env(VARIABLE, spec.encode())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process of this program");
        let commands = process.stdin.take().expect("its standard input");
        let output = process.stdout.take().expect("its standard output");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        let mut served = Served {
            process,
            commands,
            lines,
            log: Vec::new(),
            unread: VecDeque::new(),
            endpoint: spec
                .value("endpoint")
                .expect("a spec names an endpoint that can be parsed"),
            certificate: None,
        };
        let ready = served.wait_for("that it listens", |line| line.starts_with("ready "));
        served.endpoint = ready["ready ".len()..]
            .parse()
            .expect("the endpoint that the system chose");
        let certificate = served
            .log
            .iter()
            .find_map(|line| line.strip_prefix("certificate "));
        served.certificate = certificate.map(from_hex);
        served
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn connect(&self) -> Socket {
        client::connect(&self.endpoint)
    }

    /// The certificate that it shows, as DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        self.certificate.as_deref().expect("a server that speaks TLS")
    }

    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("the server's process reads its commands");
    }

    fn take_line(&mut self) -> Option<()> {
        let line = self.lines.recv_timeout(PATIENCE).ok()?;
        self.log.push(line.clone());
        self.unread.push_back(line);
        Some(())
    }

    /// The next line that is wanted; the others stay for who wants them.
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = 0;
        loop {
            if let Some(found) = (seen..self.unread.len()).find(|index| wanted(&self.unread[*index])) {
                return self.unread.remove(found).expect("it has just been found");
            }
            seen = self.unread.len();
            assert!(self.take_line().is_some(), "the server never said {what}");
        }
    }

    /// The next line that begins with these words, without them.
    pub(crate) fn wait_for_words(&mut self, words: &str) -> String {
        self.wait_for(words, |line| line.starts_with(words))[words.len()..]
            .trim()
            .to_owned()
    }

    /// Waits for the next connection to end.
    pub(crate) fn wait_for_closed(&mut self) -> Closed {
        let line = self.wait_for_words("event closed ");
        let (_, words) = line.split_once(' ').expect("its number first");
        Closed::read(words)
    }

    /// Waits for this connection to end; the first was 1.
    pub(crate) fn wait_for_closed_of(&mut self, id: u64) -> Closed {
        Closed::read(&self.wait_for_words(&format!("event closed {id} ")))
    }

    /// How many of the lines that have been seen so far began with these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.log.iter().filter(|line| line.starts_with(words)).count()
    }

    /// Whether the first line that began with `early` came before the first that began with `late`.
    pub(crate) fn said_in_order(&self, early: &str, late: &str) -> bool {
        let place = |words: &str| self.log.iter().position(|line| line.starts_with(words));
        place(early).is_some_and(|early| place(late).is_none_or(|late| early < late))
    }

    pub(crate) fn stop(&mut self) {
        self.tell("stop");
        self.wait_for("that it stops", |line| line == "stopping");
    }

    pub(crate) fn cut(&mut self) {
        self.tell("cut");
        self.wait_for("that it cuts", |line| line == "cutting");
    }

    /// Waits until it is through; the process stays.
    pub(crate) fn join(&mut self) {
        self.tell("join");
        self.wait_for("that it is through", |line| line == "through");
    }

    /// Where the server beside it listens.
    pub(crate) fn beside(&self) -> Endpoint {
        let said = self.log.iter().find_map(|line| line.strip_prefix("beside "));
        let endpoint = said.expect("a spec with a server beside");
        endpoint.parse().expect("an endpoint")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn facts(&self) -> Facts {
        process_facts::facts(self.pid())
    }

    /// What it has when nobody is connected: after the first who was, for some of it comes with that one.
    pub(crate) fn baseline(&mut self) -> Facts {
        drop(self.connect());
        self.wait_for_closed();
        // That one's thread or process may still be on its way out.
        let mut last = (self.facts(), 0);
        eventually(
            "settled",
            || {
                let now = self.facts();
                last = (now, if now == last.0 { last.1 + 1 } else { 0 });
                last
            },
            |(_, same)| *same == SETTLED,
        )
        .0
    }

    /// Waits until it has no more of anything than it had then.
    pub(crate) fn expect_back_at(&self, before: Facts) {
        eventually(
            "back to what it had",
            || (self.facts(), before),
            |(now, _)| {
                now.descriptors <= before.descriptors
                    && now.threads <= before.threads
                    && now.processes <= before.processes
            },
        );
    }

    /// A new client is served as if nothing had happened.
    pub(crate) fn expect_alive(&mut self) {
        let client = self.connect();
        client::exchange(&client, b"still there?");
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal digits");
            u8::from_str_radix(pair, 16).expect("two hexadecimal digits")
        })
        .collect()
}

impl Drop for Served {
    fn drop(&mut self) {
        process_facts::end(&process_facts::family(self.pid()));
        let _ = self.process.wait();
        if std::thread::panicking() {
            self.log.extend(self.lines.try_iter());
            eprintln!("the server at {} had said:", self.endpoint);
            self.log.iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}
