//! From arguments to listeners that can be had, or the reason why not. Nothing is bound or started here.

use anyhow::{Context, Result, anyhow, bail, ensure};
use sockeye::{Endpoint, Limits, MAX_WORKERS, Model, Options, TlsServer};
use sockeye_proto::text::Encoding;
use sockeye_services::auth::{Guard, Scheme};
use sockeye_services::catalog::{self, Service, Starter};
use sockeye_services::data::Data;
use sockeye_services::discovery::{check_name, host_name};
use sockeye_services::settings::Settings;
use sockeye_services::shield::Policy;
use sockeye_services::shop;
use std::path::PathBuf;
use std::time::Duration;

use super::access::{Access, is_local};
use super::columns::row;
use super::knobs::{self, Draft, KNOBS};
use super::target::Target;
use super::{Args, nearest};
use crate::exit::{Usage, words};

/// What to do.
pub(super) struct Plan {
    pub(super) listeners: Vec<Listener>,
    /// Nobody asked for these listeners by name: what can't be had is left out.
    pub(super) usual: bool,
    /// Where those that keep something keep it; there may be no such place.
    pub(super) data: Option<Data>,
    /// The name that others are to find them by, if they are.
    pub(super) announced_as: Option<String>,
}

/// One service at one endpoint.
pub(super) struct Listener {
    pub(super) service: &'static Service,
    pub(super) endpoint: Endpoint,
    pub(super) model: Model,
    pub(super) workers: usize,
    pub(super) spin: Duration,
    pub(super) limits: Limits,
    pub(super) options: Options,
    pub(super) tls: Option<TlsServer>,
    pub(super) starter: Starter,
    /// What its peers prove.
    pub(super) scheme: Scheme,
    /// Who is let in to it.
    pub(super) guard: Option<Guard>,
    /// Who signs the certificates of its peers.
    pub(super) client_authority: Option<PathBuf>,
    /// Whether it needs the folder for data.
    pub(super) keeps: bool,
    /// The encoding of its texts, if it has any.
    pub(super) encoding: Option<Encoding>,
    /// What its operator should hear.
    pub(super) warnings: Vec<String>,
}

impl Plan {
    /// `descriptors` is how many files this process may have open.
    ///
    /// # Errors
    /// [`Usage`], always.
    pub(super) fn of(args: &Args, descriptors: Option<u64>) -> Result<Self> {
        let usual = args.listeners.is_empty();
        let texts: Vec<&str> = match usual {
            true => catalog::ALL.iter().map(|service| service.name).collect(),
            false => args.listeners.iter().map(String::as_str).collect(),
        };
        let announced_as = announced_as(args)?;
        let data = folder(args).ok();
        let mut listeners = Vec::new();
        for text in texts {
            let planned = of_target(text, args, descriptors, data.as_ref());
            let planned = planned.map_err(|error| Usage::new(format!("{text}: {}", words(&error))))?;
            listeners.extend(planned);
        }
        let at_mdns = |one: &Listener| {
            matches!(one.endpoint, Endpoint::Udp(_)) && one.endpoint.port() == Some(MDNS_PORT)
        };
        if let Some(one) = listeners.iter().find(|one| at_mdns(one) && args.announce) {
            let why = format!(
                "{}: --announce needs port {MDNS_PORT} for itself; serve at another one",
                one.endpoint
            );
            return Err(Usage::new(why).into());
        }
        Ok(Plan {
            listeners,
            usual,
            data,
            announced_as,
        })
    }
}

/// The port of multicast DNS (RFC 6762).
const MDNS_PORT: u16 = 5353;

fn announced_as(args: &Args) -> Result<Option<String>, Usage> {
    let name = args.announce.then(|| args.name.clone().unwrap_or_else(host_name));
    let checked = name.as_deref().map_or(Ok(()), check_name);
    checked.map_err(|error| Usage::new(error.to_string()))?;
    Ok(name)
}

fn folder(args: &Args) -> sockeye::Result<Data> {
    Ok(Data::at(args.data.clone().map_or_else(Data::usual, Ok)?))
}

