//! What `serve` says on standard error of its listeners: words for people, or JSON for programs.

use serde_json::json;
use sockeye::{Endpoint, Host, HostPort};
use sockeye_services::catalog::Service;

use super::start::Serving;
use crate::exit::tell;

/// How to say it.
pub(super) struct Report {
    pub(super) json: bool,
}

impl Report {
    /// A listener is ready.
    pub(super) fn listening(&self, serving: &Serving) {
        let (service, endpoint) = (serving.service, serving.running.endpoint());
        if self.json {
            let line = json!({
                "event": "listening",
                "service": service.name,
                "endpoint": endpoint.to_string(),
                "model": serving.model.name(),
                "try": try_it(service, &endpoint),
            });
            return tell(&line.to_string());
        }
        tell(&format!("listening {} {endpoint}", service.name));
        if serving.usual {
            tell(&format!("    try: {}", try_it(service, &endpoint)));
        }
    }

    /// A listener that nobody asked for by name can't be had.
    pub(super) fn left_out(&self, service: &Service, endpoint: &Endpoint, error: &sockeye::Error) {
        let line = match self.json {
            true => json!({
                "event": "left out",
                "service": service.name,
                "endpoint": endpoint.to_string(),
                "error": error.to_string(),
            })
            .to_string(),
            false => format!("left out {} {endpoint}: {error}", service.name),
        };
        tell(&line);
    }

    /// A signal has come.
    pub(super) fn stopping(&self) {
        let line = match self.json {
            true => json!({"event": "stopping"}).to_string(),
            false => "stopping when the connections have ended; once more to cut them off".to_owned(),
        };
        tell(&line);
    }
}

/// A command that shows the service at work.
fn try_it(service: &Service, endpoint: &Endpoint) -> String {
    let line = match endpoint.is_packet() {
        true => service.try_packets,
        false => service.try_stream,
    };
    line.replace("{nc}", &connect(endpoint))
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
