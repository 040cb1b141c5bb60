//! What went wrong, where, and what to do about it.
//!
//! Every operation of this crate fails with an [`Error`]. It reads as `operation endpoint: cause; advice`, for example
//! `dial tcp://127.0.0.1:1: connection refused; is a server listening there?`, and its [`Class`] tells the kinds of
//! failure apart that socket programs treat differently.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use crate::units::format_duration;

/// A result whose error is an [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync>;

/// The four kinds of failure that Python's `socket` module raises as four exceptions.
///
/// | class | Python | raised by |
/// |---|---|---|
/// | `General` | `socket.error` (`OSError`) | any system call |
/// | `Address` | `socket.gaierror` | looking up a name or service ([getaddrinfo(3)]) |
/// | `Host` | `socket.herror` | looking up the name of an address |
/// | `Timeout` | `socket.timeout` (`TimeoutError`) | a deadline that passed |
///
/// [getaddrinfo(3)]: https://man7.org/linux/man-pages/man3/getaddrinfo.3.html
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A system call failed, or what was asked for makes no sense.
    General,
    /// A host or service name could not be turned into an address.
    Address,
    /// An address could not be turned into a host name.
    Host,
    /// A deadline passed, Sockeye's own or the kernel's (`ETIMEDOUT`).
    Timeout,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::General => "general",
            Self::Address => "address",
            Self::Host => "host",
            Self::Timeout => "timeout",
        })
    }
}

/// A failed operation: which one, on which endpoint, why, of which [`Class`], and what to do next.
///
/// It is one pointer wide, so that a `Result` stays small. [`source`](StdError::source) gives the cause, which
/// [`Display`](fmt::Display) already shows: print `{error}`, not the whole chain.
///
/// ```
/// use sockeye::{Class, Error};
///
/// let refused = std::io::Error::from_raw_os_error(111);
/// let error = Error::io("dial", refused).at("tcp://127.0.0.1:1").advise("is a server listening there?");
/// assert_eq!(error.to_string(), "dial tcp://127.0.0.1:1: connection refused; is a server listening there?");
/// assert_eq!(error.class(), Class::General);
/// assert_eq!(error.raw_os_error(), Some(111));
/// ```
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    op: &'static str,
    endpoint: Option<String>,
    class: Class,
    cause: Cause,
    advice: Option<String>,
}

impl Error {
    /// An error of the given class with any cause: a text, or another error.
    ///
    /// ```
    /// let error = sockeye::Error::new("listen", sockeye::Class::General, "the model is unknown");
    /// assert_eq!(error.to_string(), "listen: the model is unknown");
    /// ```
    pub fn new(op: &'static str, class: Class, cause: impl Into<Cause>) -> Self {
        let inner = Inner {
            op,
            endpoint: None,
            class,
            cause: cause.into(),
            advice: None,
        };
        Self {
            inner: Box::new(inner),
        }
    }

    /// A failed system call. `ETIMEDOUT` becomes [`Class::Timeout`], everything else [`Class::General`]; an
    /// [`Error`] that travelled inside the [`io::Error`] keeps its class.
    pub fn io(op: &'static str, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        let class = match carried(&cause) {
            Some(error) => error.class(),
            None if cause.kind() == io::ErrorKind::TimedOut => Class::Timeout,
            None => Class::General,
        };
        Self::new(op, class, cause)
    }

    /// A deadline that passed: `recv tcp://h:80: timed out after 5s`.
    pub fn timed_out(op: &'static str, after: Duration) -> Self {
        let text = format!("timed out after {}", format_duration(after));
        Self::new(op, Class::Timeout, io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// Names the endpoint, replacing an earlier one.
    #[must_use]
    pub fn at(mut self, endpoint: impl fmt::Display) -> Self {
        self.inner.endpoint = Some(endpoint.to_string());
        self
    }

    /// Says what to do next, replacing earlier advice. It follows a semicolon, so it starts in lower case.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.inner.advice = Some(advice.into());
        self
    }

    /// The same failure as a part of another operation.
    #[must_use]
    pub(crate) fn renamed(mut self, op: &'static str) -> Self {
        self.inner.op = op;
        self
    }

    /// The operation that failed, such as `dial`.
    pub fn op(&self) -> &'static str {
        self.inner.op
    }

    /// Where it failed, as text such as `tcp://127.0.0.1:80`.
    pub fn endpoint(&self) -> Option<&str> {
        self.inner.endpoint.as_deref()
    }

    /// Which kind of failure it is.
    pub fn class(&self) -> Class {
        self.inner.class
    }

    /// The cause alone, without operation, endpoint and advice.
    pub fn cause(&self) -> String {
        cause_text(self.inner.cause.as_ref())
    }

    /// What to do next, when there is something to do.
    pub fn advice(&self) -> Option<&str> {
        self.inner.advice.as_deref()
    }

    /// The kind of the input or output error below, [`TimedOut`](io::ErrorKind::TimedOut) for any timeout.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let below = self.below(|error| Some(error.kind()));
        below.or((self.class() == Class::Timeout).then_some(io::ErrorKind::TimedOut))
    }

    /// The kernel's number for the cause ([errno(3)](https://man7.org/linux/man-pages/man3/errno.3.html)).
    pub fn raw_os_error(&self) -> Option<i32> {
        self.below(io::Error::raw_os_error)
    }

    /// Asks the input or output error that this one is about, through any `Error` it was wrapped in.
    fn below<T>(&self, ask: impl Fn(&io::Error) -> Option<T> + Copy) -> Option<T> {
        if let Some(error) = self.inner.cause.downcast_ref::<Error>() {
            return error.below(ask);
        }
        let cause = self.inner.cause.downcast_ref::<io::Error>()?;
        match carried(cause) {
            Some(error) => error.below(ask).or_else(|| ask(cause)),
            None => ask(cause),
        }
    }
}

