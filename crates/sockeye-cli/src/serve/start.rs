//! Binds what was planned, and starts it.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use sockeye::{Endpoint, Model, Running, Server, TlsServer};
use sockeye_proto::text::Encoding;
use sockeye_services::auth::{Guard, Scheme};
use sockeye_services::catalog::{How, Service, Starter};
use sockeye_services::data::Data;

use super::events;
use super::plan::{Listener, Plan};
use super::report::{LeftOut, Report, reasons};

/// A listener that is bound and not yet served.
pub(super) struct Bound {
    server: Server,
    model: Model,
    service: &'static Service,
    starter: Starter,
    scheme: Scheme,
    guard: Option<Guard>,
    encoding: Option<Encoding>,
    usual: bool,
}

/// A listener that is served.
pub(super) struct Serving {
    pub(super) running: Running,
    pub(super) model: Model,
    pub(super) service: &'static Service,
    /// The encoding of its texts, if it has any.
    pub(super) encoding: Option<Encoding>,
    /// What its peers prove.
    pub(super) scheme: Scheme,
    /// Nobody asked for it by name.
    pub(super) usual: bool,
}

/// Binds every listener before any is served. Of the usual ones those that can't be had are reported and left out.
///
/// # Errors
/// When a listener that was asked for can't be bound, or none at all.
pub(super) fn bind(plan: Plan, report: &Report) -> Result<Vec<Bound>> {
    let (mut bound, mut left_out) = (Vec::new(), Vec::new());
    for listener in plan.listeners {
        let (service, endpoint) = (listener.service, listener.endpoint.clone());
        listener
            .warnings
            .iter()
            .for_each(|warning| report.warning(warning));
        match bind_one(listener, plan.usual, plan.data.as_ref()) {
            Ok(one) => bound.push(one),
            Err(error) if plan.usual => left_out.push(LeftOut {
                service,
                endpoint,
                error,
            }),
            Err(error) => return Err(error.into()),
        }
    }
    if bound.is_empty() {
        bail!("nothing can be served: {}", reasons(&left_out));
    }
    report.left_out(&left_out);
    Ok(bound)
}

fn bind_one(listener: Listener, usual: bool, data: Option<&Data>) -> sockeye::Result<Bound> {
    let Listener {
        service,
        endpoint,
        model,
        mut starter,
        scheme,
        guard,
        encoding,
        ..
    } = listener;
    let mut server = Server::bind_with(&endpoint, listener.options)?
        .model(model)
        .workers(listener.workers)
        .spin(listener.spin)
        .limits(listener.limits);
    let data = data.filter(|_| listener.keeps);
    data.map_or(Ok(()), Data::open)?;
    starter.prepare()?;
    let tls = match (listener.tls, data) {
        (None, Some(data)) => kept_certificate(data, &endpoint)?,
        (tls, _) => tls,
    };
    let tls = match (tls, listener.client_authority) {
        (Some(tls), Some(path)) => Some(tls.client_authority(&path)?),
        (tls, _) => tls,
    };
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let at: Endpoint = server.endpoint();
    let failed = AtomicBool::new(false);
    let server = server.observe(move |event| events::log(service, &at, &failed, event));
    Ok(Bound {
        server,
        model,
        service,
        starter,
        scheme,
        guard,
        encoding,
        usual,
    })
}

/// Where services keep something, the certificate that a listener makes for itself is kept too: clients have pinned it.
fn kept_certificate(data: &Data, endpoint: &Endpoint) -> sockeye::Result<Option<TlsServer>> {
    let Endpoint::Tls(at) = endpoint else {
        return Ok(None);
    };
    let host = at.host.server_name();
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    let name = format!("tls-{}.pem", host.chars().map(plain).collect::<String>());
    TlsServer::kept(&data.folder().join(name), endpoint).map(Some)
}

/// The model by which this thread may serve them itself, and where they are: a listener that is alone needs no thread beside this one, if its
/// model has one thread for all.
pub(super) fn served_here(bound: &[Bound]) -> Option<(Model, Endpoint)> {
    match bound {
        [one] if one.server.fits_this_thread() => Some((one.model, one.server.endpoint())),
        _ => None,
    }
}

/// Starts every listener, in the order in which they were planned as far as anybody can see.
///
/// A model that forks does so while this process has no threads but its own: those come first. `here` is said where this thread is to serve.
///
/// # Errors
/// When a model can't be had. What has been started already is cut off.
pub(super) fn start(bound: Vec<Bound>, here: bool) -> Result<Vec<Serving>> {
    let mut order: Vec<(usize, Bound)> = bound.into_iter().enumerate().collect();
    order.sort_by_key(|(_, bound)| bound.model.shares_memory());
    let mut serving = Vec::with_capacity(order.len());
    for (place, bound) in order {
        let how = How {
            guard: bound.guard,
            here,
        };
        let started = Serving {
            running: bound.starter.start_as(bound.server, how)?,
            model: bound.model,
            service: bound.service,
            encoding: bound.encoding,
            scheme: bound.scheme,
            usual: bound.usual,
        };
        serving.push((place, started));
    }
    serving.sort_by_key(|(place, _)| *place);
    Ok(serving.into_iter().map(|(_, serving)| serving).collect())
}
