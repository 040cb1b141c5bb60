//! Names: hosts to addresses, addresses to hosts, services to ports.

use std::net::SocketAddr;
use std::time::Instant;

use sockeye::{
    Address, Class, Endpoint, Error, Host, Port, Protocol, Resolved, Service, host_name, interleave_by,
    resolve, service_by_name, service_by_port, time,
};

use super::failure::{Failure, Step};
use super::plan::Plan;
use super::report::{Entry, Found, Report, Resolution, Reverse, Services, family, micros};

/// What the host stands for, in the order in which addresses are tried.
pub(super) async fn addresses(
    plan: &Plan,
    report: &mut Report,
    tell: &mut impl FnMut(&Report, Step),
) -> Result<Vec<Resolved>, Failure> {
    // The port is a step of its own; vsock has numbers only, and Unix sockets none.
    let nameless = match &plan.endpoint {
        Endpoint::Vsock { .. } => plan.endpoint.clone(),
        other => other.with_port(0),
    };
    let begun = Instant::now();
    let found = time::timeout(plan.limit, resolve(&nameless, false)).await;
    let took_us = micros(begun.elapsed());
    let host = match plan.endpoint.host_port().map(|at| &at.host) {
        Some(Host::Any) => "(this machine)".to_owned(),
        Some(host) => host.to_string(),
        None => plan.endpoint.to_string(),
    };
    let late = |_| Error::timed_out("resolve", plan.limit);
    let found = found.map_err(late).and_then(|found| found);
    let is_v6 = |one: &Resolved| matches!(one.address, Address::Inet(SocketAddr::V6(_)));
    // The port 0 that stands in the error would only be puzzling.
    let found = found
        .map(|found| interleave_by(found, is_v6))
        .map_err(|error| error.at(&host));
    let known = found.as_deref().unwrap_or_default();
    report.resolve = Some(Resolution {
        host,
        source: known.first().map(|one| one.source.to_string()),
        canonical: known.first().and_then(|one| one.canonical.clone()),
        addresses: known.iter().map(|one| seen(&one.address)).collect(),
        took_us,
    });
    tell(report, Step::Resolve);
    let found = found.map_err(|error| Failure::new(Step::Resolve, &error))?;
    if plan.reverse {
        for (index, one) in found.iter().enumerate() {
            let name = reverse(plan, &one.address).await;
            if let Some(known) = report
                .resolve
                .as_mut()
                .and_then(|known| known.addresses.get_mut(index))
            {
                known.reverse = Some(name);
            }
        }
        tell(report, Step::Reverse);
    }
    Ok(found)
}

fn seen(address: &Address) -> Found {
    Found {
        address: bare(address),
        family: family(address),
        reverse: None,
    }
}

/// The address without a port.
fn bare(address: &Address) -> String {
    match address {
        Address::Inet(SocketAddr::V6(inet)) if inet.scope_id() != 0 => {
            format!("{}%{}", inet.ip(), inet.scope_id())
        }
        Address::Inet(inet) => inet.ip().to_string(),
        other => other.to_string(),
    }
}

async fn reverse(plan: &Plan, address: &Address) -> Reverse {
    let begun = Instant::now();
    let named = time::timeout(plan.limit, host_name(address)).await;
    let late = |_| Error::timed_out("look up name of", plan.limit).at(address);
    let (name, error) = match named.map_err(late).and_then(|named| named) {
        Ok(name) => (Some(name), None),
        Err(error) => (None, Some(error.cause())),
    };
    Reverse {
        name,
        error,
        took_us: micros(begun.elapsed()),
    }
}

/// A failure when names of addresses were asked for and not one has a name.
pub(super) fn reverse_failure(plan: &Plan, report: &Report) -> Option<Failure> {
    let addresses = &report.resolve.as_ref()?.addresses;
    let named = |one: &Found| one.reverse.as_ref().is_some_and(|reverse| reverse.name.is_some());
    if !plan.reverse || addresses.iter().any(named) {
        return None;
    }
    let first = addresses.first()?;
    let why = first.reverse.as_ref()?.error.clone()?;
    let error = Error::new("look up name of", Class::Host, why).at(&first.address);
    Some(Failure::new(Step::Reverse, &error))
}

/// The number of the port, and what the tables of services say of it. 0 where there is none.
pub(super) fn port(
    plan: &Plan,
    report: &mut Report,
    tell: &mut impl FnMut(&Report, Step),
) -> Result<u16, Failure> {
    let Some(at) = plan.endpoint.host_port().filter(|_| !plan.names_only) else {
        return Ok(0);
    };
    let begun = Instant::now();
    let ask = |protocol| match &at.port {
        Port::Number(number) => service_by_port(*number, protocol),
        Port::Service(name) => service_by_name(name, protocol),
    };
    let (tcp, udp) = (ask(Protocol::Tcp), ask(Protocol::Udp));
    let own = match plan.endpoint.is_packet() {
        true => &udp,
        false => &tcp,
    };
    let own_port = own.as_ref().map(|service| service.port);
    report.service = Some(Services {
        asked: at.port.to_string(),
        tcp: tcp.map(entry),
        udp: udp.map(entry),
        took_us: micros(begun.elapsed()),
    });
    tell(report, Step::Service);
    match (&at.port, own_port) {
        (Port::Number(number), _) => Ok(*number),
        (Port::Service(_), Some(port)) => Ok(port),
        (Port::Service(name), None) => {
            let protocol = plan.endpoint.scheme();
            let why = format!("no service of {protocol} is called `{name}`");
            let error = Error::new("look up service", Class::Address, why);
            let error = error.at(name).advise("write the port as a number");
            Err(Failure::new(Step::Service, &error))
        }
    }
}

fn entry(service: Service) -> Entry {
    Entry {
        name: service.name,
        port: service.port,
        source: service.source.to_string(),
    }
}
