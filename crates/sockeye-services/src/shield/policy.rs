//! What an operator has chosen, and what holds otherwise.

use sockeye::{Class, Error};
use std::str::FromStr;

/// What an answer may be of its question, both with their headers: as in QUIC (RFC 9000, section 8), no flood becomes worth its
/// while by it. An empty datagram may have an answer of 56 bytes, which is more than a line of the date has.
pub const FACTOR: u32 = 3;
/// Bytes that every datagram costs beside its own: the headers of IPv4 and UDP. An empty question may have some answer so,
/// such as the time of day, without an answer on the wire being more than [`FACTOR`] times the question.
pub(super) const HEADERS: usize = 20 + 8;
/// The greatest factor that may be asked for: what chargen's 512 bytes are to an empty datagram is 20.
pub const MAX_FACTOR: u32 = 10_000;
/// Answers for one source in a second, as many at once. Nobody types faster. Two services that answer each other in less
/// than a millisecond are parted by it, since the first datagram that gets no answer ends a loop; over a slower way it bounds what
/// they send until that.
pub const RATE: u32 = 1_000;
/// The greatest rate that may be asked for: over a million a second nobody waits for a limit.
pub const MAX_RATE: u32 = 1_000_000;

/// Which datagrams a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// All of them, so that two such services could answer each other for ever.
    Everything,
    /// Those that say what it waits for, in as many bytes. Neither a loop nor a flood can be made of it, and it answers anybody
    /// unless told otherwise.
    OneWord,
}

impl Answers {
    /// Whom it answers unless told otherwise.
    pub fn usual_peers(self) -> Peers {
        match self {
            Answers::Everything => Peers::Near,
            Answers::OneWord => Peers::Any,
        }
    }
}

/// Whose datagrams are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// This machine's and those of local networks.
    Near,
    /// Everybody's.
    Any,
}

/// Which ports are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// Those that no service has which would answer the answer.
    #[default]
    Safe,
    /// All of them.
    Any,
}

/// What an operator has chosen for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whom it answers; `None`: whom the service usually does.
    pub peers: Option<Peers>,
    /// Which ports.
    pub ports: Ports,
    /// How many answers a source gets in a second, 1 to [`MAX_RATE`]; `None` is no limit.
    pub rate: Option<u32>,
    /// How many times the bytes of its question an answer may have, 1 to [`MAX_FACTOR`]; `None` is no limit.
    pub factor: Option<u32>,
}

impl Policy {
    /// How many bytes the answer to a question may have.
    ///
    /// ```
    /// use sockeye_services::shield::Policy;
    /// assert_eq!(Policy::default().allowance(0), 56);
    /// ```
    pub fn allowance(&self, question: usize) -> usize {
        let wire = question.saturating_add(HEADERS);
        let answer = |factor: u32| wire.saturating_mul(factor as usize) - HEADERS;
        self.factor.map_or(usize::MAX, answer)
    }

    /// The factor with which an answer of so many bytes fits any question.
    pub fn factor_for(answer: usize) -> usize {
        answer.saturating_add(HEADERS).div_ceil(HEADERS)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            peers: None,
            ports: Ports::default(),
            rate: Some(RATE),
            factor: Some(FACTOR),
        }
    }
}

fn unknown(what: &'static str, text: &str, known: &str) -> Error {
    let why = format!("there are no {what} {text:?}");
    Error::new("parse", Class::General, why).advise(format!("write {known}"))
}

impl FromStr for Peers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "near" => Ok(Peers::Near),
            "any" => Ok(Peers::Any),
            _ => Err(unknown("peers", text, "near or any")),
        }
    }
}

impl FromStr for Ports {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "safe" => Ok(Ports::Safe),
            "any" => Ok(Ports::Any),
            _ => Err(unknown("ports", text, "safe or any")),
        }
    }
}
