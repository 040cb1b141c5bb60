//! From the arguments to the types that are meant.

use anyhow::Result;
use sockeye_services::catalog;
use sockeye_services::discovery::ServiceType;

use super::Args;
use crate::exit::Usage;

/// What to look for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// All of Sockeye's services.
    Sockeye,
    Kinds(Vec<ServiceType>),
}

impl Plan {
    /// # Errors
    /// [`Usage`], always.
    pub(super) fn of(args: &Args) -> Result<Self> {
        if args.types.is_empty() {
            return Ok(Plan::Sockeye);
        }
        let mut kinds = Vec::new();
        for text in &args.types {
            kinds.extend(meant(text)?);
        }
        Ok(Plan::Kinds(kinds))
    }
}

/// A type, or both of a service of Sockeye's.
fn meant(text: &str) -> Result<Vec<ServiceType>, Usage> {
    if text.starts_with('_') {
        let kind = text
            .parse()
            .map_err(|error: sockeye::Error| Usage::new(error.to_string()))?;
        return Ok(vec![kind]);
    }
    if catalog::named(text).is_some() {
        return Ok([false, true]
            .map(|packets| ServiceType::of(text, packets))
            .to_vec());
    }
    let names: Vec<&str> = catalog::ALL.iter().map(|service| service.name).collect();
    Err(Usage::new(format!(
        "there is no service `{}`; write {}, or a type such as _ipp._tcp (`sockeye discover --types` lists them)",
        text.escape_debug(),
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_in_two_ways() {
        let names = |text| meant(text).map(|kinds| kinds.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names("_ipp._tcp").expect("a type"), ["_ipp._tcp"]);
        assert_eq!(
            names("echo").expect("a service"),
            ["_sockeye-echo._tcp", "_sockeye-echo._udp"]
        );
        for (text, words) in [
            ("ipp", "a type such as _ipp._tcp"),
            ("_ipp", "write one such as _ipp._tcp"),
        ] {
            let error = names(text).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
