//! Who may use a listener: what the query says of it made into a policy, or the reason why it can't be had.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use sockeye::{Endpoint, Host};
use sockeye_proto::challenge::Digest;
use sockeye_services::auth::{Guard, Login, Policy, Register, Scheme, Secret, read_secret};
use sockeye_services::catalog::Service;
use sockeye_services::data::Data;

/// What a query has said of it.
#[derive(Default)]
pub(super) struct Said {
    pub(super) scheme: Option<Scheme>,
    pub(super) digest: Option<Digest>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) register: Option<Register>,
    pub(super) client_authority: Option<PathBuf>,
    pub(super) insecure: bool,
}

/// What is to be done about it.
#[derive(Default)]
pub(super) struct Access {
    pub(super) policy: Policy,
    /// What an operator should hear at start.
    pub(super) warnings: Vec<String>,
}

/// Whether only this machine reaches it.
pub(super) fn is_local(endpoint: &Endpoint) -> bool {
    match endpoint.host_port().map(|at| &at.host) {
        Some(Host::V4(address)) => address.is_loopback(),
        Some(Host::V6(address, _)) => address.to_canonical().is_loopback(),
        Some(Host::Name(name)) => name == "localhost",
        Some(Host::Any) => false,
        None => !matches!(endpoint, Endpoint::Vsock { .. }),
    }
}

impl Access {
    pub(super) fn of(service: &Service, endpoint: &Endpoint, said: &Said) -> Result<Self> {
        if endpoint.is_packet() {
            return Ok(Access::default()); // a datagram proves nothing
        }
        let local = is_local(endpoint);
        let scheme = said.scheme.unwrap_or(match service.login {
            Login::Own => Scheme::Scram,
            Login::InFront if !local => Scheme::Scram,
            Login::InFront => Scheme::None,
        });
        said.check(service, endpoint, scheme)?;
        let digest = said.digest.unwrap_or_default();
        let mut warnings = Vec::new();
        if let Some(danger) = danger(endpoint, scheme, digest).filter(|_| !local) {
            ensure!(said.insecure, "{}", said.ways_out(service, endpoint, &danger));
            warnings.push(danger);
        }
        if scheme == Scheme::None && service.keeps && !local {
            let danger = "whoever reaches it may use it: nothing is to be proved";
            warnings.push(danger.to_owned());
        }
        let secret = match &said.secret_file {
            Some(path) => Some(Secret {
                digest,
                bytes: read_secret(path)?.into(),
            }),
            None => None,
        };
        let usual = match scheme {
            Scheme::Scram if local => Register::Open,
            _ => Register::Closed, // who has a certificate is not to make accounts for others
        };
        Ok(Access {
            policy: Policy {
                scheme,
                register: said.register.unwrap_or(usual),
                secret,
            },
            warnings,
        })
    }

    /// What stands in front of the service, if anything does.
    pub(super) fn guard(&self, service: &Service, data: Option<&Data>) -> sockeye::Result<Option<Guard>> {
        match (service.login, self.policy.scheme) {
            (Login::Own, Scheme::Scram) => Ok(None),
            _ => Guard::new(&self.policy, data),
        }
    }

    /// Whether accounts are looked into.
    pub(super) fn has_accounts(&self) -> bool {
        matches!(self.policy.scheme, Scheme::Scram | Scheme::Cert)
    }
}

impl Said {
    /// What can be done where something is not to be had without insisting.
    fn ways_out(&self, service: &Service, endpoint: &Endpoint, danger: &str) -> String {
        if self.scheme.is_some() {
            return format!("{danger}; serve it at tls:// with auth=scram, or insist with insecure=true");
        }
        let (name, at) = (service.name, endpoint.to_string());
        let tls = match endpoint {
            Endpoint::Tcp(_) => at.replacen("tcp://", "tls://", 1),
            _ => "tls://HOST:PORT".to_owned(),
        };
        format!(
            "beyond this machine peers log in unless you say otherwise, and a login takes TLS. Serve it as {name}@{tls} (accounts: \
             `sockeye user add NAME`), or to everybody by saying so: {name}@{at}?auth=none"
        )
    }

    fn check(&self, service: &Service, endpoint: &Endpoint, scheme: Scheme) -> Result<()> {
        let challenge = scheme == Scheme::Challenge;
        if challenge {
            let needed =
                "auth=challenge needs the secret that peers must know: name its file with secret-file=PATH";
            ensure!(self.secret_file.is_some(), needed);
        }
        for (name, given, fits, needs) in [
            (
                "secret-file",
                self.secret_file.is_some(),
                challenge,
                "auth=challenge",
            ),
            ("digest", self.digest.is_some(), challenge, "auth=challenge"),
            (
                "register",
                self.register.is_some(),
                scheme == Scheme::Scram,
                "auth=scram",
            ),
            (
                "client-ca",
                self.client_authority.is_some(),
                scheme == Scheme::Cert,
                "auth=cert",
            ),
        ] {
            ensure!(fits || !given, "`{name}` is of no use without {needs}");
        }
        if scheme == Scheme::Cert {
            if !matches!(endpoint, Endpoint::Tls(_)) {
                bail!(
                    "only tls:// endpoints see certificates: serve {} there",
                    service.name
                );
            }
            ensure!(
                self.client_authority.is_some(),
                "auth=cert needs the authority that signs clients' certificates: name its file with client-ca=FILE"
            );
        }
        Ok(())
    }
}

