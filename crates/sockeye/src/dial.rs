//! Connecting: to whichever of a name's addresses answers first.

use crate::address::Address;
use crate::connection::Connection;
use crate::endpoint::{Endpoint, ToEndpoint, UnixName};
use crate::error::{Class, Error, Result};
use crate::listen::socket_for;
use crate::model;
use crate::options::Options;
use crate::resolve::{Resolved, interleave_by, resolve};
use crate::server::registry::Entry;
use crate::time::{sleep, timeout};
use crate::tls::TlsClient;
use rustix::io::Errno;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long an attempt is alone before the next address is tried beside it: RFC 8305 section 5 recommends 250 ms.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How long all the attempts together may take; the kernel alone would try for more than two minutes.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// One address that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The address.
    pub address: Address,
    /// From the start of the dialling to the start of this attempt.
    pub started: Duration,
    /// How long it took; an attempt that was given up, because another was faster or time was up, has none.
    pub took: Option<Duration>,
    /// What the kernel said.
    pub error: Option<String>,
}

type Watch = Arc<dyn Fn(&Attempt)>;

/// Connects to an endpoint, with whatever is not the default about it.
///
/// ```
/// use sockeye::{Class, Dialer, block_on};
/// // Nobody listens on the discard port of this machine's loopback network.
/// let refused = block_on(Dialer::new().dial("tcp://127.250.250.250:9"))?.unwrap_err();
/// assert_eq!(refused.class(), Class::General);
/// assert!(refused.to_string().starts_with("dial tcp://127.250.250.250:9: connection refused"));
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone)]
pub struct Dialer {
    limit: Duration,
    options: Options,
    local: Option<Address>,
    tls: Option<TlsClient>,
    tls_name: Option<String>,
    watch: Option<Watch>,
}

impl Default for Dialer {
    fn default() -> Self {
        let limit = CONNECT_TIMEOUT;
        Dialer {
            limit,
            options: Options::new(),
            local: None,
            tls: None,
            tls_name: None,
            watch: None,
        }
    }
}

impl Dialer {
    /// The defaults: [`CONNECT_TIMEOUT`], any local address, and for `tls://` the authorities that the machine trusts.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long name lookup, connecting and TLS may take together.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Options that the socket gets before it connects.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The address to connect from; port 0 lets the system choose.
    #[must_use]
    pub fn local(mut self, address: Address) -> Self {
        self.local = Some(address);
        self
    }

    /// Whom to trust on `tls://`.
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Who the certificate must be for, if not the endpoint's host.
    #[must_use]
    pub fn tls_name(mut self, name: impl Into<String>) -> Self {
        self.tls_name = Some(name.into());
        self
    }

