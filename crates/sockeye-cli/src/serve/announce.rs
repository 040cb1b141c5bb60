//! What is announced of the listeners, by multicast DNS.

use std::net::IpAddr;

use sockeye::{Endpoint, Host, Port, fingerprint};
use sockeye_services::discovery::{Announcer, Facts, Offer, Reach, ServiceType};

use super::report::Report;
use super::start::Serving;

/// Announces those that other machines reach. What can't be announced is said, and is served all the same.
///
/// It has threads: whatever forks has done so before.
pub(super) fn start(serving: &[Serving], name: &str, report: Report) -> Option<Announcer> {
    let (mut offers, mut local) = (Vec::new(), Vec::new());
    for one in serving {
        match offer(one) {
            Some(offer) => offers.push(offer),
            None => local.push(one),
        }
    }
    if offers.is_empty() {
        report.warning(
            "nothing is announced: no listener can be reached from other machines; serve at 0.0.0.0 or [::], such as \
             files@tls://0.0.0.0:9000",
        );
        return None;
    }
    local.iter().for_each(|one| report.not_announced(one));
    let tell = move |what| report.announced(&what);
    match Announcer::start(name, offers, tell) {
        Ok(announcer) => Some(announcer),
        Err(error) => {
            report.warning(&format!("nothing is announced: {error}"));
            None
        }
    }
}

fn offer(serving: &Serving) -> Option<Offer> {
    let endpoint = serving.running.endpoint();
    let at = endpoint.host_port()?;
    let bound = match at.host {
        Host::V4(v4) => IpAddr::V4(v4),
        Host::V6(v6, _) => IpAddr::V6(v6),
        Host::Any | Host::Name(_) => return None, // a listener that is bound has an address
    };
    let Port::Number(port) = at.port else {
        return None; // and a number
    };
    let certificate = serving.running.certificate_der();
    Some(Offer {
        kind: ServiceType::of(serving.service.name, endpoint.is_packet()),
        port,
        reach: vec![Reach::of(bound)?],
        facts: Facts {
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            tls: matches!(endpoint, Endpoint::Tls(_)),
            fingerprint: certificate.map(|der| fingerprint(&der)),
            auth: Some(serving.scheme.to_string()),
            encoding: serving.encoding.map(|encoding| encoding.to_string()),
        },
    })
}
