//! The conformance suite: each behaviour of a server is stated once and run under every model, as `behaviour::model`, and as
//! `behaviour::model-here` where the thread that starts the server serves all of it.
//!
//! The server under test is a child process of this binary ([`server_process`]), so that its descriptors, threads,
//! children and memory can be looked at from outside ([`process_facts`]); the test drives it through [`served`] and
//! talks to it with plain blocking sockets ([`client`]) that share no code with the library, over TLS with rustls' own
//! records ([`records`]).
//!
//! A behaviour is a function of a [`Model`] that panics when it isn't met. Nothing here sleeps or asserts on time: a
//! test waits for what happens, and [`PATIENCE`] only ends one that would wait for ever.

mod behaviours;
mod client;
mod dice;
mod driven;
mod handlers;
mod process_facts;
mod records;
mod served;
mod server_process;
mod spec;

use behaviours::Behaviour;
use libtest_mimic::{Arguments, Trial};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockeye::Model;
use std::process::ExitCode;
use std::time::Duration;

/// How long a test waits for what must come before it gives up: far more than a loaded machine ever takes.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    if let Ok(spec) = std::env::var(spec::VARIABLE) {
        return server_process::run(&spec);
    }
    let arguments = Arguments::from_args();
    raise_descriptor_limit();
    let trials = behaviours::all()
        .flat_map(|behaviour| Model::ALL.map(|model| trials(behaviour, model)))
        .flatten()
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Of servers that are started in the background; and of those that the starting thread serves itself, where that is another way.
fn trials((name, run): Behaviour, model: Model) -> impl Iterator<Item = Trial> {
    let ways = [("", false), ("-here", true)]
        .into_iter()
        .filter(move |(_, here)| !here || model.has_workers());
    ways.map(move |(suffix, here)| {
        Trial::test(format!("{name}::{model}{suffix}"), move || {
            spec::HERE.set(here);
            run(model);
            Ok(())
        })
    })
}

/// The clients of several tests live in this process: 500 connections each is more than the usual soft limit.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it can't be raised, the tests that need more say so themselves.
    let _ = setrlimit(Resource::Nofile, raised);
}
