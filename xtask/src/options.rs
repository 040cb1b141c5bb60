//! The options of a command: flags, values (`--rounds 5` or `--rounds=5`), and what follows `--`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;

/// A command line that was typed wrongly: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    flags: Vec<String>,
    values: BTreeMap<String, String>,
    /// What came after `--`.
    pub(crate) rest: Vec<String>,
}

impl Options {
    /// Reads `args`; only the names in `flags` and in `valued` exist.
    pub(crate) fn parse(args: &[String], flags: &[&str], valued: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, inline) = arg
                .split_once('=')
                .map_or((arg.as_str(), None), |(n, v)| (n, Some(v)));
            if arg == "--" {
                options.rest = args.by_ref().cloned().collect();
            } else if flags.contains(&arg.as_str()) {
                options.flags.push(arg.clone());
            } else if valued.contains(&name) {
                let value = match inline {
                    Some(value) => value.to_owned(),
                    None => args
                        .next()
                        .cloned()
                        .ok_or_else(|| Usage(format!("{name} needs a value")))?,
                };
                options.values.insert(name.to_owned(), value);
            } else {
                let known = [flags, valued].concat().join(" ");
                return Err(Usage(format!("no option `{arg}` (there are: {known})")).into());
            }
        }
        Ok(options)
    }

    /// Whether the flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    /// The value that was given to `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The number over 0 that was given to `name`.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u32>> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        self.value(name)
            .map(|text| number(text).ok_or_else(|| Usage(format!("{name} needs a number over 0")).into()))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words, &["--quick"], &["--rounds"])
    }

    #[test]
    fn flags_values_and_the_rest() {
        let o = parse("--quick --rounds 5 -- --rounds chat").unwrap();
        assert!(o.has("--quick"));
        assert_eq!(o.value("--rounds"), Some("5"));
        assert_eq!(o.rest, ["--rounds", "chat"]);
        assert_eq!(parse("--rounds=7").unwrap().value("--rounds"), Some("7"));
        assert_eq!(parse("--rounds=7").unwrap().count("--rounds").unwrap(), Some(7));
        assert_eq!(parse("--quick").unwrap().count("--rounds").unwrap(), None);
        for bad in ["--rounds=0", "--rounds=-1", "--rounds=many"] {
            assert!(parse(bad).unwrap().count("--rounds").unwrap_err().is::<Usage>());
        }
    }

    #[test]
    fn an_unknown_option_and_a_missing_value_are_usage_errors() {
        assert!(parse("--fast").unwrap_err().is::<Usage>());
        assert!(parse("--rounds").unwrap_err().is::<Usage>());
    }
}
