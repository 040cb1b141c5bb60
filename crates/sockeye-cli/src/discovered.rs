//! A name that somebody announces, where an endpoint may stand: `@kitchen`, `@kitchen/echo`, `@kitchen/echo/udp`.
//!
//! A client's arguments hold a [`Place`], which is parsed without asking anybody; [`Place::find`] makes a [`Destination`] of it when the
//! client is about to connect. What was announced is a hint: which certificate is trusted, the pins decide, which know the server by
//! its name, wherever it is.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use sockeye::Endpoint;
use sockeye_services::catalog;
use sockeye_services::discovery::{Instance, LookUp, ServiceType, look_up};

use crate::exit::{Usage, tell};
use crate::terminal::harmless;

/// How long a name is looked for: it is asked for twice, a second apart, and a host that saves power answers the second time.
const PATIENCE: Duration = Duration::from_millis(2500);
/// So many others are named when one isn't found: what fits a screen.
const LISTED: usize = 20;

/// Where a client is to go, as its user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    At(Endpoint),
    Named(Name),
}

/// A name, and what is meant of what goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    name: String,
    service: Option<String>,
    packets: Option<bool>,
}

/// Which of those that go by a name a client can talk to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// The service that it is a client of, if it isn't one of any.
    pub(crate) service: Option<&'static str>,
    /// Whether it has no use for connections. Others would rather have one, where there are packets, too.
    pub(crate) packets_only: bool,
}

/// Where a client goes.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) endpoint: Endpoint,
    /// Who has announced it.
    pub(crate) found: Option<Found>,
}

/// A server that was found by its name.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// What it is known by, wherever it is: `@kitchen/files`. It has no spaces.
    pub(crate) known_as: String,
    /// The certificate that it says it has.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// The encoding that it says its texts have.
    pub(crate) encoding: Option<String>,
    /// What it says is to be proved.
    pub(crate) auth: Option<String>,
}

impl From<Endpoint> for Destination {
    fn from(endpoint: Endpoint) -> Self {
        Destination {
            endpoint,
            found: None,
        }
    }
}

impl Destination {
    /// What it is known by: its address, unless it was found by a name.
    pub(crate) fn known_as(&self) -> String {
        let found = self.found.as_ref().map(|found| found.known_as.clone());
        found.unwrap_or_else(|| self.endpoint.to_string())
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.starts_with('@') {
            true => text.parse().map(Place::Named),
            false => text
                .parse()
                .map(Place::At)
                .map_err(|error: sockeye::Error| error.to_string()),
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write @NAME, @NAME/SERVICE or @NAME/SERVICE/udp, as `sockeye discover` lists them".to_owned();
        let rest = text.strip_prefix('@').ok_or_else(wrong)?;
        let (rest, packets) = match rest.rsplit_once('/') {
            Some((rest, "udp")) => (rest, Some(true)),
            Some((rest, "tcp")) => (rest, Some(false)),
            _ => (rest, None),
        };
        let (name, service) = match rest.rsplit_once('/') {
            Some((name, service)) => (name, Some(service)),
            None => (rest, None),
        };
        if name.is_empty() || service == Some("") {
            return Err(wrong());
        }
        let unknown = |service: &&str| catalog::named(service).is_none();
        if let Some(service) = service.filter(unknown) {
            let names: Vec<&str> = catalog::ALL.iter().map(|service| service.name).collect();
            return Err(format!(
                "there is no service `{}`; the services are {}",
                service.escape_debug(),
                names.join(", ")
            ));
        }
        Ok(Name {
            name: name.to_owned(),
            service: service.map(str::to_owned),
            packets,
        })
    }
}

impl Place {
    /// Where that is. A name is looked for on the network.
    ///
    /// # Errors
    /// When nobody goes by the name, or several do.
    pub(crate) fn find(&self, wanted: Wanted) -> Result<Destination> {
        match self {
            Place::At(endpoint)
                if endpoint.is_packet() && wanted.service.is_some() && !wanted.packets_only =>
            {
                let why = format!("{endpoint}: this client needs a connection; use tcp://, tls:// or unix:");
                Err(Usage::new(why).into())
            }
            Place::At(endpoint) => Ok(endpoint.clone().into()),
            Place::Named(name) => name.find(wanted),
        }
    }
}

/// Where a name is that was announced, written as `@NAME`, `@NAME/SERVICE` or `@NAME/SERVICE/udp`.
///
/// # Errors
/// [`Usage`], when it isn't written so; else as [`Place::find`].
pub(crate) fn discovered(text: &str, wanted: Wanted) -> Result<Destination> {
    let name: Name = text.parse().map_err(Usage::new)?;
    name.find(wanted)
}

impl Name {
    fn find(&self, wanted: Wanted) -> Result<Destination> {
        let service = match (self.service.as_deref(), wanted.service) {
            (Some(named), Some(own)) if named != own => {
                return Err(
                    Usage::new(format!("{self}: this is a client of {own}, which {named} is not")).into(),
                );
            }
            (named, own) => named.or(own),
        };
        if wanted.packets_only && self.packets == Some(false) {
            let why =
                format!("{self}/tcp is for connections, and this is a client of packets: leave `/tcp` out");
            return Err(Usage::new(why).into());
        }
        let packets = self.packets.or(wanted.packets_only.then_some(true));
        let kinds = service.map(|service| kinds(service, packets));
        let heard = look_up(&self.name, &kinds.unwrap_or_default(), PATIENCE)?;
        let one = self.choose(heard, service, packets)?;
        let there = destination(&one)?;
        tell(&harmless(&format!(
            "@{}/{} is {}",
            one.name,
            of(&one),
            there.endpoint
        )));
        Ok(there)
    }

