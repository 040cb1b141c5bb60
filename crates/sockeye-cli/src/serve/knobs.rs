//! What may be set of any listener in its query, beside the options of its socket and what its service takes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use sockeye::{Endpoint, Limits, Model, Options, format_duration, parse_duration};
use sockeye_services::shield;

use super::access::Said;

/// Looking again pays while it takes less than to sleep and be woken, which is some 50 µs: two hundred times that is
/// beyond any gain, and looks like a slip of the unit.
const MAX_SPIN: Duration = Duration::from_millis(10);

/// What a query has set, before it is known whether it can be had together.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) model: Option<Model>,
    pub(super) workers: Option<usize>,
    pub(super) spin: Duration,
    pub(super) limits: Limits,
    /// The limit of connections, if it was asked for.
    pub(super) connections: Option<usize>,
    pub(super) certificates: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) access: Said,
    pub(super) shield: shield::Policy,
    pub(super) options: Options,
}

/// One of them.
pub(super) struct Knob {
    pub(super) name: &'static str,
    /// What its value is like.
    pub(super) value: &'static str,
    pub(super) about: &'static str,
    fits: Fits,
    pub(super) set: fn(&mut Draft, &str) -> Result<()>,
}

/// Which endpoints a knob has a meaning for.
#[derive(Clone, Copy)]
enum Fits {
    All,
    Streams,
    Packets,
    Udp,
    Tls,
}

impl Knob {
    /// Why it has no meaning for this endpoint.
    pub(super) fn misfit(&self, endpoint: &Endpoint) -> Option<&'static str> {
        match self.fits {
            Fits::Streams if !endpoint.is_stream() => Some("there are no connections, only datagrams"),
            Fits::Packets if !endpoint.is_packet() => Some("there are no datagrams, only connections"),
            Fits::Udp if !matches!(endpoint, Endpoint::Udp(_)) => {
                Some("only datagrams of udp:// have forged senders")
            }
            Fits::Tls if !matches!(endpoint, Endpoint::Tls(_)) => {
                Some("only tls:// endpoints have certificates")
            }
            _ => None,
        }
    }
}

const fn knob(
    name: &'static str,
    value: &'static str,
    fits: Fits,
    set: fn(&mut Draft, &str) -> Result<()>,
    about: &'static str,
) -> Knob {
    Knob {
        name,
        value,
        about,
        fits,
        set,
    }
}

