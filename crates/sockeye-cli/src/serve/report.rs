//! What `serve` says on standard error of its listeners: words for people, or JSON for programs.

use std::io::ErrorKind;

use serde_json::json;
use sockeye::{Endpoint, Host, HostPort, format_duration};
use sockeye_services::auth::Scheme;
use sockeye_services::catalog::Service;
use sockeye_services::discovery::{Announced, ServiceType};

use super::start::Serving;
use crate::exit::{tell, tell_json};
use crate::hex::hex;
use crate::ports::{self, Owner, Port};
use crate::terminal::harmless;

/// How to say it.
#[derive(Clone, Copy)]
pub(super) struct Report {
    pub(super) json: bool,
}

impl Report {
    /// A listener is ready.
    pub(super) fn listening(&self, serving: &Serving) {
        let (service, endpoint) = (serving.service, serving.running.endpoint());
        let certificate = serving.running.certificate_der();
        let fingerprint = certificate.map(|der| hex(&sockeye::fingerprint(&der)));
        if self.json {
            let mut line = json!({
                "event": "listening",
                "service": service.name,
                "endpoint": endpoint.to_string(),
                "model": serving.model.name(),
                "auth": serving.scheme.to_string(),
                "try": try_it(service, &endpoint),
            });
            if let Some(fingerprint) = fingerprint {
                line["fingerprint"] = fingerprint.into();
            }
            return tell_json(&line);
        }
        tell(&format!("listening {} {endpoint}", service.name));
        if let Some(fingerprint) = fingerprint {
            tell(&format!("    certificate: {fingerprint} (SHA-256)"));
        }
        if serving.scheme == Scheme::Scram && !serving.usual {
            tell("    accounts: sockeye user add NAME");
        }
        if serving.usual {
            tell(&format!("    try: {}", try_it(service, &endpoint)));
        }
    }

    /// Something that an operator should know and may have meant.
    pub(super) fn warning(&self, what: &str) {
        match self.json {
            true => tell_json(&json!({"event": "warning", "what": what})),
            false => tell(&format!("warning: {what}")),
        }
    }

    /// Nobody else could reach it.
    pub(super) fn not_announced(&self, serving: &Serving) {
        let (service, endpoint) = (serving.service.name, serving.running.endpoint());
        match self.json {
            true => tell_json(
                &json!({"event": "not announced", "service": service, "endpoint": endpoint.to_string()}),
            ),
            false => tell(&format!(
                "not announced: {service} {endpoint}, which only this machine reaches"
            )),
        }
    }

    /// What has become of an announcement.
    pub(super) fn announced(&self, what: &Announced) {
        let (json, words) = match what {
            Announced::As { kind, name } => {
                let service = kind.service().unwrap_or_default();
                let json =
                    json!({"event": "announced", "service": service, "type": kind.to_string(), "name": name});
                (json, format!("announced {service} as {name} ({kind})"))
            }
            Announced::Renamed { from, to } => {
                let json = json!({"event": "renamed", "from": from, "to": to});
                (
                    json,
                    format!("another server on this network is called {from}: this one is {to} now"),
                )
            }
            Announced::Nowhere { kinds } => {
                let kinds: Vec<&str> = kinds.iter().filter_map(ServiceType::service).collect();
                let why =
                    "this machine has no network at which others could reach it (`ip address` shows them)";
                return self.warning(&format!("not announced yet: {}; {why}", kinds.join(", ")));
            }
            Announced::Paused { why, pause } => {
                let time = format_duration(*pause);
                return self.warning(&format!("nothing is announced for {time}: {}", harmless(why)));
            }
            Announced::Failed(why) => {
                return self.warning(&format!("nothing is announced any more: {}", harmless(why)));
            }
        };
        match self.json {
            true => tell_json(&json),
            false => tell(&words),
        }
    }

    /// Listeners that nobody asked for by name can't be had, and others can.
    pub(super) fn left_out(&self, those: &[LeftOut]) {
        match self.json {
            true => those.iter().for_each(|one| tell_json(&one.json())),
            false if those.is_empty() => {}
            false => tell(&format!("left out: {}", reasons(those))),
        }
    }

    /// A signal has come.
    pub(super) fn stopping(&self) {
        match self.json {
            true => tell_json(&json!({"event": "stopping"})),
            false => tell("stopping when the connections have ended; once more to cut them off"),
        }
    }
}

/// A listener that can't be had.
pub(super) struct LeftOut {
    pub(super) service: &'static Service,
    pub(super) endpoint: Endpoint,
    pub(super) error: sockeye::Error,
}

impl LeftOut {
    fn json(&self) -> serde_json::Value {
        json!({
            "event": "left out",
            "service": self.service.name,
            "endpoint": self.endpoint.to_string(),
            "error": self.error.to_string(),
        })
    }

    /// Its port, if that is another program's.
    fn port_taken(&self) -> Option<Port> {
        let udp = matches!(self.endpoint, Endpoint::Udp(_));
        let number = self.endpoint.port()?;
        (self.error.io_kind() == Some(ErrorKind::AddrInUse)).then_some(Port { number, udp })
    }
}

