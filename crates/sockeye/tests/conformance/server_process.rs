//! The server under test, from within: what its process does.
//!
//! It starts with one thread, as `process` wants it, says `ready ENDPOINT`, and then a line for each event and whatever
//! its handlers note. It reads commands from its standard input, a line each, and ends with it:
//!
//! | command | what it does | answer |
//! |---|---|---|
//! | `stop`, `cut` | stops accepting and drains, or cuts | `stopping`, `cutting` |
//! | `join` | waits until the server is through | `through`, and why if it failed |
//! | `heed` | whoever is told of the server's events goes on | - |

use crate::handlers;
use crate::spec::Spec;
use rustix::process::{Resource, Rlimit, Signal, Uid, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::set_thread_uid;
use sockeye::{Endpoint, Event, Limits, Model, Reason, Running, Server, Shutdown};
use std::fmt::Display;
use std::fs::File;
use std::io::BufRead;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Says a line in one call, so that threads and processes don't mix theirs.
pub(crate) fn say(words: impl std::fmt::Display) {
    let line = format!("{}\n", words.to_string().replace('\n', " "));
    // Without a reader there is nobody to tell.
    let _ = rustix::io::write(std::io::stdout(), line.as_bytes());
}

/// What an observer waits for that is to be held.
static HEEDED: OnceLock<()> = OnceLock::new();

pub(crate) fn run(spec: &str) -> ExitCode {
    let spec = Spec::decode(spec);
    if let Some(processes) = spec.value("processes") {
        be_somebody_with_few_processes(processes);
    }
    // A server must not outlive its test, even one that hangs.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    std::panic::set_hook(Box::new(|panic| say(format_args!("panic {panic}"))));
    // Whoever runs the tests may have left some open for all their descendants.
    let inherited = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() - 1);
    say(format_args!("born {inherited}"));
    limit_descriptors(spec.value("nofile"));
    let held = 0..spec.value("held").unwrap_or(0);
    let _held: Vec<File> = held
        .map(|_| File::open("/dev/null").expect("a descriptor"))
        .collect();
    let served = match spec.is_here() {
        true => run_here(&spec),
        false => start(&spec).map(|running| {
            let beside = introduce(&spec, &running);
            obey(&running.shutdown(), || running.join());
            drop(beside);
        }),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("failed {error}"));
            ExitCode::FAILURE
        }
    }
}

/// This thread serves; another one hears the commands.
fn run_here(spec: &Spec) -> sockeye::Result<()> {
    let model: Model = spec.text("model").unwrap_or_default().parse()?;
    let ended: Arc<OnceLock<Result<(), String>>> = Arc::default();
    let commander = sockeye::run(model, async {
        let running = start(spec)?;
        let _beside = introduce(spec, &running);
        let (shutdown, heard) = (running.shutdown(), ended.clone());
        let commander = std::thread::spawn(move || obey(&shutdown, || heard.wait().clone()));
        let end = running.ended().await;
        ended
            .set(end.map_err(|error| error.to_string()))
            .expect("one end");
        Ok::<_, sockeye::Error>(commander)
    })??;
    commander.join().expect("no command fails");
    Ok(())
}

/// Says what there is to know of a server, and starts another one in the same process if there is to be one.
fn introduce(spec: &Spec, running: &Running) -> Option<Running> {
    if let Some(der) = running.certificate_der() {
        let digits: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
        say(format_args!("certificate {digits}"));
    }
    let beside = spec.text("beside").and_then(|_| start(spec).ok());
    if let Some(beside) = &beside {
        say(format_args!("beside {}", beside.endpoint()));
    }
    say(format_args!("ready {}", running.endpoint()));
    beside
}

/// Root may have as many as it likes.
fn be_somebody_with_few_processes(count: u64) {
    let few = Rlimit {
        current: Some(count),
        maximum: Some(count),
    };
    setrlimit(Resource::Nproc, few).expect("a limit");
    let nobody_else = Uid::from_raw(0x4000_0000 | std::process::id());
    set_thread_uid(nobody_else).expect("only root asks for it");
}

/// As many as the test says, else as many as there can be.
fn limit_descriptors(limit: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = limit.or(maximum);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("a limit below the maximum");
}

fn start(spec: &Spec) -> sockeye::Result<Running> {
    let mut server = bind(spec)?.limits(limits(spec));
    server = match spec.text("observer") {
        None => server.observe(tell),
        Some("held") => server.observe(|event| {
            tell(event);
            if let Event::Closed { .. } = event {
                HEEDED.wait();
            }
        }),
        Some(panics) => {
            let panics = panics.to_owned();
            server.observe(move |event| {
                tell(event);
                panic!("{panics}");
            })
        }
    };
    if let Some(model) = spec.text("model") {
        server = server.model(model.parse()?);
    }
    if let Some(workers) = spec.value("workers") {
        server = server.workers(workers);
    }
    if let Some(micros) = spec.value("spin") {
        server = server.spin(Duration::from_micros(micros));
    }
    handlers::start(spec, server)
}

fn bind(spec: &Spec) -> sockeye::Result<Server> {
    let endpoint: Endpoint = spec.text("endpoint").unwrap_or_default().parse()?;
    if spec.text("adopt").is_none() {
        return Server::bind(endpoint);
    }
    let host = endpoint.host_port().expect("an internet address").to_string();
    let made = TcpListener::bind(host).expect("a port of the system's choice");
    let port = made.local_addr().expect("a bound socket has an address").port();
    Ok(Server::adopt(made.into(), endpoint.with_port(port)))
}

fn limits(spec: &Spec) -> Limits {
    let mut limits = Limits::default();
    let span = |name: &str| spec.value(name).map(Duration::from_millis);
    limits.connections = spec.value("connections").unwrap_or(limits.connections);
    limits.packets = spec.value("packets").unwrap_or(limits.packets);
    limits.idle = span("idle").or(limits.idle);
    limits.write = span("write").or(limits.write);
    limits.handshake = span("handshake").unwrap_or(limits.handshake);
    limits.drain = span("drain").unwrap_or(limits.drain);
    limits.quiet = span("quiet").unwrap_or(limits.quiet);
    limits
}

fn tell(event: &Event) {
    match event {
        Event::Opened { id, .. } => say(format_args!("event opened {id} ")),
        Event::Closed {
            id,
            received,
            sent,
            reason,
            ..
        } => say(format_args!(
            "event closed {id} {received} {sent} {}",
            word(reason)
        )),
        Event::Refused { why, .. } => say(format_args!("event refused {why}")),
        Event::AcceptFailed { error } => say(format_args!("event accept-failed {error}")),
        Event::Failed { error } => say(format_args!("event failed {error}")),
        Event::PacketFailed { reason, .. } => say(format_args!("event packet-failed {}", word(reason))),
        other => say(format_args!("event {other:?}")),
    }
}

fn word(reason: &Reason) -> String {
    match reason {
        Reason::Cut => "cut".to_owned(),
        other => other.to_string(),
    }
}

fn obey<E: Display>(shutdown: &Shutdown, join: impl FnOnce() -> Result<(), E>) {
    let mut join = Some(join);
    for command in std::io::stdin().lock().lines().map_while(Result::ok) {
        match command.as_str() {
            "stop" => {
                shutdown.stop();
                say("stopping");
            }
            "cut" => {
                shutdown.cut();
                say("cutting");
            }
            "join" => match join.take().map(|join| join()) {
                Some(Err(error)) => say(format_args!("through {error}")),
                _ => say("through"),
            },
            "heed" => HEEDED.set(()).expect("once is enough"),
            _ => say(format_args!("unknown command {command}")),
        }
    }
}
