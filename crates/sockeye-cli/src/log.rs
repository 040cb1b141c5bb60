//! What is logged on standard error: lines for people, or JSON for programs.

use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::exit::Usage;
use crate::terminal::{harmless, json_line};

/// In the help, behind what a subcommand is about.
const LAST: usize = 100;

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Log more: -v each connection, -vv what the library does, -vvv all there is
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = LAST)]
    verbose: u8,
    /// What is logged: off, error, warn, info, debug, trace, or PART=LEVEL,… (else the variable RUST_LOG says)
    #[arg(long, global = true, value_name = "FILTER", display_order = LAST)]
    log: Option<String>,
}

impl Args {
    /// What is asked for on the command line counts more than the environment.
    fn filter(&self) -> Result<EnvFilter, Usage> {
        let environment = || std::env::var("RUST_LOG").ok().filter(|words| !words.is_empty());
        let words = match (&self.log, self.verbose) {
            (Some(words), _) => words.clone(),
            (None, 0) => environment().unwrap_or_else(|| "info".to_owned()),
            (None, 1) => "info,sockeye::serve=debug".to_owned(),
            (None, 2) => "debug".to_owned(),
            (None, _) => "trace".to_owned(),
        };
        if let Some(part) = self.log.as_deref().and_then(unknown) {
            let why = format!(
                "the filter of the log: `{part}` is no level: off, error, warn, info, debug or trace; for a part of the program write PART=LEVEL"
            );
            return Err(Usage::new(why));
        }
        EnvFilter::try_new(&words)
            .map_err(|error| Usage::new(format!("the filter of the log `{words}`: {error}")))
    }
}

/// A word that stands alone and is no level. The filter would take it for a part of the program, and log nothing else.
fn unknown(filter: &str) -> Option<&str> {
    let alone = |part: &&str| !part.contains(['=', '[', ':']);
    let mut parts = filter.split(',').map(str::trim).filter(alone);
    parts.find(|part| part.parse::<LevelFilter>().is_err())
}

/// Starts the log. Nothing here starts a thread, since a model of processes forks afterwards.
pub(crate) fn start(args: &Args, json: bool) -> anyhow::Result<()> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(args.filter()?)
        .with_writer(|| Careless(io::stderr()))
        .with_ansi(!json && io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false);
    match json {
        true => subscriber.event_format(JsonLines).init(),
        false => subscriber.fmt_fields(debug_fn(field).delimited(" ")).init(),
    }
    Ok(())
}

/// A field of an event in words: some are a peer's.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = harmless(&format!("{value:?}"));
    match field.name() {
        "message" => writer.write_str(&value),
        name => write!(writer, "{name}={value}"),
    }
}

/// Standard error, which may be closed: what nobody can read is no failure.
struct Careless(io::Stderr);

impl Write for Careless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object a line: `{"event":"log","time":1795229340.123,"level":"INFO","message":"closed","peer":"…"}`.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let mut line = Map::new();
        line.insert("event".to_owned(), "log".into());
        line.insert("time".to_owned(), (now.as_millis() as f64 / 1e3).into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.extend(fields.0);
        writer.write_str(&json_line(&line))
    }
}

/// Collects the fields of an event.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
