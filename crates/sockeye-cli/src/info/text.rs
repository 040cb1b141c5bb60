//! The report for people, a step at a time.

use super::certificate::{Certificate, Words};
use super::failure::Step;
use super::page::{Ink, Page, format_micros};
use super::ping::{Pinged, Reply};
use super::report::{Attempt, Ends, Entry, Kept, Report, Resolution, Services, Tcp, Tls};

/// Below this a certificate wants its owner's attention: authorities that renew automatically do so 30 days ahead.
const FEW_DAYS: i64 = 14;

/// What there is to say when a step is over.
pub(super) fn step(page: &Page, report: &Report, step: Step) -> String {
    let said = match step {
        Step::Resolve => report.resolve.as_ref().map(|it| resolution(page, it)),
        Step::Reverse => report.resolve.as_ref().map(|it| reverse(page, it)),
        Step::Service => report.service.as_ref().map(|it| services(page, it)),
        Step::Ping => report.ping.last().map(|it| ping(page, it)),
        Step::Connect => Some(attempts(page, &report.attempts, report.packets)),
        Step::Tls => Some(connection(page, report)),
    };
    said.unwrap_or_default()
}

/// The last line.
pub(super) fn ends(page: &Page, report: &Report) -> String {
    let asked = report.service.is_some() || !report.attempts.is_empty() || !report.ping.is_empty();
    let nothing = report.ok && !asked;
    let silent = report.packets && !report.attempts.iter().any(|one| one.connected);
    let word = match (report.ok, nothing) {
        (true, false) if silent => (Ink::Warn, "nothing is known: UDP has no handshake".to_owned()),
        (true, true) => (
            Ink::Dim,
            "no port was named, so nothing was connected to".to_owned(),
        ),
        (true, false) => (Ink::Good, "ok".to_owned()),
        (false, _) => (Ink::Bad, "failed".to_owned()),
    };
    page.row("total", &[word], Some(report.total_us))
}

fn plain(text: impl Into<String>) -> (Ink, String) {
    (Ink::Plain, text.into())
}

fn dim(text: impl Into<String>) -> (Ink, String) {
    (Ink::Dim, text.into())
}