/// Why listeners can't be had: the ports that are taken together and first, with their owners and what to do.
pub(super) fn reasons(those: &[LeftOut]) -> String {
    let (taken, others): (Vec<&LeftOut>, _) = those.iter().partition(|one| one.port_taken().is_some());
    let taken: Vec<Port> = taken.into_iter().filter_map(LeftOut::port_taken).collect();
    let taken = (!taken.is_empty()).then(|| words_of_taken(&taken, &ports::owners(&taken)));
    let others = others
        .into_iter()
        .map(|one| format!("{}: {}", one.service.name, one.error));
    let all: Vec<String> = taken.into_iter().chain(others).collect();
    all.join("\nleft out: ")
}

fn words_of_taken(taken: &[Port], owners: &[Owner]) -> String {
    let with = |port: &Port| {
        let udp = !port.udp;
        match taken.contains(&Port { udp, ..*port }) {
            true => port.number.to_string(),
            false => format!("{}/{}", port.number, if port.udp { "udp" } else { "tcp" }),
        }
    };
    let mut list: Vec<String> = taken.iter().map(with).collect();
    list.dedup(); // TCP and UDP of a service stand side by side
    let owner = |one: &Owner| format!("{} (process {})", one.name, one.pid);
    let whose = match owners {
        [] => "another program has".to_owned(),
        [one] => format!("{} has", owner(one)),
        many => format!("{} have", many.iter().map(owner).collect::<Vec<_>>().join(", ")),
    };
    format!(
        "{whose} port {}\n    stop it first, or serve elsewhere, such as: sockeye serve echo@tcp://127.0.0.1:0",
        list.join(", ")
    )
}

/// A command that shows the service at work.
fn try_it(service: &Service, endpoint: &Endpoint) -> String {
    let line = match endpoint.is_packet() {
        true => service.try_packets,
        false => service.try_stream,
    };
    line.replace("{nc}", &connect(endpoint))
        .replace("{endpoint}", &endpoint.to_string())
}

/// A program that everybody has, with what it takes to reach the endpoint: as a client that ends when the talk is over.
fn connect(endpoint: &Endpoint) -> String {
    let name = endpoint.unix_name().map(ToString::to_string).unwrap_or_default();
    match endpoint {
        Endpoint::Tcp(at) => format!("nc -N {}", words(at)),
        Endpoint::Tls(at) => format!("openssl s_client -quiet -connect {}", reachable(at)),
        Endpoint::Udp(at) => format!("nc -u -w 1 {}", words(at)),
        Endpoint::Unix(_) if name.starts_with('@') => format!("socat - ABSTRACT-CONNECT:{}", &name[1..]),
        Endpoint::Unix(_) => format!("nc -N -U {name}"),
        Endpoint::UnixGram(_) => format!("socat - UNIX-SENDTO:{name},bind=/tmp/sockeye-try.sock"),
        Endpoint::UnixSeq(_) => format!("socat - UNIX-CONNECT:{name},type=5"),
        Endpoint::Vsock { cid, port } => format!("socat - VSOCK-CONNECT:{cid}:{port}"),
    }
}

/// The endpoint as a client dials it: one that listens everywhere is also here.
fn reachable(at: &HostPort) -> HostPort {
    let mut at = at.clone();
    match &at.host {
        Host::V4(any) if any.is_unspecified() => at.host = Host::V4(std::net::Ipv4Addr::LOCALHOST),
        Host::V6(any, _) if any.is_unspecified() => at.host = Host::V6(std::net::Ipv6Addr::LOCALHOST, None),
        _ => {}
    }
    at
}

/// Host and port as two words.
fn words(at: &HostPort) -> String {
    let at = reachable(at);
    format!("{} {}", at.host, at.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_services::catalog;

    #[test]
    fn ports_are_told_with_who_has_them() {
        let port = |number, udp| Port { number, udp };
        let taken = [port(7, false), port(7, true), port(9, true)];
        let owner = Owner {
            pid: 5,
            name: "nc".to_owned(),
        };
        let words = words_of_taken(&taken, &[owner]);
        assert!(words.starts_with("nc (process 5) has port 7, 9/udp\n"), "{words}");
        let words = words_of_taken(&taken[..1], &[]);
        assert!(words.starts_with("another program has port 7/tcp\n"), "{words}");
    }

    #[test]
    fn there_is_a_command_for_every_kind_of_endpoint() {
        let echo = catalog::named("echo").expect("a service");
        for (endpoint, command) in [
            ("tcp://127.0.0.1:80", "echo hello | nc -N 127.0.0.1 80"),
            ("tcp://0.0.0.0:80", "echo hello | nc -N 127.0.0.1 80"),
            ("tcp://[::]:80", "echo hello | nc -N ::1 80"),
            ("udp://127.0.0.1:80", "echo hello | nc -u -w 1 127.0.0.1 80"),
            (
                "tls://[::1]:80",
                "echo hello | openssl s_client -quiet -connect [::1]:80",
            ),
            ("unix:///run/x", "echo hello | nc -N -U /run/x"),
            ("unix:@x", "echo hello | socat - ABSTRACT-CONNECT:x"),
        ] {
            let endpoint: Endpoint = endpoint.parse().expect(endpoint);
            assert_eq!(try_it(echo, &endpoint), command);
        }
    }
}