/// The table. Its names have hyphens; underscores are as good.
pub(super) const KNOBS: &[Knob] = &[
    knob(
        "model",
        "MODEL",
        Fits::All,
        |draft, text| {
            draft.model = Some(text.parse()?);
            Ok(())
        },
        "the model of concurrency",
    ),
    knob(
        "workers",
        "N",
        Fits::All,
        |draft, text| {
            draft.workers = Some(number(text)?);
            Ok(())
        },
        "threads that serve it; 0 is one per core (1)",
    ),
    knob(
        "spin",
        "TIME",
        Fits::All,
        |draft, text| {
            draft.spin = parse_duration(text)?;
            if draft.spin > MAX_SPIN {
                bail!(
                    "a core would be busy with waiting; write {} or less",
                    format_duration(MAX_SPIN)
                );
            }
            Ok(())
        },
        "how long to look again before sleeping, such as 50us (0; 10ms at most)",
    ),
    knob(
        "connections",
        "N",
        Fits::Streams,
        |draft, text| {
            draft.connections = Some(at_least_one(text)?);
            Ok(())
        },
        "connections at once; more wait in the backlog (65536)",
    ),
    knob(
        "per-address",
        "N",
        Fits::Streams,
        |draft, text| {
            draft.limits.per_address = at_least_one(text)?;
            Ok(())
        },
        "connections at once from one address that is not loopback (1024)",
    ),
    knob(
        "packets",
        "N",
        Fits::Packets,
        |draft, text| {
            draft.limits.packets = at_least_one(text)?;
            Ok(())
        },
        "datagrams being answered at once (1024)",
    ),
    knob(
        "peers",
        "near|any",
        Fits::Udp,
        |draft, text| {
            draft.shield.peers = Some(text.parse()?);
            Ok(())
        },
        "whose datagrams are answered: those from loopback and local networks (near), or all (near; hello: any)",
    ),
    knob(
        "ports",
        "safe|any",
        Fits::Udp,
        |draft, text| {
            draft.shield.ports = text.parse()?;
            Ok(())
        },
        "from which of their ports: those that are no service's, or all (safe)",
    ),
    knob(
        "rate",
        "N|off",
        Fits::Udp,
        |draft, text| {
            draft.shield.rate = at_most(text, shield::MAX_RATE)?;
            Ok(())
        },
        "answers a second for a source beyond loopback (1000)",
    ),
    knob(
        "factor",
        "N|off",
        Fits::Udp,
        |draft, text| {
            draft.shield.factor = at_most(text, shield::MAX_FACTOR)?;
            Ok(())
        },
        "how many times as long as its question an answer beyond loopback may be (3)",
    ),
    knob(
        "idle",
        "TIME|off",
        Fits::Streams,
        |draft, text| {
            draft.limits.idle = deadline(text)?;
            Ok(())
        },
        "how long a peer may say nothing (10m)",
    ),
    knob(
        "write",
        "TIME|off",
        Fits::Streams,
        |draft, text| {
            draft.limits.write = deadline(text)?;
            Ok(())
        },
        "how long a peer may take nothing (30s)",
    ),
    knob(
        "handshake",
        "TIME",
        Fits::Tls,
        |draft, text| {
            draft.limits.handshake = span(text)?;
            Ok(())
        },
        "how long a TLS handshake may take (10s)",
    ),
    knob(
        "drain",
        "TIME",
        Fits::All,
        |draft, text| {
            draft.limits.drain = parse_duration(text)?;
            Ok(())
        },
        "how long connections may go on when the server stops (10s)",
    ),
    knob(
        "quiet",
        "TIME",
        Fits::Streams,
        |draft, text| {
            draft.limits.quiet = span(text)?;
            Ok(())
        },
        "then, how long one must have been silent to be ended (500ms)",
    ),
    knob(
        "cert",
        "FILE",
        Fits::Tls,
        |draft, text| {
            draft.certificates = Some(file(text)?);
            Ok(())
        },
        "the certificate chain, PEM (one made at start for this machine)",
    ),
    knob(
        "key",
        "FILE",
        Fits::Tls,
        |draft, text| {
            draft.key = Some(file(text)?);
            Ok(())
        },
        "the certificate's key, PEM",
    ),
    knob(
        "auth",
        "SCHEME",
        Fits::Streams,
        |draft, text| {
            draft.access.scheme = Some(text.parse()?);
            Ok(())
        },
        "what peers prove: none, challenge, scram (their password), cert (none on loopback, else scram; files: scram)",
    ),
    knob(
        "register",
        "open|invite|closed",
        Fits::Streams,
        |draft, text| {
            draft.access.register = Some(text.parse()?);
            Ok(())
        },
        "who may make an account by auth=scram (open on loopback, else closed)",
    ),
    knob(
        "secret-file",
        "FILE",
        Fits::Streams,
        |draft, text| {
            draft.access.secret_file = Some(file(text)?);
            Ok(())
        },
        "the secret of auth=challenge; nobody else may read the file",
    ),
    knob(
        "digest",
        "md5|sha256",
        Fits::Streams,
        |draft, text| {
            draft.access.digest = Some(text.parse()?);
            Ok(())
        },
        "the hash function of auth=challenge (sha256)",
    ),
    knob(
        "client-ca",
        "FILE",
        Fits::Tls,
        |draft, text| {
            draft.access.client_authority = Some(file(text)?);
            Ok(())
        },
        "who signs the certificates of auth=cert, PEM",
    ),
    knob(
        "insecure",
        "true|false",
        Fits::Streams,
        |draft, text| {
            draft.access.insecure = truth(text)?;
            Ok(())
        },
        "let peers beyond this machine log in without TLS, or by MD5 (false)",
    ),
];

/// The knob of this name.
pub(super) fn named(name: &str) -> Option<&'static Knob> {
    let name = name.replace('_', "-");
    KNOBS.iter().find(|knob| knob.name == name)
}

fn number<N: FromStr>(text: &str) -> Result<N> {
    text.parse()
        .map_err(|_| anyhow!("it is no number; write it in digits"))
}

fn at_least_one(text: &str) -> Result<usize> {
    match number(text)? {
        0 => bail!("nobody could be served; write 1 or more"),
        some => Ok(some),
    }
}

/// A number with a bound, or none.
fn at_most(text: &str, most: u32) -> Result<Option<u32>> {
    match text {
        "off" | "no" | "none" => Ok(None),
        text => match number(text)? {
            some if (1..=most).contains(&some) => Ok(Some(some)),
            _ => bail!("it is not from 1 to {most}; write off for no limit"),
        },
    }
}

fn span(text: &str) -> Result<Duration> {
    let span = parse_duration(text)?;
    match span.is_zero() {
        true => bail!("nobody is that fast; write more than 0"),
        false => Ok(span),
    }
}

fn deadline(text: &str) -> Result<Option<Duration>> {
    match text {
        "off" | "no" | "none" => Ok(None),
        text => Ok(Some(span(text)?)),
    }
}

fn truth(text: &str) -> Result<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => bail!("it is neither true nor false; write true or false"),
    }
}

fn file(text: &str) -> Result<PathBuf> {
    match text {
        "" => bail!("the name of the file is missing"),
        path => Ok(path.into()),
    }
}