    /// The only one that can be meant, of those that have packets, or have none, or of all.
    fn choose(&self, mut heard: LookUp, service: Option<&str>, packets: Option<bool>) -> Result<Instance> {
        let carried = |one: &Instance| packets.is_none_or(|packets| packets == one.kind.is_packet());
        heard.named.retain(carried);
        heard.others.retain(carried);
        let named: Vec<&Instance> = heard.named.iter().collect();
        let Some(first) = named.first() else {
            bail!(self.nobody(&heard, service, packets));
        };
        if named.iter().any(|one| one.kind.service() != first.kind.service()) {
            let mut ways: Vec<String> = named
                .iter()
                .map(|one| format!("@{}/{}", one.name, of(one)))
                .collect();
            ways.sort();
            ways.dedup();
            return Err(anyhow!(
                "{self} has several services: say which, as {}",
                harmless(&ways.join(", "))
            ));
        }
        let connections: Vec<&Instance> = named
            .iter()
            .copied()
            .filter(|one| !one.kind.is_packet())
            .collect();
        match (named.as_slice(), connections.as_slice()) {
            ([one], _) | (_, [one]) => Ok((*one).clone()),
            (several, _) => {
                let list: Vec<String> = several.iter().map(|one| place(one)).collect();
                Err(anyhow!(
                    "several servers answer to {self}; connect to the one you mean by its endpoint:\n    {}",
                    list.join("\n    ")
                ))
            }
        }
    }

    fn nobody(&self, heard: &LookUp, service: Option<&str>, packets: Option<bool>) -> String {
        let mut what = service.map_or_else(
            || "a service".to_owned(),
            |service| format!("the service {service}"),
        );
        // It may well be there for the others.
        what += match packets {
            Some(true) => " over UDP",
            Some(false) => " over TCP",
            None => "",
        };
        let mut there: Vec<String> = heard.others.iter().map(place).collect();
        there.sort();
        let left_out = there.len().saturating_sub(LISTED);
        there.truncate(LISTED);
        if left_out > 0 {
            there.push(format!("and {left_out} more"));
        }
        match there.is_empty() {
            true => format!(
                "nobody on this network announces {what} as {self}, nor by any other name; `sockeye serve --announce` does, \
                 and routers don't let it pass"
            ),
            false => format!(
                "nobody on this network announces {what} as {self}. There are\n    {}",
                there.join("\n    ")
            ),
        }
    }
}

/// What a service is announced as, connections first; packets only where it has any, or nothing else is meant.
fn kinds(service: &str, packets: Option<bool>) -> Vec<ServiceType> {
    let has_packets = catalog::named(service).is_some_and(|known| known.schemes.contains(&"udp"));
    let meant = |way: &bool| packets.map_or(has_packets || !way, |packets| packets == *way);
    let ways = [false, true].into_iter().filter(meant);
    ways.map(|packets| ServiceType::of(service, packets)).collect()
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{}", harmless(&self.name))?;
        if let Some(service) = &self.service {
            write!(f, "/{service}")?;
        }
        Ok(())
    }
}

