//! From the arguments to what will be looked at. Nothing is asked here but files that the user names.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Result;
use sockeye::{Endpoint, HostPort, Port, TlsClient};
use sockeye_services::ping::Ping;

use super::Args;
use crate::exit::Usage;

/// What will be looked at, and how closely.
pub(super) struct Plan {
    /// What the user asked about, as a text.
    pub(super) target: String,
    /// Where to connect; without TLS, which is a step of its own. Port 0 when names are all that is asked for.
    pub(super) endpoint: Endpoint,
    /// No port was named: the name is resolved, and nothing is connected to.
    pub(super) names_only: bool,
    pub(super) tls: Option<TlsPlan>,
    pub(super) all: bool,
    pub(super) reverse: bool,
    /// Echo requests to send; to whom is found out.
    pub(super) ping: Option<Ping>,
    /// How long each step may take.
    pub(super) limit: Duration,
}

/// How TLS is spoken.
pub(super) struct TlsPlan {
    /// Who the certificate must be for.
    pub(super) name: String,
    /// Whom to trust; an error where the machine has no list of authorities.
    pub(super) client: sockeye::Result<TlsClient>,
    /// Go on with a certificate that isn't trusted.
    pub(super) insecure: bool,
    /// Protocols to offer.
    pub(super) protocols: Vec<String>,
    /// What our clients keep the server's certificate by: its announced name, and `HOST:PORT`.
    pub(super) places: Vec<String>,
}

impl Plan {
    /// `known_as` is the name that `args.host` was found by, if it was.
    pub(super) fn new(args: &Args, known_as: Option<String>) -> Result<Self> {
        let (asked, names_only) = endpoint(&args.host, args.port.as_deref())?;
        let wants_tls = args.tls || matches!(asked, Endpoint::Tls(_));
        let tls = match wants_tls {
            true if names_only => {
                return Err(usage("--tls needs a port: `sockeye info HOST 443 --tls`"));
            }
            true => Some(tls(args, &asked, known_as)?),
            false => {
                let without = [
                    (args.insecure, "--insecure"),
                    (args.ca.is_some(), "--ca"),
                    (args.servername.is_some(), "--servername"),
                    (!args.alpn.is_empty(), "--alpn"),
                ];
                if let Some((_, option)) = without.iter().find(|(given, _)| *given) {
                    return Err(usage(format!(
                        "{option} is about TLS: add --tls, or write tls://…"
                    )));
                }
                None
            }
        };
        if args.ping && asked.host_port().is_none() {
            return Err(usage(format!(
                "--ping asks a host by its address, and {asked} has none"
            )));
        }
        let endpoint = match asked.clone() {
            Endpoint::Tls(at) => Endpoint::Tcp(at),
            other => other,
        };
        let target = match names_only {
            true => args.host.clone(),
            false => asked.to_string(),
        };
        Ok(Plan {
            target,
            endpoint,
            names_only,
            tls,
            all: args.all,
            reverse: args.reverse,
            ping: args.ping.then(|| Ping {
                count: args.count,
                interval: args.interval,
                size: args.size,
                patience: args.timeout,
                ..Ping::to((Ipv4Addr::UNSPECIFIED, 0).into())
            }),
            limit: args.timeout,
        })
    }
}

/// What there is to say to who wants to go there.
pub(crate) const PORT_0: &str = "nobody can be reached at port 0: a server asks for it to get a free one";

fn usage(why: impl Into<String>) -> anyhow::Error {
    Usage::new(why).into()
}

fn wrong(error: sockeye::Error) -> anyhow::Error {
    usage(error.to_string())
}

/// The endpoint, and whether it has no port because none was asked for.
fn endpoint(host: &str, port: Option<&str>) -> Result<(Endpoint, bool)> {
    let is_endpoint = host.contains("://")
        || Endpoint::SCHEMES
            .iter()
            .any(|scheme| host.starts_with(&format!("{scheme}:")));
    // What was typed is what an error names.
    let endpoint = match (is_endpoint, port) {
        (true, None) => host.parse().map_err(wrong)?,
        (_, Some(port)) if is_endpoint || host.parse::<HostPort>().is_ok() => {
            let why = format!("`{host}` names its port itself: leave `{port}` out");
            return Err(usage(why));
        }
        (_, Some(port)) => {
            let at = format!("{}:{port}", bracketed(host)).parse::<HostPort>();
            let advise = |error: sockeye::Error| error.advise("write HOST PORT, such as localhost 8080");
            Endpoint::Tcp(at.map_err(|error| wrong(advise(error.at(format!("{host} {port}")))))?)
        }
        (false, None) => match host.parse::<HostPort>() {
            Ok(at) => Endpoint::Tcp(at),
            Err(error) => return names(host, error).map(|endpoint| (endpoint, true)),
        },
    };
    match endpoint.host_port() {
        Some(at) if at.port == Port::Number(0) => Err(usage(format!("{endpoint}: {PORT_0}"))),
        _ => Ok((endpoint, false)),
    }
}