/// The `Error` that an [`io::Error`] was made from, if it was.
fn carried(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op())?;
        if let Some(endpoint) = self.endpoint() {
            write!(f, " {endpoint}")?;
        }
        write!(f, ": {}", cause_text(self.inner.cause.as_ref()))?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// The cause as the middle of a sentence: the kernel's texts lose their number and their capital.
fn cause_text(cause: &(dyn StdError + Send + Sync + 'static)) -> String {
    let text = cause.to_string();
    let Some(code) = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error)
    else {
        return text;
    };
    let text = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // An abbreviation ("RPC struct is bad") keeps its capitals.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.inner.cause.as_ref())
    }
}

/// For `?` in handlers that read and write through Tokio's traits. An [`Error`] that was wrapped on the way in comes
/// out unchanged; any other becomes the operation `io`.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(own) => own,
            Err(other) => Self::io("io", other),
        }
    }
}

/// For implementing Tokio's and the standard library's traits: the kind is kept, the error is wrapped whole.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.io_kind().unwrap_or(io::ErrorKind::Other);
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Error {
        io::Error::from_raw_os_error(libc::ECONNREFUSED)
    }

    #[test]
    fn says_operation_endpoint_cause_and_advice() {
        let error = Error::io("dial", refused()).at("tcp://127.0.0.1:1");
        assert_eq!(error.to_string(), "dial tcp://127.0.0.1:1: connection refused");
        let error = error.advise("start the server first");
        assert_eq!(
            error.to_string(),
            "dial tcp://127.0.0.1:1: connection refused; start the server first"
        );
        assert_eq!(Error::new("bind", Class::General, "no").to_string(), "bind: no");
    }

    #[test]
    fn own_texts_keep_their_capitals() {
        assert_eq!(
            Error::new("parse", Class::General, "IPv6 is off").to_string(),
            "parse: IPv6 is off"
        );
        let input_output = io::Error::from_raw_os_error(libc::EIO);
        assert_eq!(
            Error::io("recv", input_output).to_string(),
            "recv: input/output error"
        );
        let remote = io::Error::from_raw_os_error(libc::EREMOTEIO);
        assert_eq!(Error::io("recv", remote).to_string(), "recv: remote I/O error");
    }

    #[test]
    fn classes_follow_the_cause() {
        assert_eq!(Error::io("dial", refused()).class(), Class::General);
        let late = io::Error::from_raw_os_error(libc::ETIMEDOUT);
        assert_eq!(Error::io("dial", late).class(), Class::Timeout);
        let own = Error::timed_out("recv", Duration::from_millis(1500));
        assert_eq!(own.to_string(), "recv: timed out after 1500ms");
        assert_eq!(own.io_kind(), Some(io::ErrorKind::TimedOut));
        let wrapped = Error::io("read line", io::Error::from(own));
        assert_eq!(wrapped.class(), Class::Timeout);
    }

    #[test]
    fn goes_through_io_error_and_back_unchanged() {
        let before = Error::io("send", refused()).at("unix:@x").advise("try again");
        let text = before.to_string();
        let carried = io::Error::from(before);
        assert_eq!(carried.kind(), io::ErrorKind::ConnectionRefused);
        let after = Error::from(carried);
        assert_eq!(after.to_string(), text);
        assert_eq!((after.op(), after.endpoint()), ("send", Some("unix:@x")));
        assert_eq!(after.raw_os_error(), Some(libc::ECONNREFUSED));
    }

    #[test]
    fn finds_the_system_error_through_wrappers() {
        let outer = Error::io("relay", io::Error::from(Error::io("send", refused())));
        assert_eq!(outer.io_kind(), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(outer.raw_os_error(), Some(libc::ECONNREFUSED));
        let outer = Error::new("serve", Class::General, Error::io("bind", refused()));
        assert_eq!(outer.raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(Error::new("x", Class::General, "y").io_kind(), None);
    }

    #[test]
    fn the_source_is_the_cause() {
        let error = Error::io("dial", refused());
        let source = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(
            source.map(io::Error::kind),
            Some(io::ErrorKind::ConnectionRefused)
        );
    }

    #[test]
    fn a_result_is_small() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
