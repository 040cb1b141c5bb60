//! What is measured: servers, cases, rounds. What is impossible is refused here, before anything is started.

use super::Args;
use crate::descriptors;
use crate::exit::Usage;
use anyhow::Result;
use sockeye::{Endpoint, Model, TlsClient};
use sockeye_services::load::Load;
use std::fmt;
use std::time::Duration;

/// Descriptors that a process needs beside its connections: standard streams, epoll, a ring, pipes to children.
const OTHER_DESCRIPTORS: u64 = 64;

/// What each connection adds to the limit for making them all: a hundred times what an interpreter takes for one.
const PER_CONNECTION: Duration = Duration::from_millis(20);

/// Rounds beyond which nobody waits.
const MAX_ROUNDS: usize = 1000;

const NOTHING: &str = "what is to be measured? Name an echo server, such as tcp://127.0.0.1:8080, or let servers be \
                       started with --models all or --against 'COMMAND {port}'; examples: sockeye bench --help";

/// Who is measured.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// It runs already, and is nobody's child.
    Running(Endpoint),
    /// This program's echo under a model.
    Own(Model),
    /// A shell command, in which `{port}` is to be replaced.
    Command(String),
}

/// A server in the comparison.
#[derive(Clone, Debug)]
pub(super) struct Contestant {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A shape of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) connections: usize,
    pub(super) size: usize,
    pub(super) depth: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.connections == 1 { "" } else { "s" };
        let size = super::figures::size(self.size);
        write!(
            f,
            "{} connection{many}, {size}, depth {}",
            self.connections, self.depth
        )
    }
}

/// Everything that is to be measured, and how.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) contestants: Vec<Contestant>,
    pub(super) cases: Vec<Case>,
    pub(super) rounds: usize,
    pub(super) window: Duration,
    pub(super) warm_up: Duration,
    pub(super) threads: usize,
    pub(super) workers: usize,
    pub(super) udp: bool,
    pub(super) insecure: bool,
    pub(super) pin: bool,
}

pub(super) fn make(args: Args) -> Result<Plan> {
    let contestants = contestants(&args)?;
    if contestants.is_empty() {
        return Err(Usage::new(NOTHING).into());
    }
    let started = !args.models.is_empty() || !args.against.is_empty();
    let rounds = args.rounds.unwrap_or(if started { 3 } else { 1 });
    let window = args.seconds.unwrap_or(if started { 2.0 } else { 5.0 });
    let mut cases = Vec::new();
    for &connections in &args.connections {
        for &size in &args.size {
            for &depth in &args.depth {
                let case = Case {
                    connections,
                    size,
                    depth,
                };
                if !cases.contains(&case) {
                    cases.push(case);
                }
            }
        }
    }
    let plan = Plan {
        contestants,
        cases,
        rounds,
        window: Duration::from_secs_f64(window),
        warm_up: Duration::from_secs_f64(args.warm_up),
        threads: args.threads,
        workers: args.workers,
        udp: args.udp,
        insecure: args.insecure,
        pin: !args.no_pin && started,
    };
    plan.refuse()?;
    Ok(plan)
}

fn contestants(args: &Args) -> Result<Vec<Contestant>> {
    let mut all: Vec<Contestant> = Vec::new();
    let mut add = |name: String, kind| {
        let again = all.iter().filter(|known| known.name == name).count();
        let name = if again > 0 {
            format!("{name} #{}", again + 1)
        } else {
            name
        };
        all.push(Contestant { name, kind });
    };
    if let Some(endpoint) = &args.endpoint {
        if endpoint.port() == Some(0) {
            let why = "nobody can be reached at port 0: write the port that the server said it listens at";
            return Err(Usage::new(format!("{endpoint}: {why}")).into());
        }
        add(endpoint.to_string(), Kind::Running(endpoint.clone()));
    }
    for name in &args.models {
        if name == "all" {
            Model::ALL
                .into_iter()
                .for_each(|model| add(model.to_string(), Kind::Own(model)));
            continue;
        }
        let model: Model = name
            .parse()
            .map_err(|error| Usage::new(format!("{error}, all")))?;
        add(model.to_string(), Kind::Own(model));
    }
    for command in &args.against {
        let (name, command) = named(command);
        if !command.contains("{port}") {
            return Err(Usage::new(format!(
                "--against '{command}' has no {{port}}: write it where the server takes its port, such as 'python3 server.py {{port}}'"
            ))
            .into());
        }
        add(name, Kind::Command(command));
    }
    Ok(all)
}