fn of(one: &Instance) -> &str {
    one.kind.service().unwrap_or_default()
}

/// Who that is and where, for people.
fn place(one: &Instance) -> String {
    let at = one
        .addresses
        .first()
        .map(|found| one.endpoint_at(found).to_string());
    harmless(&format!(
        "@{}/{} at {}, host {}",
        one.name,
        of(one),
        at.unwrap_or_default(),
        one.host
    ))
}

fn destination(one: &Instance) -> Result<Destination> {
    let facts = one.facts();
    let known_as = format!("@{}/{}", in_one_word(&one.name), of(one));
    Ok(Destination {
        endpoint: one.endpoint()?,
        found: Some(Found {
            known_as,
            fingerprint: facts.fingerprint,
            encoding: facts.encoding,
            auth: facts.auth,
        }),
    })
}

/// A name that can stand in a line of words: names that differ in capitals alone are one.
fn in_one_word(name: &str) -> String {
    let mut word = String::new();
    for letter in name.to_lowercase().chars() {
        match letter.is_whitespace() || letter.is_control() || letter == '%' {
            true => word.extend(letter.to_string().bytes().map(|byte| format!("%{byte:02X}"))),
            false => word.push(letter),
        }
    }
    word
}

/// What somebody is known by, for people: a name with its spaces. What has no name is left as it is.
pub(crate) fn readable(known_as: &str) -> String {
    let Some(name) = known_as.strip_prefix('@') else {
        return known_as.to_owned();
    };
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after
            .first_chunk::<2>()
            .and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (bytes, rest) = match (first, byte) {
            (b'%', Some(byte)) => ([bytes, vec![byte]].concat(), &after[2..]),
            _ => ([bytes, vec![*first]].concat(), after),
        };
    }
    harmless(&format!("@{}", String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_services::discovery;

    fn instance(name: &str, service: &str, packets: bool, host: &str) -> Instance {
        Instance {
            name: name.to_owned(),
            kind: ServiceType::of(service, packets),
            host: host.to_owned(),
            port: 7,
            addresses: vec![discovery::Found {
                address: "10.9.1.1".parse().expect("an address"),
                interface: "eth0".to_owned(),
            }],
            txt: Vec::new(),
        }
    }

    fn choose(
        text: &str,
        service: Option<&str>,
        named: &[Instance],
        others: &[Instance],
    ) -> Result<Instance> {
        let name: Name = text.parse().expect(text);
        let heard = LookUp {
            named: named.to_vec(),
            others: others.to_vec(),
        };
        name.choose(heard, service, name.packets)
    }

    #[test]
    fn names_are_written_in_three_ways() {
        let name = |name: &str, service: Option<&str>, packets| Name {
            name: name.to_owned(),
            service: service.map(str::to_owned),
            packets,
        };
        for (text, read) in [
            ("@kitchen", name("kitchen", None, None)),
            ("@kitchen (2)", name("kitchen (2)", None, None)),
            ("@kitchen/echo", name("kitchen", Some("echo"), None)),
            ("@kitchen/echo/udp", name("kitchen", Some("echo"), Some(true))),
            ("@kitchen/tcp", name("kitchen", None, Some(false))),
        ] {
            assert_eq!(text.parse::<Place>(), Ok(Place::Named(read)), "{text}");
        }
        assert!(matches!("tcp://h:1".parse(), Ok(Place::At(_))));
        for (text, words) in [
            ("@", "write @NAME"),
            ("@a/", "write @NAME"),
            ("@a/ecco", "no service `ecco`"),
            ("h", "scheme"),
        ] {
            let error = text.parse::<Place>().expect_err(text);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn who_is_meant_is_beyond_doubt_or_an_error() {
        let tcp = instance("kitchen", "echo", false, "a.local");
        let udp = instance("kitchen", "echo", true, "a.local");
        let files = instance("kitchen", "files", false, "a.local");
        let other = instance("Kitchen", "echo", false, "b.local");
        let both = [udp.clone(), tcp.clone()];
        assert_eq!(
            choose("@kitchen/echo", Some("echo"), &both, &[]).expect("a connection"),
            tcp
        );
        assert_eq!(
            choose("@kitchen/echo/udp", Some("echo"), &both, &[]).expect("packets"),
            udp
        );
        assert_eq!(choose("@kitchen", None, &both, &[]).expect("a connection"), tcp);
        let words = |chosen: Result<Instance>| chosen.expect_err("not one").to_string();
        let several = words(choose("@kitchen", None, &[tcp.clone(), files], &[]));
        assert!(
            several.ends_with("say which, as @kitchen/echo, @kitchen/files"),
            "{several}"
        );
        let several = words(choose(
            "@kitchen",
            Some("echo"),
            &[tcp.clone(), other.clone()],
            &[],
        ));
        assert!(
            several.contains("host a.local\n") && several.ends_with("host b.local"),
            "{several}"
        );
        let nobody = words(choose("@cellar", Some("echo"), &[], &[tcp, other]));
        assert!(nobody.contains("@kitchen/echo at tcp://10.9.1.1:7"), "{nobody}");
        let nobody = words(choose("@cellar", Some("echo"), &[], &[]));
        assert!(nobody.contains("sockeye serve --announce"), "{nobody}");
    }

    #[test]
    fn who_speaks_in_packets_is_not_sent_to_a_connection() {
        let tcp = instance("kitchen", "files", false, "a.local");
        let udp = instance("kitchen", "echo", true, "a.local");
        let name: Name = "@kitchen".parse().expect("a name");
        let chosen = |named: &[&Instance]| {
            let named = named.iter().map(|one| (*one).clone()).collect();
            let others = vec![instance("cellar", "files", false, "b.local")];
            name.choose(LookUp { named, others }, None, Some(true))
        };
        assert_eq!(chosen(&[&tcp, &udp]).expect("packets"), udp);
        let nobody = chosen(&[&tcp]).expect_err("no packets").to_string();
        assert!(
            nobody.contains("a service over UDP as @kitchen, nor by any other name"),
            "{nobody}"
        );
    }

    #[test]
    fn a_service_is_asked_for_as_what_it_is_announced_as() {
        let asked = |service, packets| -> Vec<String> {
            kinds(service, packets).iter().map(ToString::to_string).collect()
        };
        assert_eq!(asked("echo", None), ["_sockeye-echo._tcp", "_sockeye-echo._udp"]);
        assert_eq!(asked("echo", Some(true)), ["_sockeye-echo._udp"]);
        assert_eq!(asked("files", None), ["_sockeye-files._tcp"]);
        assert_eq!(asked("files", Some(true)), ["_sockeye-files._udp"]);
    }

    #[test]
    fn what_a_server_is_known_by_is_one_word_in_small_letters() {
        assert_eq!(in_one_word("Kitchen (2)"), "kitchen%20(2)");
        assert_eq!(in_one_word("a%\n\u{85}Ü"), "a%25%0A%C2%85ü");
        // And people read it as it was.
        assert_eq!(readable("@kitchen%20(2)/files"), "@kitchen (2)/files");
        assert_eq!(readable("@a%25%0A%C2%85ü"), "@a%\\n\\u{85}ü");
        assert_eq!(readable("[fe80::1%ad0]:9000"), "[fe80::1%ad0]:9000");
    }
}
