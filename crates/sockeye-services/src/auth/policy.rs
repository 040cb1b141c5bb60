//! What an operator has chosen.

use super::Secret;
use sockeye::{Class, Error};
use std::fmt;
use std::str::FromStr;

/// How peers prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Not at all.
    #[default]
    None,
    /// By a digest under a secret that all of them share, as old programs do.
    Challenge,
    /// By the password of an account.
    Scram,
    /// By a certificate.
    Cert,
}

/// Who may make an account for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Register {
    /// Everybody.
    Open,
    /// Who has been given a code, once.
    Invite,
    /// Nobody: the operator makes them.
    #[default]
    Closed,
}

/// Where a service has its login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nowhere: where one is asked for, it comes before the service begins.
    InFront,
    /// Among its own requests, and it is asked for unless the operator says otherwise.
    Own,
}

/// What an operator has chosen for a listener.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// How peers prove who they are.
    pub scheme: Scheme,
    /// Who may make an account.
    pub register: Register,
    /// For the challenge: what peers must know.
    pub secret: Option<Secret>,
}

fn unknown(what: &'static str, text: &str, known: &str) -> Error {
    let why = format!("there is no {what} {text:?}");
    Error::new("parse", Class::General, why).advise(format!("write {known}"))
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "none" => Ok(Scheme::None),
            "challenge" => Ok(Scheme::Challenge),
            "scram" => Ok(Scheme::Scram),
            "cert" => Ok(Scheme::Cert),
            other => Err(unknown("scheme", other, "none, challenge, scram or cert")),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::None => "none",
            Scheme::Challenge => "challenge",
            Scheme::Scram => "scram",
            Scheme::Cert => "cert",
        })
    }
}

impl FromStr for Register {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "open" => Ok(Register::Open),
            "invite" => Ok(Register::Invite),
            "closed" => Ok(Register::Closed),
            other => Err(unknown("way to register", other, "open, invite or closed")),
        }
    }
}
