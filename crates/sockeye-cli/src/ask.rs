//! `sockeye ask`: one question to one peer, over datagrams, and when to stop waiting.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use sockeye::{Endpoint, Host, format_duration};
use sockeye_proto::ask::{End, MAX_TRIES, Policy};
use sockeye_services::ask::{Answer, Ask};
use sockeye_services::background::off_loop;

use crate::cli::{some, span};
use crate::content::{Content, Format};
use crate::discovered::{Place, Wanted};
use crate::exit::{self, Usage};
use crate::info::plan::PORT_0;
use crate::interrupt;
use crate::terminal::{self, json_line};

const EXAMPLES: &str = "\
Examples:
  sockeye ask udp://127.0.0.1:8080 hello           one question, the first answer
  sockeye ask udp://example.org:7788 你好 --encoding gbk
  sockeye ask udp://10.0.0.2:8000 status --tries 5 --timeout 10s
  sockeye ask udp://10.0.0.2:8000 list --silence 500ms   all answers, until none comes for so long
  sockeye ask udp://10.0.0.2:8000 list --answers 3       three answers
  sockeye ask unixgram:/run/app.sock ping --hex
  sockeye ask @kitchen/echo hello                  whom `sockeye discover` has found

The question is asked again where no answer comes, each time with twice the patience; all tries share --timeout. To ask
everybody on a network: sockeye broadcast --wait 2s. Ctrl-C ends the wait; a second one ends it at once.

Exit codes:
  0  answered
  1  no answer, fewer than --answers, or nobody is there
  2  the arguments make no sense";

/// Ask over UDP, and print the answer
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whom: udp://HOST:PORT, unixgram:…, or a name that is announced: @kitchen/echo
    endpoint: Place,
    /// What to send
    text: String,
    /// Stop after so many answers (1, with --silence all)
    #[arg(long, value_name = "N", value_parser = some, allow_negative_numbers = true)]
    answers: Option<NonZeroUsize>,
    /// After an answer, stop when no other comes for so long
    #[arg(long, value_name = "TIME", value_parser = span)]
    silence: Option<Duration>,
    /// Ask so often at the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TRIES)))]
    tries: u32,
    /// How long to wait for the first answer, all tries together
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = span)]
    timeout: Duration,
    #[command(flatten)]
    format: Format,
}

/// What programs are told, a line each.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    Answer {
        after_us: u64,
        tries: u32,
        #[serde(flatten)]
        content: Content,
    },
    End {
        why: &'static str,
        answers: usize,
        tries: u32,
    },
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let question = args.format.encode(&args.text).map_err(Usage::new)?;
    let policy = Policy {
        timeout: args.timeout,
        tries: args.tries,
        answers: args
            .answers
            .or(args.silence.is_none().then_some(NonZeroUsize::MIN)),
        silence: args.silence,
    };
    sockeye::block_on(ask(args.endpoint, question, policy, args.format))?
}

/// Finds the peer, on a thread that is not waited for when nobody wants to know any more.
async fn dial(place: Place, question: Vec<u8>, policy: Policy) -> Result<Ask> {
    let find = move || {
        place.find(Wanted {
            service: None,
            packets_only: true,
        })
    };
    let there = off_loop(find).await??;
    let dialled = Ask::dial(one_peer(&there.endpoint)?, question, policy).await;
    Ok(dialled.map_err(perhaps_a_crowd)?)
}

/// Streams and crowds are for other commands.
fn one_peer(endpoint: &Endpoint) -> Result<&Endpoint, Usage> {
    if !endpoint.is_packet() {
        let instead = match endpoint.host_port() {
            Some(at) if endpoint.scheme() == "tls" => format!("openssl s_client -quiet -connect {at}"),
            Some(at) => format!("nc {} {}", at.host, at.port),
            None => "nc -U PATH".to_owned(),
        };
        return Err(Usage::new(format!(
            "{endpoint} carries a stream, in which nothing says where an answer ends; ask is for datagrams: udp://HOST:PORT, \
             unixgram:…; for a stream write: printf 'TEXT\\n' | {instead}"
        )));
    }
    if endpoint.port() == Some(0) {
        return Err(Usage::new(format!("{endpoint}: {PORT_0}")));
    }
    let many = match endpoint.host_port().map(|at| &at.host) {
        Some(Host::V4(ip)) => ip.is_multicast() || ip.is_broadcast(),
        Some(Host::V6(ip, _)) => ip.is_multicast(),
        _ => false,
    };
    match many {
        true => Err(Usage::new(format!(
            "{endpoint} is more than one peer; ask them by sockeye broadcast --to … --wait 2s"
        ))),
        false => Ok(endpoint),
    }
}