/// What is wrong with a scheme where strangers listen in.
fn danger(endpoint: &Endpoint, scheme: Scheme, digest: Digest) -> Option<String> {
    let plain = !matches!(endpoint, Endpoint::Tls(_));
    let why = match scheme {
        Scheme::Scram if plain => {
            "without TLS, whoever listens in reads everything, and can try passwords on what it has heard"
        }
        Scheme::Challenge if plain => {
            "without TLS, whoever listens in reads everything, and can try secrets on what it has heard"
        }
        Scheme::Challenge if digest == Digest::Md5 => {
            "a digest by MD5 lets whoever relays it try many secrets fast"
        }
        _ => return None,
    };
    Some(format!("auth={scheme} at {endpoint}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_services::catalog;

    fn plan(endpoint: &str, said: &Said) -> Result<Access> {
        let echo = catalog::named("echo").expect("a service");
        Access::of(echo, &endpoint.parse().expect(endpoint), said)
    }

    fn scheme(scheme: Scheme) -> Said {
        Said {
            scheme: Some(scheme),
            ..Said::default()
        }
    }

    #[test]
    fn what_strangers_could_hear_is_asked_for_by_name_and_warned_about() {
        let said = scheme(Scheme::Scram);
        for local in [
            "tcp://127.0.0.1:1",
            "tcp://[::1]:1",
            "tcp://localhost:1",
            "unix:@x",
        ] {
            let access = plan(local, &said).expect(local);
            assert!(access.warnings.is_empty(), "{local}");
            assert_eq!(access.policy.register, Register::Open, "{local}");
        }
        for beyond in [
            "tcp://0.0.0.0:1",
            "tcp://:1",
            "tcp://[::]:1",
            "tcp://192.0.2.1:1",
            "vsock://2:1",
        ] {
            let error = plan(beyond, &said).err().expect(beyond).to_string();
            assert!(
                error.contains("insecure=true") && error.contains("tls://"),
                "{error}"
            );
            let insisting = Said {
                insecure: true,
                ..scheme(Scheme::Scram)
            };
            let access = plan(beyond, &insisting).expect(beyond);
            assert_eq!(access.warnings.len(), 1, "{beyond}");
            assert_eq!(access.policy.register, Register::Closed, "{beyond}");
        }
        let access = plan("tls://0.0.0.0:1", &said).expect("the usual way");
        assert!(access.warnings.is_empty() && access.has_accounts());
    }

    #[test]
    fn beyond_this_machine_peers_log_in_unless_they_need_not_by_name() {
        for open in ["tcp://127.0.0.1:1", "tls://[::1]:1", "unix:@x", "udp://0.0.0.0:1"] {
            let access = plan(open, &Said::default()).expect(open);
            assert_eq!(access.policy.scheme, Scheme::None, "{open}");
        }
        let access = plan("tls://0.0.0.0:1", &Said::default()).expect("with accounts");
        assert_eq!(access.policy.scheme, Scheme::Scram);
        assert!(access.warnings.is_empty() && access.has_accounts());
        for (plain, ways) in [
            (
                "tcp://0.0.0.0:1",
                ["echo@tls://0.0.0.0:1 ", "echo@tcp://0.0.0.0:1?auth=none"],
            ),
            ("tcp://:1", ["echo@tls://:1 ", "echo@tcp://:1?auth=none"]),
            (
                "vsock://2:1",
                ["echo@tls://HOST:PORT ", "echo@vsock://2:1?auth=none"],
            ),
        ] {
            let error = plan(plain, &Said::default()).err().expect(plain).to_string();
            for words in ways.into_iter().chain(["sockeye user add NAME"]) {
                assert!(error.contains(words), "{error}");
            }
            let access = plan(plain, &scheme(Scheme::None)).expect("nothing is kept");
            assert!(access.warnings.is_empty() && !access.has_accounts(), "{plain}");
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let with = |change: fn(&mut Said)| {
            let mut said = Said::default();
            change(&mut said);
            plan("tls://127.0.0.1:1", &said)
                .err()
                .map(|error| error.to_string())
        };
        for (refused, words) in [
            (
                with(|said| said.scheme = Some(Scheme::Challenge)),
                "secret-file=PATH",
            ),
            (with(|said| said.scheme = Some(Scheme::Cert)), "client-ca=FILE"),
            (
                with(|said| said.digest = Some(Digest::Md5)),
                "`digest` is of no use",
            ),
            (
                with(|said| said.register = Some(Register::Open)),
                "`register` is of no use",
            ),
            (
                with(|said| said.client_authority = Some("x".into())),
                "`client-ca` is of no use",
            ),
            (
                with(|said| said.secret_file = Some("x".into())),
                "`secret-file` is of no use",
            ),
        ] {
            let refused = refused.expect(words);
            assert!(refused.contains(words), "{refused}");
        }
        let error = plan("tcp://127.0.0.1:1", &scheme(Scheme::Cert))
            .err()
            .expect("no TLS");
        assert!(error.to_string().contains("only tls://"), "{error}");
    }
}