/// The listeners that one argument means: one, or those of a service at its usual port.
fn of_target(
    text: &str,
    args: &Args,
    descriptors: Option<u64>,
    data: Option<&Data>,
) -> Result<Vec<Listener>> {
    let target = Target::read(text)?;
    let service = catalog::named(target.service).ok_or_else(|| unknown_service(target.service))?;
    let endpoints = match target.endpoint {
        Some(endpoint) => vec![endpoint.to_owned()],
        None => {
            let usual = |scheme| format!("{scheme}://127.0.0.1:{}", service.port);
            service.schemes.iter().map(usual).collect()
        }
    };
    let listener = |endpoint: String| {
        let endpoint: Endpoint = endpoint.parse()?;
        of_endpoint(service, endpoint, &target.query, args, descriptors, data)
    };
    endpoints.into_iter().map(listener).collect()
}

fn of_endpoint(
    service: &'static Service,
    endpoint: Endpoint,
    query: &[(String, String)],
    args: &Args,
    descriptors: Option<u64>,
    data: Option<&Data>,
) -> Result<Listener> {
    let (draft, mut settings) = read_query(service, &endpoint, query)?;
    settings.packets = endpoint.is_packet();
    settings.data = data.cloned();
    settings.shield = draft.shield.clone();
    let access = Access::of(service, &endpoint, &draft.access)?;
    let keeps = service.keeps || access.has_accounts();
    if keeps && data.is_none() {
        folder(args)?;
    }
    settings.auth = access.policy.clone();
    let model = draft.model.or(args.model).unwrap_or_default();
    let mut limits = draft.limits.clone();
    if let Some(connections) = draft.connections {
        check_connections(connections, model, descriptors)?;
        limits.connections = connections;
    }
    let starter = (service.make)(&settings)?;
    let mut warnings = access.warnings.clone();
    warnings.extend(silenced(starter.longest(), &endpoint, &draft.shield));
    Ok(Listener {
        service,
        model,
        workers: workers(&draft, args, model)?,
        spin: draft.spin,
        limits,
        encoding: encoding(service, &settings)?,
        tls: tls(&draft)?,
        options: draft.options,
        starter,
        scheme: access.policy.scheme,
        guard: access.guard(service, data)?,
        client_authority: draft.access.client_authority,
        keeps,
        warnings,
        endpoint,
    })
}

/// What an operator should know whose answers are longer than other machines may have them.
fn silenced(longest: usize, endpoint: &Endpoint, shield: &Policy) -> Option<String> {
    let factor = shield.factor?;
    let most = shield.allowance(0);
    let reaches = matches!(endpoint, Endpoint::Udp(_)) && !is_local(endpoint);
    (reaches && longest > most).then(|| {
        format!(
            "{endpoint}: an answer of {longest} bytes is not sent to other machines whose questions are short: it may have \
             {factor} times their bytes, which to an empty one are {most}; factor={} allows it always",
            Policy::factor_for(longest)
        )
    })
}

/// The encoding of a service that speaks text.
fn encoding(service: &Service, settings: &Settings) -> Result<Option<Encoding>> {
    if !service.settings().any(|setting| setting.name == "encoding") {
        return Ok(None);
    }
    let usual = match service.name == shop::SERVICE.name {
        true => Encoding::GBK,
        false => Encoding::default(),
    };
    Ok(Some(settings.parse("encoding")?.unwrap_or(usual)))
}

/// Sorts the query into what is the listener's, the socket's and the service's.
fn read_query(
    service: &'static Service,
    endpoint: &Endpoint,
    query: &[(String, String)],
) -> Result<(Draft, Settings)> {
    let (mut draft, mut settings) = (Draft::default(), Settings::new());
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in query {
        let plain = name.replace('_', "-");
        let mut repeats = plain == "join";
        if let Some(knob) = knobs::named(name) {
            if let Some(why) = knob.misfit(endpoint) {
                bail!("`{name}` has no meaning for {endpoint}: {why}");
            }
            (knob.set)(&mut draft, value).with_context(|| format!("{name}={value}"))?;
        } else if let Some(setting) = service.settings().find(|setting| setting.name == plain) {
            repeats = setting.repeats;
            settings = settings.set(setting.name, value);
        } else if !draft.options.set(name, value)? {
            return Err(unknown_option(service, endpoint, name));
        }
        ensure!(
            repeats || !seen.contains(&plain),
            "`{name}` stands there twice; which one is meant?"
        );
        seen.push(plain);
    }
    Ok((draft, settings))
}

