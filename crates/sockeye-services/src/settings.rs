//! What the user of a service has set.

use crate::auth::Policy;
use crate::data::Data;
use crate::shield;
use sockeye::{Class, Error, Result};

/// Something that a service lets its user set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, as in `?name=value`.
    pub name: &'static str,
    /// What its value is like, such as `SIZE`.
    pub value: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Whether it may come more than once.
    pub repeats: bool,
}

/// The values that a user gave, and what the service is to be made for.
///
/// ```
/// use sockeye_services::settings::Settings;
/// let settings = Settings::new().set("framing", "lines");
/// assert_eq!(settings.value("framing"), Some("lines"));
/// assert!(settings.parse::<u16>("framing").is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: Vec<(String, String)>,
    /// Whether it is to be served in datagrams.
    pub packets: bool,
    /// The folder where services keep their data, if they may keep any.
    pub data: Option<Data>,
    /// How its peers prove who they are, and who may register.
    pub auth: Policy,
    /// Which datagrams are answered.
    pub shield: shield::Policy,
}

impl Settings {
    /// Nothing is set: every service has its defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value, beside earlier ones of that name.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }

    /// Every name and value, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The last value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter()
            .filter(|(known, _)| *known == name)
            .last()
            .map(|(_, value)| value)
    }

    /// The last value of this name as another type.
    ///
    /// # Errors
    /// What that type says of the value.
    pub fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let parsed = value.parse();
        parsed
            .map(Some)
            .map_err(|error: T::Err| wrong(name, value, error.to_string()))
    }
}

/// A setting that makes no sense: `set framing=xml: …`.
pub fn wrong(name: &str, value: &str, why: impl Into<String>) -> Error {
    Error::new("set", Class::General, why.into()).at(format_args!("{name}={}", value.escape_debug()))
}
