//! What was found, for people.

use sockeye_services::discovery::Instance;

use crate::hex::hex;
use crate::terminal::harmless;

const HEAD: [&str; 6] = ["NAME", "SERVICE", "ENDPOINT", "INTERFACE", "LOGIN", "CERTIFICATE"];
/// The digits of a fingerprint that are shown: enough to see that it is another one. `--json` has them all.
const DIGITS: usize = 16;
/// A name that is longer is not made room for.
const WIDEST: usize = 48;

type Row = [String; 6];

/// A table with a line for each, and one more for each further address.
pub(super) fn of(found: &[Instance]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    for one in found {
        let mut endpoints = places(one).into_iter();
        let (endpoint, interface) = endpoints.next().unwrap_or_default();
        let [name, service, login, certificate] = words(one);
        rows.push([name, service, endpoint, interface, login, certificate]);
        for (endpoint, interface) in endpoints {
            rows.push(["", "", &endpoint, &interface, "", ""].map(str::to_owned));
        }
    }
    laid_out(&rows)
}

fn laid_out(rows: &[Row]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default().min(WIDEST)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &Row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// Somebody who has come or gone.
pub(super) fn watched(came: bool, one: &Instance) -> String {
    let [name, service, login, certificate] = words(one);
    if !came {
        return format!("- {name}  {service}\n");
    }
    let (endpoint, interface) = places(one).into_iter().next().unwrap_or_default();
    let all = [name, service, endpoint, interface, login, certificate];
    let line = all
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("  ");
    format!("+ {line}\n")
}

fn places(one: &Instance) -> Vec<(String, String)> {
    let place = |found| {
        let endpoint = one.endpoint_at(found).to_string();
        (harmless(&endpoint), harmless(&found.interface))
    };
    one.addresses.iter().map(place).collect()
}

/// Name, service, login and certificate.
fn words(one: &Instance) -> [String; 4] {
    let facts = one.facts();
    let own = one.kind.service();
    let login = facts.auth.filter(|auth| own.is_some() && auth != "none");
    let certificate = facts.fingerprint.filter(|_| own.is_some());
    let certificate = certificate.map(|fingerprint| format!("{}…", &hex(&fingerprint)[..DIGITS]));
    [
        harmless(&one.name),
        own.map_or_else(|| one.kind.to_string(), str::to_owned),
        login.map(|login| harmless(&login)).unwrap_or_default(),
        certificate.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_services::discovery::{Found, ServiceType};

    fn instance(name: &str, addresses: &[&str], txt: &[(&str, &str)]) -> Instance {
        let found = |address: &&str| Found {
            address: address.parse().expect("an address"),
            interface: "eth0".to_owned(),
        };
        Instance {
            name: name.to_owned(),
            kind: ServiceType::of("files", false),
            host: "anna.local".to_owned(),
            port: 9000,
            addresses: addresses.iter().map(found).collect(),
            txt: txt
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        }
    }

    #[test]
    fn each_has_a_line_and_one_for_each_further_address() {
        let digits = "ab".repeat(32);
        let txt = [("txtvers", "1"), ("tls", &digits), ("auth", "scram")];
        let found = [
            instance("kitchen", &["10.9.1.1", "fd09::1"], &txt),
            instance("cellar", &["10.9.1.2"], &[("txtvers", "1"), ("auth", "none")]),
        ];
        let expected = "\
NAME     SERVICE  ENDPOINT              INTERFACE  LOGIN  CERTIFICATE
kitchen  files    tls://10.9.1.1:9000   eth0       scram  abababababababab…
                  tls://[fd09::1]:9000  eth0
cellar   files    tcp://10.9.1.2:9000   eth0
";
        assert_eq!(of(&found), expected);
        assert_eq!(of(&[]), "");
        let line = "+ kitchen  files  tls://10.9.1.1:9000  eth0  scram  abababababababab…\n";
        assert_eq!(watched(true, &found[0]), line);
        assert_eq!(watched(false, &found[1]), "- cellar  files\n");
    }

    #[test]
    fn nobody_steers_the_terminal() {
        let evil = "a\x1b[2J\u{9b}\n\u{202e}b";
        let found = [instance(evil, &["10.9.1.1"], &[("txtvers", "1"), ("auth", evil)])];
        for text in [of(&found), watched(true, &found[0]), watched(false, &found[0])] {
            let odd = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
            assert!(!text.contains(odd), "{text:?}");
            assert!(text.lines().count() <= 2, "{text:?}");
        }
    }
}
