//! What is compared with what: each model beside the program that does the same by the same means.

use anyhow::Result;

use super::{files, shop};
use crate::options::Usage;

/// One kind of measurement.
#[derive(Clone)]
pub(super) struct Comparison {
    /// The load generator's word for it, and the marker's in docs/performance.md.
    pub(super) what: &'static str,
    /// Sockeye's model and the references it is held against.
    pub(super) pairs: Vec<(&'static str, &'static [&'static str])>,
    /// In the order of the table; empty where there is one case only.
    cases: &'static [&'static str],
    /// What is told of each pair.
    pub(super) told: Told,
    /// Whether its servers stay up, and have short turns.
    pub(super) in_turns: bool,
}

/// The figures of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// CPU time per request and requests per second, as ratios to the reference.
    Work,
    /// Bytes per connection, as they are.
    Memory,
}

type Pairs = &'static [(&'static str, &'static [&'static str])];

const STREAMS: Pairs = &[
    ("process", &["c-fork"]),
    ("thread", &["c-thread"]),
    ("spin", &["c-busy"]),
    ("select", &["c-select"]),
    ("epoll-lt", &["c-epoll-lt"]),
    ("epoll-et", &["c-epoll-et"]),
    ("coroutine", &["tokio-ct"]),
    ("uring", &["c-uring", "c-uring-16k", "monoio"]),
];
/// The references for datagrams do not differ by model: one call for many datagrams, and one call for each.
const DATAGRAMS: Pairs = &[
    ("process", &["c-mmsg", "c-plain"]),
    ("thread", &["c-mmsg", "c-plain"]),
    ("spin", &["c-mmsg", "c-plain"]),
    ("select", &["c-mmsg", "c-plain"]),
    ("epoll-lt", &["c-mmsg", "c-plain"]),
    ("epoll-et", &["c-mmsg", "c-plain"]),
    ("coroutine", &["c-mmsg", "tokio-udp"]),
    ("uring", &["c-mmsg", "c-plain"]),
];
/// Those that hold ten thousand connections: not a process or a thread for each, not select.
const MANY: Pairs = &[
    ("epoll-lt", &["c-epoll-lt"]),
    ("epoll-et", &["c-epoll-et"]),
    ("coroutine", &["tokio-ct"]),
    ("uring", &["c-uring", "c-uring-16k", "monoio"]),
];

const ALL: &[(&str, Pairs, &[&str], Told)] = &[
    (
        "echo",
        STREAMS,
        &["c1", "c64", "c1000", "c64x16k", "c64d16"],
        Told::Work,
    ),
    ("udp", DATAGRAMS, &["s1d1", "s1d32", "s16d8"], Told::Work),
    ("idle", MANY, &["idle"], Told::Memory),
    ("churn", STREAMS, &["churn"], Told::Work),
];

const IN_TURNS: &[&str] = &["echo", "udp"];

/// The comparisons that `what` names (all where it names none), with the models that `only` names.
pub(super) fn chosen(what: Option<&str>, only: Option<&str>) -> Result<Vec<Comparison>> {
    let known: Vec<&str> = ALL.iter().map(|c| c.0).chain([shop::WHAT, files::WHAT]).collect();
    refuse_unknown("--what", what, &known)?;
    refuse_unknown("--only", only, &STREAMS.iter().map(|p| p.0).collect::<Vec<_>>())?;
    let wanted = |list: Option<&str>, name: &str| list.is_none_or(|l| l.split(',').any(|w| w == name));
    let kept = ALL
        .iter()
        .filter(|c| wanted(what, c.0))
        .map(|&(what, pairs, cases, told)| Comparison {
            what,
            pairs: pairs.iter().filter(|p| wanted(only, p.0)).copied().collect(),
            cases,
            told,
            in_turns: IN_TURNS.contains(&what),
        });
    Ok(kept.filter(|c| !c.pairs.is_empty()).collect())
}

fn refuse_unknown(option: &str, list: Option<&str>, known: &[&str]) -> Result<()> {
    match list
        .iter()
        .flat_map(|l| l.split(','))
        .find(|w| !known.contains(w))
    {
        Some(word) => Err(Usage(format!("{option}: no `{word}` (there are: {})", known.join(" "))).into()),
        None => Ok(()),
    }
}

impl Comparison {
    /// The cases to run: those of the list that this comparison has, or all where it has none of them.
    pub(super) fn cases(&self, list: Option<&str>) -> Vec<&'static str> {
        let named = |case: &&str| list.is_some_and(|l| l.split(',').any(|w| w == *case));
        let named: Vec<_> = self.cases.iter().copied().filter(named).collect();
        if named.is_empty() {
            self.cases.to_vec()
        } else {
            named
        }
    }

    /// The servers in the order in which a round runs them: a model and at once what it is compared with.
    pub(super) fn servers(&self, built: impl Fn(&str) -> bool) -> Vec<String> {
        let mut servers = Vec::new();
        for (model, references) in &self.pairs {
            servers.push(format!("sockeye-{model}"));
            for reference in references.iter().filter(|r| built(r)) {
                if !servers.iter().any(|s| s == reference) {
                    servers.push((*reference).to_owned());
                }
            }
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_runs_beside_its_references() {
        let echo = &chosen(Some("echo"), Some("epoll-lt,uring")).unwrap()[0];
        assert_eq!(
            echo.servers(|r| r != "monoio"),
            [
                "sockeye-epoll-lt",
                "c-epoll-lt",
                "sockeye-uring",
                "c-uring",
                "c-uring-16k"
            ]
        );
        assert_eq!(echo.cases(Some("c64,s1d1")), ["c64"]);
        assert_eq!(echo.cases(Some("s1d1")).len(), 5);
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(chosen(Some("echo,tea"), None).is_err());
        assert!(chosen(None, Some("fibre")).is_err());
        assert!(chosen(Some("idle"), Some("process")).unwrap().is_empty());
    }
}