fn resolution(page: &Page, found: &Resolution) -> String {
    let source = match found.source.as_deref() {
        Some("literal") => dim("  written out: nobody was asked"),
        Some(_) => dim("  asked the system"),
        None => (Ink::Bad, "  not found".to_owned()),
    };
    let mut text = page.row("resolve", &[plain(&found.host), source], Some(found.took_us));
    if let Some(name) = found.canonical.as_ref().filter(|name| **name != found.host) {
        text += &page.row("", &[dim("its canonical name is "), plain(name)], None);
    }
    let width = widest(found.addresses.iter().map(|one| one.address.as_str()));
    for one in &found.addresses {
        let address = format!("{:<width$}", one.address);
        text += &page.row("", &[plain(address), dim(format!("  {}", one.family))], None);
    }
    text
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

fn reverse(page: &Page, found: &Resolution) -> String {
    let width = widest(found.addresses.iter().map(|one| one.address.as_str()));
    let mut text = String::new();
    for one in &found.addresses {
        let Some(reverse) = &one.reverse else { continue };
        let label = if text.is_empty() { "reverse" } else { "" };
        let address = plain(format!("{:<width$}  ", one.address));
        let name = match (&reverse.name, &reverse.error) {
            (Some(name), _) => plain(name),
            (None, error) => (Ink::Bad, error.clone().unwrap_or_default()),
        };
        text += &page.row(label, &[address, name], Some(reverse.took_us));
    }
    text
}

fn services(page: &Page, found: &Services) -> String {
    let numeric = found.asked.parse::<u16>().is_ok();
    let words = |protocol: &str, entry: &Option<Entry>| match entry {
        Some(entry) if numeric => format!("{protocol}: {} ({})", entry.name, entry.source),
        Some(entry) => format!("{protocol}: {} ({})", entry.port, entry.source),
        None => format!("{protocol}: none"),
    };
    let both = match (&found.tcp, &found.udp) {
        (None, None) if numeric => "  not in the tables: a port of no service in particular".to_owned(),
        (None, None) => "  not in the tables of tcp and udp".to_owned(),
        (tcp, udp) => format!("  {}, {}", words("tcp", tcp), words("udp", udp)),
    };
    page.row("service", &[plain(&found.asked), dim(both)], Some(found.took_us))
}

/// What has just been learnt, or, when all is, what it comes to.
fn ping(page: &Page, pinged: &Pinged) -> String {
    if !pinged.over {
        return pinged
            .replies
            .last()
            .map(|last| reply(page, pinged, last))
            .unwrap_or_default();
    }
    if let Some(error) = &pinged.error {
        let address = plain(format!("{}  ", pinged.address));
        return page.row("ping", &[address, (Ink::Bad, error.clone())], None);
    }
    let ink = match pinged.lost {
        0 => Ink::Good,
        lost if lost < pinged.sent => Ink::Warn,
        _ => Ink::Bad,
    };
    let label = if pinged.replies.is_empty() { "ping" } else { "" };
    let loss = format!("{} lost ({:.1} %)", pinged.lost, pinged.lost_percent);
    let mut more = String::new();
    for (count, what) in [(pinged.duplicated, "doubled"), (pinged.damaged.into(), "damaged")] {
        if count > 0 {
            more += &format!(", {count} {what}");
        }
    }
    let counts = format!("{} sent, {} received, ", pinged.sent, pinged.received);
    let head = plain(format!("{}  ", pinged.address));
    let mut text = page.row(label, &[head, plain(counts), (ink, loss), plain(more)], None);
    let times = [pinged.min_us, pinged.avg_us, pinged.max_us, pinged.mdev_us];
    if let [Some(min), Some(avg), Some(max), Some(mdev)] = times.map(|time| time.map(format_micros)) {
        let names = dim("min/avg/max/mdev  ");
        text += &page.row(
            "",
            &[names, plain(format!("{min} / {avg} / {max} / {mdev}"))],
            None,
        );
    }
    text
}

fn reply(page: &Page, pinged: &Pinged, reply: &Reply) -> String {
    let label = if pinged.replies.len() == 1 { "ping" } else { "" };
    let (ink, word) = match reply.kind {
        "reply" => (Ink::Good, "answered".to_owned()),
        "duplicate" => (Ink::Warn, "answered once more".to_owned()),
        "damaged" => (Ink::Bad, "answered with other bytes".to_owned()),
        _ => (Ink::Bad, reply.error.clone().unwrap_or_default()),
    };
    let number = plain(format!("{}  {:<3} ", pinged.address, reply.sequence));
    let more = match (reply.ttl, &reply.from) {
        (Some(ttl), _) => format!("  ttl {ttl}"),
        (None, Some(from)) => format!("  says {from}"),
        (None, None) => String::new(),
    };
    page.row(label, &[number, (ink, word), dim(more)], Some(reply.took_us))
}

fn attempts(page: &Page, attempts: &[Attempt], packets: bool) -> String {
    let width = widest(attempts.iter().map(|one| one.address.as_str()));
    let mut text = String::new();
    for one in attempts {
        let label = if text.is_empty() { "connect" } else { "" };
        let outcome = match (&one.error, one.took_us) {
            (Some(error), _) => (Ink::Bad, error.clone()),
            (None, None) if packets => dim("neither answered nor refused an empty datagram"),
            (None, Some(_)) if packets => (Ink::Good, "answered".to_owned()),
            (None, Some(_)) => (Ink::Good, "connected".to_owned()),
            (None, None) => dim("given up before it answered"),
        };
        let mut pieces = vec![plain(format!("{:<width$}  ", one.address)), outcome];
        // What begins within a millisecond of the first began with it.
        if one.started_us >= 1_000 {
            pieces.push(dim(format!("  begun after {}", format_micros(one.started_us))));
        }
        text += &page.row(label, &pieces, one.took_us);
    }
    text
}

fn connection(page: &Page, report: &Report) -> String {
    let mut text = String::new();
    if let Some(ends) = &report.connection {
        text += &both_ends(page, ends);
        let options: Vec<(&str, String)> = ends
            .options
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        text += &page.pairs("options", &options);
        if let Some(tcp) = &ends.tcp {
            text += &page.pairs("tcp", &tcp_facts(tcp));
            text += &page.list("", &format!("{:<19}", "negotiated"), &tcp.negotiated);
        }
    }
    if let Some(tls) = &report.tls {
        text += &handshake(page, tls);
    }
    text
}

fn both_ends(page: &Page, ends: &Ends) -> String {
    let width = widest([ends.local.as_str(), ends.peer.as_str()].into_iter());
    let chosen = match ends.local_port_chosen {
        true => "  the system chose the port",
        false => "",
    };
    let ours = [plain(format!("{:<width$}", ends.local)), dim(chosen)];
    page.row("our end", &ours, None) + &page.row("their end", &[plain(&ends.peer)], None)
}

fn tcp_facts(tcp: &Tcp) -> Vec<(&'static str, String)> {
    let bytes = |count: Option<u64>| count.map_or("unknown".to_owned(), sockeye::format_size);
    let rate = match tcp.delivery_rate {
        Some(rate @ 0..1_000_000) => format!("{:.1} kB/s", rate as f64 / 1e3),
        Some(rate) => format!("{:.1} MB/s", rate as f64 / 1e6),
        None => "unknown".to_owned(),
    };
    let threshold = tcp.slow_start_threshold;
    vec![
        ("state", tcp.state.to_owned()),
        ("congestion", tcp.congestion.clone().unwrap_or_default()),
        ("rtt", format_micros(tcp.rtt_us)),
        ("rtt variance", format_micros(tcp.rtt_variance_us)),
        (
            "shortest rtt",
            tcp.min_rtt_us.map_or("unknown".to_owned(), format_micros),
        ),
        ("retransmit after", format_micros(tcp.retransmit_timeout_us)),
        ("path mtu", tcp.path_mtu.to_string()),
        ("mss out/in", format!("{}/{}", tcp.send_mss, tcp.receive_mss)),
        ("window (segments)", tcp.congestion_window.to_string()),
        (
            "slow start below",
            threshold.map_or("no bound yet".to_owned(), |count| count.to_string()),
        ),
        ("retransmits", tcp.retransmits.to_string()),
        ("unacked/lost", format!("{}/{}", tcp.unacknowledged, tcp.lost)),
        ("bytes acknowledged", bytes(tcp.bytes_acknowledged)),
        ("bytes received", bytes(tcp.bytes_received)),
        ("delivery rate", rate),
    ]
}

fn handshake(page: &Page, tls: &Tls) -> String {
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    let settled = format!("{}  {}  {group}", tls.protocol, tls.cipher);
    let mut text = page.row("tls", &[plain(settled)], Some(tls.took_us));
    let alpn = tls.alpn.as_deref().unwrap_or("none chosen");
    text += &page.row("", &[dim("protocol (ALPN)  "), plain(alpn)], None);
    text += &page.row("", &[dim("asked for        "), plain(&tls.server_name)], None);
    let trust = match tls.trusted {
        Some(true) => (Ink::Good, "trusted"),
        Some(false) => (Ink::Bad, "not trusted"),
        None => (Ink::Warn, "unknown: this machine has no list of authorities"),
    };
    text += &page.row(
        "",
        &[dim("certificate      "), (trust.0, trust.1.to_owned())],
        None,
    );
    if let Some(why) = &tls.distrust {
        text += &page.row("", &[(Ink::Bad, format!("  {}", why.message))], None);
    }
    if let Some(kept) = tls.pin {
        text += &page.row("", &[dim("pinned           "), pinned(kept)], None);
    }
    for (index, one) in tls.certificates.iter().enumerate() {
        text += &certificate(page, index + 1, one);
    }
    text
}

/// What our clients keep of it.
fn pinned(kept: Kept) -> (Ink, String) {
    let (ink, words) = match kept {
        Kept::New => (Ink::Plain, "never met: our clients have kept nothing of it"),
        Kept::Same => (Ink::Good, "yes, it is the one that our clients have kept"),
        Kept::Other => (Ink::Bad, "CHANGED: our clients have kept another one"),
        Kept::Authority => (Ink::Good, "an authority vouched for it before, as now"),
        Kept::NoAuthority => (
            Ink::Bad,
            "CHANGED: an authority vouched for it before, none does now",
        ),
    };
    (ink, words.to_owned())
}

fn certificate(page: &Page, number: usize, one: &Certificate) -> String {
    let label = format!("cert {number}");
    let mut text = match (&one.words, &one.unreadable) {
        (Some(words), _) => certificate_words(page, &label, words),
        (None, why) => {
            let why = why.as_deref().unwrap_or("unknown");
            page.row(&label, &[(Ink::Bad, format!("it can't be read: {why}"))], None)
        }
    };
    let (first, second) = one.sha256.split_at(one.sha256.len() / 2);
    text += &page.row("", &[dim("sha256   "), plain(first)], None);
    text += &page.row("", &[dim("         "), plain(second)], None);
    text
}

fn certificate_words(page: &Page, label: &str, words: &Words) -> String {
    let ink = match words.days_left {
        ..0 => Ink::Bad,
        0..FEW_DAYS => Ink::Warn,
        _ => Ink::Good,
    };
    let left = match words.days_left {
        days @ ..0 => format!("ended {} days ago", days.unsigned_abs()),
        days => format!("{days} days left"),
    };
    let day = |time: &str| time.split('T').next().unwrap_or_default().to_owned();
    let span = format!("{} to {}, ", day(&words.not_before), day(&words.not_after));
    let bits = words
        .key_bits
        .map(|bits| format!(", {bits} bits"))
        .unwrap_or_default();
    let key = format!("{}{bits}; signed by {}", words.key, words.signature);
    let names = match words.names.is_empty() {
        true => vec!["none".to_owned()],
        false => words.names.clone(),
    };
    page.row(label, &[plain(&words.subject)], None)
        + &page.row("", &[dim("issuer   "), plain(&words.issuer)], None)
        + &page.list("", "names    ", &names)
        + &page.row("", &[dim("valid    "), plain(span), (ink, left)], None)
        + &page.row("", &[dim("key      "), plain(key)], None)
        + &page.row("", &[dim("serial   "), plain(&words.serial)], None)
}
