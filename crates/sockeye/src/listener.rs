//! Accepting in a loop of one's own.

use crate::address::{Address, local_address};
use crate::connection::Connection;
use crate::endpoint::{Endpoint, ToEndpoint};
use crate::error::{Class, Error, Result};
use crate::listen::{self, SocketFile};
use crate::model::{self, AcceptLink};
use crate::options::Options;
use crate::resolve::resolve;
use crate::server::accept::passing;
use crate::server::registry::Entry;
use std::future::poll_fn;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A socket that waits for peers: Python's `bind`, `listen` and `accept`, for programs that want the loop in their own
/// hands. Most are better served by [`Server`](crate::Server), which also counts, limits, drains and goes on when
/// descriptors run out.
///
/// ```
/// use sockeye::{Listener, block_on, dial};
/// let heard = block_on(async {
///     let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
///     let mut client = dial(listener.endpoint()).await?;
///     let mut conn = listener.accept().await?;
///     assert_eq!(*conn.peer(), client.local()?);
///     client.send("hello").await?;
///     conn.recv().await
/// })??;
/// assert_eq!(&heard[..], b"hello");
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Listener {
    link: Box<dyn AcceptLink>,
    endpoint: Endpoint,
    options: Options,
    _file: Option<SocketFile>,
}

impl Listener {
    /// Binds the first of the endpoint's addresses that can be bound, and listens.
    ///
    /// # Errors
    /// When the name can't be resolved, the address is taken or wants privileges, or the endpoint carries packets.
    pub async fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        Self::bind_with(endpoint, Options::new()).await
    }

    /// [`bind`](Self::bind), with options for the socket, which its connections inherit.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), or when the kernel refuses an option.
    pub async fn bind_with(endpoint: impl ToEndpoint, options: Options) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        let unfit = |why, advice| {
            let error = Error::new("listen", Class::General, why);
            Err(error.at(&endpoint).advise(advice))
        };
        match endpoint {
            Endpoint::Udp(_) | Endpoint::UnixGram(_) => {
                return unfit("it carries packets, which are not accepted", "use Datagram::bind");
            }
            // The handshake takes as long as the peer wants, and nobody else would be accepted meanwhile.
            Endpoint::Tls(_) => {
                return unfit(
                    "a handshake is each connection's own",
                    "listen on tcp:// and call Connection::accept_tls",
                );
            }
            _ => {}
        }
        let found = resolve(&endpoint, true).await?;
        let bound = listen::bind_resolved(&endpoint, found, &options)?;
        Self::new(bound.fd, bound.endpoint, options, bound.file)
    }

    /// Makes one of a socket that listens already: of another family, or handed over by a service manager. `endpoint` is
    /// what its errors call it.
    ///
    /// # Errors
    /// When no model is running on this thread, or the model refuses the descriptor.
    pub fn adopt(fd: OwnedFd, endpoint: Endpoint) -> Result<Self> {
        Self::new(fd, endpoint, Options::new(), None)
    }

    fn new(fd: OwnedFd, endpoint: Endpoint, options: Options, file: Option<SocketFile>) -> Result<Self> {
        let link = model::current()?.acceptor(fd);
        Ok(Listener {
            link: link.map_err(|error| Error::io("listen", error).at(&endpoint))?,
            endpoint,
            options,
            _file: file,
        })
    }

    /// Where it listens, with the port that the system chose.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its own address (Python's `getsockname`).
    ///
    /// # Errors
    /// When the kernel has none for it.
    pub fn local(&self) -> Result<Address> {
        local_address(self.link.fd())
    }

    /// Waits for the next connection. One that was gone before it could be accepted is passed over. Bound the wait by
    /// [`time::timeout`](crate::time::timeout); look without a wait by [`time::at_once`](crate::time::at_once).
    ///
    /// # Errors
    /// When the system lacks something for it, such as descriptors (`EMFILE`): it is still there, and can be accepted
    /// once some have been closed.
    pub async fn accept(&mut self) -> Result<Connection> {
        loop {
            match poll_fn(|cx| self.link.poll_accept(cx)).await {
                Ok(accepted) => {
                    let peer = accepted.peer.as_ref();
                    let peer = peer.map_or(Address::Unix(None), Address::from_any);
                    let entry = Entry::new(0, peer);
                    let conn = Connection::accepted(accepted.fd, entry, self.endpoint.scheme())?;
                    self.options.apply_to_accepted(&conn)?;
                    return Ok(conn);
                }
                Err(error) if passing(&error) => {}
                Err(error) => return Err(Error::io("accept", error).at(&self.endpoint)),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Class, Listener, Model, Options, block_on, dial, run, time};
    use std::time::Duration;

    #[test]
    fn accepts_in_order_under_every_model() {
        for model in Model::ALL {
            let accepted = run(model, async {
                let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
                let mut first = dial(listener.endpoint()).await?;
                let second = dial(listener.endpoint()).await?;
                let mut conn = listener.accept().await?;
                assert_eq!(*conn.peer(), first.local()?, "{model}");
                assert_eq!(*listener.accept().await?.peer(), second.local()?, "{model}");
                first.send("ping").await?;
                assert_eq!(&conn.recv().await?[..], b"ping", "{model}");
                conn.send("pong").await?;
                assert_eq!(&first.recv().await?[..], b"pong", "{model}");
                let late = time::timeout(Duration::from_millis(1), listener.accept()).await;
                assert_eq!(late.err().map(|error| error.class()), Some(Class::Timeout));
                Ok::<_, crate::Error>(())
            });
            match accepted {
                Ok(accepted) => accepted.expect("both were accepted"),
                Err(error) => assert_eq!(error.op(), "start model", "{model}: {error}"),
            }
        }
    }

    #[test]
    fn only_plain_connections_are_accepted() {
        for (endpoint, advice) in [
            ("udp://127.0.0.1:0", "use Datagram::bind"),
            (
                "tls://127.0.0.1:0",
                "listen on tcp:// and call Connection::accept_tls",
            ),
        ] {
            let error = block_on(Listener::bind(endpoint)).expect("a model");
            assert_eq!(error.err().expect("unfit").advice(), Some(advice));
        }
    }

    #[test]
    fn a_socket_made_elsewhere_is_adopted_with_its_options() {
        let made = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = made.local_addr().expect("bound");
        let adopted = block_on(async {
            Options::new().nodelay(true).apply(&made)?;
            let mut listener = Listener::adopt(made.into(), format!("tcp://{address}").parse()?)?;
            assert_eq!(listener.local()?, address.into());
            let _client = dial(listener.endpoint()).await?;
            let conn = listener.accept().await?;
            assert!(Options::read(&conn).contains(&("nodelay", "true".to_owned())));
            Ok::<_, crate::Error>(())
        });
        adopted.expect("a model").expect("accepted");
    }

    #[test]
    fn the_file_of_a_unix_socket_goes_with_its_listener() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let endpoint = format!("unix://{}", path.display());
        let listened = block_on(async {
            let listener = Listener::bind(&endpoint).await?;
            assert!(path.exists());
            drop(listener);
            Ok::<_, crate::Error>(())
        });
        listened.expect("a model").expect("bound");
        assert!(!path.exists());
    }
}