/// A host alone, which is no `HOST:PORT` for this reason.
fn names(host: &str, no_port: sockeye::Error) -> Result<Endpoint> {
    if host.is_empty() {
        return Err(usage("the host is missing"));
    }
    match format!("{}:0", bracketed(host)).parse() {
        Ok(at) => Ok(Endpoint::Tcp(at)),
        // It has the look of an endpoint whose scheme was forgotten, which the parser of endpoints knows to write.
        Err(_) if host.starts_with(['@', '/', '.']) => {
            Err(wrong(host.parse::<Endpoint>().err().unwrap_or(no_port)))
        }
        Err(_) if host.contains(':') => Err(wrong(no_port)),
        Err(error) => {
            let error: sockeye::Error = error;
            Err(wrong(error.at(host.escape_debug()).advise(
                "write a host name or an address, such as localhost or ::1",
            )))
        }
    }
}

/// An IPv6 address without its brackets gets them.
fn bracketed(host: &str) -> String {
    let address = host.split('%').next().unwrap_or_default();
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{host}]"),
        _ => host.to_owned(),
    }
}

fn tls(args: &Args, endpoint: &Endpoint, known_as: Option<String>) -> Result<TlsPlan> {
    if endpoint.is_packet() {
        return Err(usage("TLS goes over a stream, not over packets"));
    }
    let host = endpoint.host_port().map(|at| at.host.server_name());
    let name = args.servername.clone().or(host);
    let name = name.ok_or_else(|| usage("say who the certificate must be for: --servername NAME"))?;
    let client = match &args.ca {
        Some(file) => Ok(TlsClient::trusting_file(file).map_err(wrong)?),
        None => TlsClient::system(),
    };
    Ok(TlsPlan {
        name,
        client,
        insecure: args.insecure,
        protocols: args.alpn.clone(),
        places: known_as
            .into_iter()
            .chain(endpoint.host_port().map(ToString::to_string))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, port: Option<&str>) -> Result<String, String> {
        match endpoint(host, port) {
            Ok((endpoint, true)) => Ok(format!("names of {endpoint}")),
            Ok((endpoint, false)) => Ok(endpoint.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_target_is_written_in_many_ways() {
        for (host, port, expected) in [
            ("h", Some("80"), "tcp://h:80"),
            ("h", Some("http"), "tcp://h:http"),
            ("h:80", None, "tcp://h:80"),
            ("::1", Some("80"), "tcp://[::1]:80"),
            ("[::1]", Some("80"), "tcp://[::1]:80"),
            ("fe80::1%eth0", Some("80"), "tcp://[fe80::1%eth0]:80"),
            ("[::1]:80", None, "tcp://[::1]:80"),
            ("h", None, "names of tcp://h:0"),
            ("::1", None, "names of tcp://[::1]:0"),
            ("127.0.0.1", None, "names of tcp://127.0.0.1:0"),
            ("udp://h:53", None, "udp://h:53"),
            ("tls://h:443", None, "tls://h:443"),
            ("unix:@x", None, "unix:@x"),
        ] {
            assert_eq!(read(host, port).as_deref(), Ok(expected), "{host} {port:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_advice() {
        for (host, port, part) in [
            ("tcp://h:80", Some("80"), "leave `80` out"),
            ("tcp://h", None, "the port is missing"),
            ("http://h", None, "the schemes are tcp,"),
            ("h", Some("70000"), "65535"),
            ("h", Some("0"), "nobody can be reached at port 0"),
            ("", None, "the host is missing"),
            (
                "a b",
                Some("80"),
                "parse address a b 80: ` ` does not belong into a host name",
            ),
            (
                "a b",
                None,
                "parse address a b: ` ` does not belong into a host name; write a host name",
            ),
            (
                "@x",
                None,
                "parse endpoint @x: the scheme is missing; write unix:@x",
            ),
            ("/run/x", None, "write unix:///run/x"),
            ("h:70000", None, "parse address h:70000: port 70000 is greater"),
            ("h:80x!", None, "parse address h:80x!: `80x!` is neither"),
            ("h:80", Some("80"), "leave `80` out"),
            ("user@h", None, "parse address user@h: `@` does not belong"),
        ] {
            let error = read(host, port).expect_err(host);
            assert!(error.contains(part), "{host} {port:?}: {error}");
        }
    }
}