fn workers(draft: &Draft, args: &Args, model: Model) -> Result<usize> {
    let Some(workers) = draft.workers.or(args.workers) else {
        return Ok(1);
    };
    // `--workers` is for those listeners that have them, unless `--model` says that none has.
    let meant = draft.workers.is_some() || draft.model.is_none();
    if workers != 1 && !model.has_workers() {
        ensure!(
            !meant,
            "the model {model} has a {model} for each connection and no workers; leave `workers` out, or choose another \
             model"
        );
        return Ok(1);
    }
    ensure!(
        workers <= MAX_WORKERS,
        "{workers} workers would only get in each other's way; ask for {MAX_WORKERS} at the most"
    );
    Ok(workers)
}

fn check_connections(connections: usize, model: Model, descriptors: Option<u64>) -> Result<()> {
    if let Some(most) = model.max_connections() {
        ensure!(
            connections <= most,
            "the model {model} can't hold {connections} connections: select(2) promises room for 1024 descriptors only, \
             which leaves {most}; choose another model, or ask for fewer"
        );
    }
    match descriptors {
        Some(most) if model.shares_memory() && connections as u64 > most => bail!(
            "{connections} connections are more than the {most} files that the system lets this process have open; \
             raise the hard limit (ulimit -Hn), or ask for fewer"
        ),
        _ => Ok(()),
    }
}

fn tls(draft: &Draft) -> Result<Option<TlsServer>> {
    match (&draft.certificates, &draft.key) {
        (None, None) => Ok(None),
        (Some(certificates), Some(key)) => Ok(Some(TlsServer::from_files(certificates, key)?)),
        (Some(_), None) => bail!("`cert` is of no use without `key`, the file of the certificate's key"),
        (None, Some(_)) => bail!("`key` is of no use without `cert`, the file of its certificate"),
    }
}

fn unknown_service(name: &str) -> anyhow::Error {
    let names = || catalog::ALL.iter().map(|service| service.name);
    let list: Vec<&str> = names().collect();
    anyhow!(
        "there is no service `{}`{}; the services are {}",
        name.escape_debug(),
        nearest::hint(name, names()),
        list.join(", ")
    )
}

fn unknown_option(service: &Service, endpoint: &Endpoint, name: &str) -> anyhow::Error {
    let fitting = KNOBS.iter().filter(|knob| knob.misfit(endpoint).is_none());
    let listener: Vec<&str> = fitting.map(|knob| knob.name).collect();
    let own: Vec<&str> = service.settings().map(|setting| setting.name).collect();
    let plain = name.replace('_', "-");
    let elsewhere: Vec<&str> = catalog::ALL
        .iter()
        .filter(|other| other.settings().any(|setting| setting.name == plain))
        .map(|other| other.name)
        .collect();
    let hint = match elsewhere.as_slice() {
        [] => nearest::hint(name, [&listener[..], &own, Options::NAMES].concat().into_iter()),
        others => format!(" (it is one of {})", others.join(", ")),
    };
    let mut lists = String::new();
    for (whose, names) in [
        ("the listener:", &listener[..]),
        (&format!("{}:", service.name), &own),
        ("the socket:", Options::NAMES),
    ] {
        if !names.is_empty() {
            row(&mut lists, 13, whose, &names.join(", "));
        }
    }
    anyhow!(
        "{} over {} has no option `{}`{hint}\nThere are options of\n{lists}What they do: sockeye serve --help",
        service.name,
        endpoint.scheme(),
        name.escape_debug(),
    )
}
