//! A client of datagrams that knows when to stop: it asks, asks again where nothing comes back, and ends at the first answer,
//! at so many, at silence, or when the time is over ([`Policy`]).
//!
//! ```
//! use sockeye::{Model, Server};
//! use sockeye_proto::ask::Policy;
//! use sockeye_services::{ask::Ask, hello::Hello};
//!
//! let server = Server::bind("udp://127.0.0.1:0")?.start_packets(Hello)?;
//! let heard = sockeye::block_on(async {
//!     let mut ask = Ask::dial(server.endpoint(), "dog", Policy::default()).await?;
//!     ask.next().await
//! })??;
//! assert_eq!(heard.map(|answer| answer.bytes.to_vec()), Some(b"cat".to_vec()));
//! server.shutdown().stop();
//! server.join()?;
//! # Ok::<(), sockeye::Error>(())
//! ```

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use sockeye::{Chunk, Class, Datagram, Endpoint, Error, Result, ToEndpoint};
use sockeye_proto::ask::{Asking, End, Policy, Step};

/// A question to one peer, and the answers as they come.
pub struct Ask {
    socket: Datagram,
    question: Vec<u8>,
    asking: Asking,
    /// When it was asked for the first time, and for the last.
    times: Option<(Instant, Instant)>,
    end: Option<End>,
}

/// What came back.
pub struct Answer {
    /// The datagram.
    pub bytes: Chunk,
    /// The time since the question was asked last. If it was asked more than once, the answer may be one to an earlier
    /// time: nothing in it tells.
    pub after: Duration,
}

impl Ask {
    /// Prepares a question. It is asked when [`next`](Self::next) is waited for.
    ///
    /// # Errors
    /// When the endpoint is no one of datagrams, or its name can't be resolved.
    pub async fn dial(
        endpoint: impl ToEndpoint,
        question: impl Into<Vec<u8>>,
        policy: Policy,
    ) -> Result<Self> {
        let socket = Datagram::dial(endpoint).await?;
        Ok(Self::over(socket, question, policy))
    }

    /// The same over a socket that has been dialled.
    pub fn over(socket: Datagram, question: impl Into<Vec<u8>>, policy: Policy) -> Self {
        Ask {
            socket,
            question: question.into(),
            asking: Asking::new(policy),
            times: None,
            end: None,
        }
    }

    /// The next answer; `None` when it is over, and [`end`](Self::end) says why.
    ///
    /// # Errors
    /// When the peer's machine says that nobody has the port (`port unreachable`), a router that there is no way, or the question can't
    /// be sent.
    pub async fn next(&mut self) -> Result<Option<Answer>> {
        loop {
            let now = Instant::now();
            let (first, last) = self.times.unwrap_or((now, now));
            let passed = now.duration_since(first);
            match self.asking.step(passed) {
                Step::Ask => {
                    self.times = Some((first, now));
                    let sent = self.socket.send(&self.question).await;
                    sent.map_err(|error| explained(error, self.socket.endpoint()))?;
                }
                Step::Wait(until) => {
                    let received = sockeye::time::timeout(until - passed, self.socket.recv()).await;
                    let bytes = match received {
                        Ok(received) => received.map_err(|error| explained(error, self.socket.endpoint()))?,
                        Err(late) if late.class() == Class::Timeout => continue,
                        Err(other) => return Err(other),
                    };
                    self.asking.answered(first.elapsed());
                    let after = last.elapsed();
                    return Ok(Some(Answer { bytes, after }));
                }
                Step::Stop(end) => {
                    self.end = Some(end);
                    return Ok(None);
                }
            }
        }
    }

    /// Whom it asks.
    pub fn endpoint(&self) -> &Endpoint {
        self.socket.endpoint()
    }

    /// Why it is over, if it is.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// How often it has asked.
    pub fn asked(&self) -> u32 {
        self.asking.asked()
    }

    /// How many answers have come.
    pub fn answers(&self) -> usize {
        self.asking.answers()
    }
}

/// What ICMP says arrives as a failure of the next call: that the peer has no such port as a refused connection.
fn explained(error: Error, endpoint: &Endpoint) -> Error {
    if !matches!(endpoint, Endpoint::Udp(_)) {
        return error;
    }
    let advice = match error.io_kind() {
        Some(ErrorKind::ConnectionRefused) => {
            let cause = std::io::Error::new(ErrorKind::ConnectionRefused, "port unreachable");
            return Error::io("ask", cause)
                .at(endpoint)
                .advise("the peer's machine says that nobody has this port");
        }
        Some(ErrorKind::HostUnreachable) => {
            "a router, or this machine, says that it can't be reached or is shut off"
        }
        Some(ErrorKind::NetworkUnreachable) => "a router, or this machine, knows no way there",
        _ => return error,
    };
    let errno = error.raw_os_error().map(std::io::Error::from_raw_os_error);
    match errno {
        Some(errno) => Error::io("ask", errno).at(endpoint).advise(advice),
        None => error,
    }
}