    /// Is told of each address that has been tried.
    #[must_use]
    pub fn watch(mut self, watch: impl Fn(&Attempt) + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Class::Address`] when the name can't be resolved, [`Class::Timeout`] when it took too long, else what the last
    /// of the addresses answered.
    pub async fn dial(&self, endpoint: impl ToEndpoint) -> Result<Connection> {
        let endpoint = endpoint.to_endpoint()?;
        let reach = async {
            let found = resolve(&endpoint, false).await?;
            self.dial_resolved(&endpoint, found).await
        };
        match timeout(self.limit, reach).await {
            Ok(reached) => reached,
            Err(late) if late.class() == Class::Timeout => {
                Err(Error::timed_out("dial", self.limit).at(&endpoint))
            }
            Err(other) => Err(other),
        }
    }

    /// Connects to the first of these addresses that answers, IPv6 and IPv4 in turn (RFC 8305), and begins TLS where
    /// the endpoint says so. No limit of time is kept but the kernel's.
    ///
    /// # Errors
    /// As [`dial`](Self::dial).
    pub async fn dial_resolved(&self, endpoint: &Endpoint, found: Vec<Resolved>) -> Result<Connection> {
        if endpoint.is_packet() {
            let error =
                Error::new("dial", Class::General, "there are no connections over packets").at(endpoint);
            return Err(error.advise("use Datagram::dial"));
        }
        let is_v6 = |resolved: &Resolved| matches!(resolved.address, Address::Inet(SocketAddr::V6(_)));
        let addresses = interleave_by(found, is_v6)
            .into_iter()
            .map(|resolved| resolved.address)
            .collect();
        let mut conn = self.race(endpoint, addresses).await?;
        if let Endpoint::Tls(at) = endpoint {
            let tls = self.tls.clone().map_or_else(TlsClient::system, Ok)?;
            let name = self.tls_name.clone().unwrap_or_else(|| at.host.server_name());
            conn.start_tls(&tls, &name).await?;
        }
        Ok(conn)
    }

    /// Each address gets a head start over the next; the first connection wins.
    async fn race(&self, endpoint: &Endpoint, addresses: Vec<Address>) -> Result<Connection> {
        let begun = Instant::now();
        let mut waiting = addresses.into_iter();
        let mut running = Tries {
            dialer: self,
            tries: Vec::new(),
        };
        let mut last = None;
        loop {
            let next = waiting.next();
            let more = next.is_some();
            if let Some(address) = next {
                running.tries.push(self.begin(endpoint, address, begun));
            } else if running.tries.is_empty() {
                let none = || Error::new("dial", Class::Address, "the name has no address").at(endpoint);
                return Err(last.unwrap_or_else(none));
            }
            let mut delay = std::pin::pin!(sleep(ATTEMPT_DELAY));
            let ended = poll_fn(|cx| {
                for (index, attempt) in running.tries.iter_mut().enumerate() {
                    if let Poll::Ready(result) = attempt.future.as_mut().poll(cx) {
                        return Poll::Ready(Some((index, result)));
                    }
                }
                if more && delay.as_mut().poll(cx).is_ready() {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            })
            .await;
            let Some((index, result)) = ended else { continue };
            let attempt = running.tries.remove(index);
            self.tell(
                &attempt,
                Some(begun.elapsed() - attempt.started),
                result.as_ref().err(),
            );
            match result {
                Ok(conn) => return Ok(conn),
                Err(error) => last = Some(error),
            }
        }
    }

    fn begin<'a>(&'a self, endpoint: &'a Endpoint, address: Address, begun: Instant) -> Try<'a> {
        let future = Box::pin(self.connect(endpoint, address.clone()));
        Try {
            address,
            started: begun.elapsed(),
            future,
        }
    }

    fn tell(&self, attempt: &Try<'_>, took: Option<Duration>, error: Option<&Error>) {
        if let Some(watch) = &self.watch {
            let (address, started) = (attempt.address.clone(), attempt.started);
            watch(&Attempt {
                address,
                started,
                took,
                error: error.map(Error::cause),
            });
        }
    }

    async fn connect(&self, endpoint: &Endpoint, address: Address) -> Result<Connection> {
        let failed = |error: std::io::Error| explain(Error::io("dial", error), endpoint, &address);
        let fd = socket_for(endpoint, &address, &self.options)?;
        if let Address::Inet(_) = address {
            rustix::net::sockopt::set_tcp_nodelay(&fd, true).map_err(|errno| failed(errno.into()))?;
        }
        self.options
            .apply_before_bind(&fd)
            .map_err(|error| error.at(endpoint))?;
        if let Some(local) = &self.local {
            rustix::net::bind(&fd, &local.to_any()?)
                .map_err(|errno| Error::io("bind", errno).at(local.endpoint(endpoint.scheme())))?;
        }
        self.options.apply(&fd).map_err(|error| error.at(endpoint))?;
        rustix::io::ioctl_fionbio(&fd, true).map_err(|errno| failed(errno.into()))?;
        let connected = rustix::net::connect(&fd, &address.to_any()?);
        let mut link =
            model::stream(fd, endpoint.scheme()).map_err(|error| error.renamed("dial").at(endpoint))?;
        match connected {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => poll_fn(|cx| link.poll_connected(cx)).await.map_err(failed)?,
            Err(errno) => return Err(failed(errno.into())),
        }
        rustix::io::ioctl_fionbio(link.fd(), false).map_err(|errno| failed(errno.into()))?;
        let scheme = if let Endpoint::Tls(_) = endpoint {
            "tcp"
        } else {
            endpoint.scheme()
        };
        Ok(Connection::new(link, Entry::new(0, address.clone()), scheme))
    }
}

struct Try<'a> {
    address: Address,
    started: Duration,
    future: Pin<Box<dyn Future<Output = Result<Connection>> + 'a>>,
}

/// The attempts under way. Those that are still so when the race is over, won or out of time, are told of too.
struct Tries<'a> {
    dialer: &'a Dialer,
    tries: Vec<Try<'a>>,
}

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        self.tries
            .iter()
            .for_each(|loser| self.dialer.tell(loser, None, None));
    }
}

pub(crate) fn explain(error: Error, endpoint: &Endpoint, address: &Address) -> Error {
    let literal = endpoint.with_address(address);
    let error = if literal == *endpoint {
        error.at(endpoint)
    } else {
        error.at(format!("{endpoint} ({address})"))
    };
    match advice(endpoint, &error) {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

/// What to do, as far as the kind of endpoint and the kernel's answer tell.
fn advice(endpoint: &Endpoint, error: &Error) -> Option<&'static str> {
    let errno = Errno::from_raw_os_error(error.raw_os_error()?);
    let is_vsock = matches!(endpoint, Endpoint::Vsock { .. });
    Some(match (errno, endpoint.unix_name()) {
        (Errno::CONNREFUSED, Some(UnixName::Path(_))) => "the file is there, but its server has ended",
        (Errno::CONNREFUSED, Some(UnixName::Abstract(_))) => "no server has this name; is it running?",
        (Errno::NOENT, Some(_)) => "is the server running?",
        (Errno::PROTOTYPE, Some(_)) => "the socket there is of another kind: unix:, unixgram: or unixseq:",
        (Errno::AGAIN, Some(_)) => "the server does not accept the connections that wait already",
        (Errno::ACCESS | Errno::PERM, Some(_)) => "the permissions of the socket's file or folder forbid it",
        // What a machine says by vsock that has no listener there.
        (Errno::CONNRESET, None) if is_vsock => "nobody listens there",
        (Errno::NODEV, None) if is_vsock => {
            "this machine has no such context (CID), or is no virtual machine"
        }
        (Errno::CONNREFUSED, None) => "nobody listens there, or a firewall says no",
        (Errno::HOSTUNREACH, None) => "it is down, or a router or this machine lets nobody through to it",
        (Errno::NETUNREACH, None) => "this machine has no route to it; see `ip route`",
        _ => return None,
    })
}

/// Connects to an endpoint with the defaults of [`Dialer`].
///
/// # Errors
/// As [`Dialer::dial`].
pub async fn dial(endpoint: impl ToEndpoint) -> Result<Connection> {
    Dialer::new().dial(endpoint).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use crate::model::run;
    use std::cell::RefCell;
    use std::net::{TcpListener, TcpStream};
    use std::rc::Rc;

    #[test]
    fn attempts_that_time_ran_out_for_are_told_of() {
        // A listener that keeps one newcomer and has it: the kernel drops what others send.
        let full = TcpListener::bind("127.0.0.1:0").expect("bind");
        rustix::net::listen(&full, 0).expect("listen");
        let address = full.local_addr().expect("bound");
        let _first = TcpStream::connect(address).expect("room for one");
        for model in Model::ALL {
            let told = Rc::new(RefCell::new(Vec::new()));
            let ear = told.clone();
            let dialer = Dialer::new()
                .timeout(Duration::from_millis(1))
                .watch(move |attempt| ear.borrow_mut().push(attempt.clone()));
            let error = match run(model, dialer.dial(&format!("tcp://{address}"))) {
                Ok(dialled) => dialled.expect_err("nobody answers"),
                Err(error) => {
                    assert_eq!(error.op(), "start model", "{model}: {error}");
                    continue;
                }
            };
            assert_eq!(error.class(), Class::Timeout, "{model}: {error}");
            let told = told.take();
            assert_eq!(told.len(), 1, "{model}");
            assert_eq!(told[0].address, address.into());
            assert!(told[0].took.is_none() && told[0].error.is_none(), "{model}");
        }
    }
}