async fn ask(place: Place, question: Vec<u8>, policy: Policy, format: Format) -> Result<ExitCode> {
    let mut interrupt = interrupt::heard()?;
    let mut ask = tokio::select! {
        biased;
        _ = &mut interrupt => return Ok(ended(None, (0, 0), &policy, &format)),
        dialled = dial(place, question, policy) => dialled?,
    };
    loop {
        let next = tokio::select! {
            biased;
            _ = &mut interrupt => break,
            next = ask.next() => next?,
        };
        let Some(answer) = next else { break };
        if !terminal::print(&printed(&answer, ask.asked(), &format)) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let came = (ask.answers(), ask.asked());
    Ok(ended(ask.end(), came, &policy, &format))
}

/// Tells what has come of it.
fn ended(end: Option<End>, (answers, tries): (usize, u32), policy: &Policy, format: &Format) -> ExitCode {
    let why = match end {
        Some(End::Enough) => "enough",
        Some(End::Silence) => "silence",
        Some(End::TimedOut) => "timeout",
        None => "interrupted",
    };
    if format.json {
        terminal::print(&json_line(&Event::End { why, answers, tries }));
    }
    let wanted = policy.answers.map_or(1, NonZeroUsize::get);
    if answers >= wanted {
        return ExitCode::SUCCESS;
    }
    let waited = end.map(|_| policy);
    exit::tell(&format!("sockeye: {}", too_few(wanted, waited, answers, tries)));
    ExitCode::FAILURE
}

/// Which addresses are of broadcast only the system knows: it forbids to dial them.
fn perhaps_a_crowd(error: sockeye::Error) -> sockeye::Error {
    let inet = error
        .endpoint()
        .is_some_and(|endpoint| endpoint.starts_with("udp:"));
    match error.io_kind() {
        Some(ErrorKind::PermissionDenied) if inet => error.advise(
            "a network's broadcast address is more than one peer: ask them by sockeye broadcast --to ADDRESS --wait 2s",
        ),
        _ => error,
    }
}

fn printed(answer: &Answer, tries: u32, format: &Format) -> String {
    if format.json {
        return json_line(&Event::Answer {
            after_us: u64::try_from(answer.after.as_micros()).unwrap_or(u64::MAX),
            tries,
            content: format.content(&answer.bytes),
        });
    }
    format.answer(&answer.bytes)
}

/// `no answer in 3 s (3 tries)`, `1 of 2 answers, then none for 500 ms (1 try)`; `no answer (1 try)` if it was not waited to the end.
fn too_few(wanted: usize, waited: Option<&Policy>, answers: usize, tries: u32) -> String {
    let plural = if tries == 1 { "try" } else { "tries" };
    let heard = match answers {
        0 => "no answer".to_owned(),
        some => format!("{some} of {wanted} answers"),
    };
    let wait = match waited {
        None => String::new(),
        Some(Policy {
            silence: Some(silence),
            ..
        }) if answers > 0 => format!(", then none for {}", in_words(*silence)),
        Some(policy) => format!(" in {}", in_words(policy.timeout)),
    };
    format!("{heard}{wait} ({tries} {plural})")
}

/// A time with a space before its unit.
fn in_words(time: Duration) -> String {
    let time = format_duration(time);
    let at = time.find(|c: char| !c.is_ascii_digit()).unwrap_or(time.len());
    let (number, unit) = time.split_at(at);
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_has_waited_for() {
        let three = Policy::default();
        assert_eq!(too_few(1, Some(&three), 0, 3), "no answer in 3 s (3 tries)");
        assert_eq!(too_few(1, None, 0, 2), "no answer (2 tries)");
        assert_eq!(too_few(3, None, 1, 1), "1 of 3 answers (1 try)");
        let some = Policy {
            timeout: Duration::from_millis(1500),
            answers: NonZeroUsize::new(4),
            ..three
        };
        assert_eq!(too_few(4, Some(&some), 2, 1), "2 of 4 answers in 1500 ms (1 try)");
        let silence = Policy {
            silence: Some(Duration::from_secs(1)),
            ..some
        };
        let words = "2 of 4 answers, then none for 1 s (2 tries)";
        assert_eq!(too_few(4, Some(&silence), 2, 2), words);
        assert_eq!(too_few(4, Some(&silence), 0, 1), "no answer in 1500 ms (1 try)");
    }

    #[test]
    fn one_peer_is_asked() {
        let read = |text: &str| one_peer(&text.parse().expect("an endpoint")).map(drop);
        assert!(read("udp://h:53").is_ok() && read("unixgram:@x").is_ok());
        for (text, part) in [
            ("tcp://h:80", "carries a stream"),
            ("tcp://h:80", "| nc h 80"),
            ("tcp://[::1]:80", "| nc ::1 80"),
            ("tls://h:443", "| openssl s_client -quiet -connect h:443"),
            ("unix:/run/x.sock", "| nc -U PATH"),
            ("udp://255.255.255.255:8000", "sockeye broadcast"),
            ("udp://[ff02::1%lo]:8000", "sockeye broadcast"),
            ("udp://127.0.0.1:0", "nobody can be reached at port 0"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