/// `NAME=COMMAND`, or a command whose name is itself without its port.
fn named(text: &str) -> (String, String) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && name.chars().all(plain) => {
            (name.to_owned(), command.to_owned())
        }
        _ => (
            text.replace("{port}", "")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            text.to_owned(),
        ),
    }
}

impl Plan {
    /// How many measurements there are, with those that will be skipped.
    pub(super) fn measurements(&self) -> usize {
        self.contestants.len() * self.cases.len() * self.rounds
    }

    /// The load of a case, on a server at this endpoint.
    pub(super) fn load(&self, case: Case, endpoint: Endpoint) -> sockeye::Result<Load> {
        let mut load = Load::on(endpoint);
        (load.connections, load.size, load.depth) = (case.connections, case.size, case.depth);
        (load.window, load.warm_up, load.threads) = (self.window, self.warm_up, self.threads);
        load.connect_limit += PER_CONNECTION * case.connections as u32;
        load.patience = load.patience.min(self.warm_up * 10);
        if self.insecure {
            load.tls = Some(TlsClient::unverified()?);
        }
        Ok(load)
    }

    /// The endpoint of a server that is not running yet.
    pub(super) fn endpoint(&self, port: u16) -> Endpoint {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let text = format!("{}://{address}", if self.udp { "udp" } else { "tcp" });
        text.parse()
            .unwrap_or_else(|_| unreachable!("{text} is an endpoint"))
    }

    /// Why a contestant can't do a case; `None` when it can.
    pub(super) fn impossible(&self, contestant: &Contestant, case: Case) -> Option<String> {
        let wanted = case.connections;
        let model = match contestant.kind {
            // A server for datagrams has one socket for all its peers.
            Kind::Own(model) if !self.udp => model,
            _ => return None,
        };
        let most = model.max_connections()?;
        (wanted > most)
            .then(|| format!("{model} holds at most {most} connections, and {wanted} are asked for"))
    }

    /// Refuses what can't be, as a whole or in each of its parts.
    fn refuse(&self) -> Result<()> {
        if !(1..=MAX_ROUNDS).contains(&self.rounds) {
            return Err(Usage::new(format!("--rounds must be from 1 to {MAX_ROUNDS}")).into());
        }
        let started_here = self
            .contestants
            .iter()
            .any(|one| !matches!(one.kind, Kind::Running(_)));
        if !started_here && (self.udp || self.workers != 1) {
            let why = "--udp and --workers are for servers that are started here (--models, --against); \
                       an ENDPOINT says itself what it carries";
            return Err(Usage::new(why.to_owned()).into());
        }
        if !(1..=sockeye::MAX_WORKERS).contains(&self.workers) {
            return Err(Usage::new(format!("--workers must be from 1 to {}", sockeye::MAX_WORKERS)).into());
        }
        for contestant in &self.contestants {
            let endpoint = match &contestant.kind {
                Kind::Running(endpoint) => endpoint.clone(),
                Kind::Own(_) | Kind::Command(_) => self.endpoint(0),
            };
            for case in &self.cases {
                self.load(*case, endpoint.clone())?
                    .check()
                    .map_err(|error| Usage::new(error.to_string()))?;
            }
        }
        let most = self.cases.iter().map(|case| case.connections).max().unwrap_or(0);
        allow_descriptors(most as u64)?;
        let mut reasons = Vec::new();
        for contestant in &self.contestants {
            for case in &self.cases {
                match self.impossible(contestant, *case) {
                    Some(why) => reasons.push(why),
                    None => return Ok(()),
                }
            }
        }
        Err(Usage::new(reasons.join("; ")).into())
    }
}

/// Whether both ends of so many connections may be open; the servers started here inherit the limit.
fn allow_descriptors(connections: u64) -> Result<()> {
    let needed = connections + OTHER_DESCRIPTORS;
    match descriptors::raise_limit() {
        Some(limit) if limit < needed => Err(Usage::new(format!(
            "{connections} connections need {needed} open files, and this process may have {limit}: raise the limit \
             (ulimit -Hn) first"
        ))
        .into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commands() {
        for (text, name, command) in [
            (
                "python3 server.py {port}",
                "python3 server.py",
                "python3 server.py {port}",
            ),
            ("mine=./server {port}", "mine", "./server {port}"),
            ("server --port={port}", "server --port=", "server --port={port}"),
            ("=x {port}", "=x", "=x {port}"),
        ] {
            assert_eq!(named(text), (name.to_owned(), command.to_owned()));
        }
    }

    #[test]
    fn a_case_in_words() {
        let case = Case {
            connections: 1,
            size: 16_384,
            depth: 2,
        };
        assert_eq!(case.to_string(), "1 connection, 16 KiB, depth 2");
    }
}
