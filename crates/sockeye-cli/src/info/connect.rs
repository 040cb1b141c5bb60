//! Connecting, to whichever address answers first or to all of them.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sockeye::{
    Address, Class, Connection, Datagram, Dialer, Endpoint, Error, Options, Resolved, TcpInfo, local_address,
    peer_address, time,
};

use super::failure::{Failure, Kind, Step};
use super::plan::Plan;
use super::report::{Attempt, Ends, Report, micros};

/// How long an answer or a refusal of a datagram is waited for: far longer than a way around the world and back.
const PROBE_WAIT: Duration = Duration::from_millis(500);

/// A way to the peer.
pub(super) enum Socket {
    Stream(Connection),
    Packets(Datagram),
}

impl Socket {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Stream(conn) => conn.as_fd(),
            Socket::Packets(socket) => socket.as_fd(),
        }
    }

    /// Both ends, and what the kernel knows.
    pub(super) fn ends(&self) -> Option<Ends> {
        let fd = self.fd();
        let local = local_address(fd).ok()?;
        let peer = match self {
            Socket::Stream(conn) => conn.peer().clone(),
            Socket::Packets(_) => peer_address(fd).ok()?,
        };
        Some(Ends {
            local_port_chosen: local.port().is_some(),
            local: local.to_string(),
            peer: peer.to_string(),
            options: Options::read(fd),
            tcp: TcpInfo::read(fd).ok().map(Into::into),
        })
    }
}

/// What came of it.
pub(super) struct Reached {
    /// The first connection.
    pub(super) socket: Socket,
    /// An address that all were asked for and that did not answer.
    pub(super) missed: Option<Failure>,
}

/// Tries the addresses.
pub(super) async fn addresses(
    plan: &Plan,
    report: &mut Report,
    found: Vec<Resolved>,
    port: u16,
) -> Result<Reached, Failure> {
    let endpoint = match plan.endpoint {
        Endpoint::Vsock { .. } => plan.endpoint.clone(),
        ref other => other.with_port(port),
    };
    let found: Vec<Resolved> = found.into_iter().map(|one| at_port(one, port)).collect();
    if plan.all || endpoint.is_packet() {
        one_by_one(plan, report, &endpoint, found).await
    } else {
        race(plan, report, &endpoint, found).await
    }
}

fn at_port(mut one: Resolved, port: u16) -> Resolved {
    if let Address::Inet(inet) = &mut one.address {
        inet.set_port(port);
    }
    one
}

/// All at once, each with a head start over the next (RFC 8305).
async fn race(
    plan: &Plan,
    report: &mut Report,
    endpoint: &Endpoint,
    found: Vec<Resolved>,
) -> Result<Reached, Failure> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let ear = told.clone();
    let dialer = Dialer::new().watch(move |attempt| ear.borrow_mut().push(attempt.clone()));
    let dialled = time::timeout(plan.limit, dialer.dial_resolved(endpoint, found)).await;
    let attempts = told.take();
    report.attempts = attempts.into_iter().map(attempt).collect();
    match dialled
        .map_err(|_| late(plan, endpoint))
        .and_then(|dialled| dialled)
    {
        Ok(conn) => Ok(Reached {
            socket: Socket::Stream(conn),
            missed: None,
        }),
        Err(error) => Err(Failure::new(Step::Connect, &error)),
    }
}

fn attempt(told: sockeye::Attempt) -> Attempt {
    Attempt {
        address: told.address.to_string(),
        started_us: micros(told.started),
        took_us: told.took.map(micros),
        connected: told.took.is_some() && told.error.is_none(),
        kind: None,
        error: told.error,
    }
}

/// Each address by itself. The first connection is kept to look at.
async fn one_by_one(
    plan: &Plan,
    report: &mut Report,
    endpoint: &Endpoint,
    found: Vec<Resolved>,
) -> Result<Reached, Failure> {
    let begun = Instant::now();
    let (mut first, mut missed) = (None, None);
    for one in found {
        // Packets need no second address where the first is not known to be wrong.
        if first.is_some() && !plan.all {
            break;
        }
        let literal = endpoint.with_address(&one.address);
        let address = one.address.to_string();
        let started = begun.elapsed();
        let dialled = time::timeout(plan.limit, dial(plan, &literal, one)).await;
        let took = begun.elapsed() - started;
        let dialled = dialled
            .map_err(|_| late(plan, &literal))
            .and_then(|dialled| dialled);
        report
            .attempts
            .push(tried(address, [started, took], dialled.as_ref()));
        match dialled {
            Ok((socket, _)) => {
                first.get_or_insert(socket);
            }
            Err(error) => missed = Some(Failure::new(Step::Connect, &error)),
        }
    }
    match (first, missed) {
        (Some(socket), missed) => Ok(Reached {
            socket,
            missed: missed.filter(|_| plan.all),
        }),
        (None, Some(missed)) => Err(missed),
        (None, None) => {
            let none = Error::new("dial", Class::Address, "the name has no address").at(endpoint);
            Err(Failure::new(Step::Connect, &none))
        }
    }
}

fn tried(
    address: String,
    [started, took]: [Duration; 2],
    dialled: Result<&(Socket, Answer), &Error>,
) -> Attempt {
    let error = dialled.err();
    let connected = dialled.is_ok_and(|(_, answer)| *answer == Answer::Heard);
    let in_time = match error {
        Some(error) => error.class() != Class::Timeout,
        None => connected,
    };
    Attempt {
        address,
        started_us: micros(started),
        took_us: in_time.then_some(micros(took)),
        connected,
        kind: error.map(|error| Kind::of(Step::Connect, error)),
        error: error.map(Error::cause),
    }
}

/// Whether the peer is known to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Heard,
    Silence,
}

async fn dial(plan: &Plan, literal: &Endpoint, one: Resolved) -> sockeye::Result<(Socket, Answer)> {
    if literal.is_packet() {
        let mut socket = Datagram::dial(literal).await?;
        let answer = match literal {
            Endpoint::Udp(_) => probe(plan, &mut socket).await?,
            // The kernel knows whether a Unix socket is there.
            _ => Answer::Heard,
        };
        return Ok((Socket::Packets(socket), answer));
    }
    let dialled = Dialer::new().dial_resolved(literal, vec![one]).await?;
    Ok((Socket::Stream(dialled), Answer::Heard))
}

/// Sends an empty datagram, since to "connect" a socket of UDP asks nobody. What comes back is an answer, a refusal of
/// the machine there (ICMP), or nothing, from which nothing follows.
async fn probe(plan: &Plan, socket: &mut Datagram) -> sockeye::Result<Answer> {
    socket.send(b"").await?;
    // Before the limit of the whole attempt passes, which would be a failure.
    match time::timeout(PROBE_WAIT.min(plan.limit / 2), socket.recv()).await {
        Ok(received) => received.map(|_| Answer::Heard),
        Err(_) => Ok(Answer::Silence),
    }
}

fn late(plan: &Plan, endpoint: &Endpoint) -> Error {
    Error::timed_out("dial", plan.limit)
        .at(endpoint)
        .advise("it may be down, or a firewall drops what is sent to it")
}

/// Another connection to where one went before.
pub(super) async fn again(plan: &Plan, peer: &Address) -> sockeye::Result<Connection> {
    let endpoint = plan.endpoint.with_address(peer);
    let dialled = time::timeout(plan.limit, Dialer::new().dial(&endpoint)).await;
    dialled
        .map_err(|_| late(plan, &endpoint))
        .and_then(|dialled| dialled)
}
