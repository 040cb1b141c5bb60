//! Python's `socket` → here: every name that the classic tutorials use, and what it is in this library.
//!
//! Three habits differ. An address is one text, an [`Endpoint`], and family and kind are read from it.
//! Waiting is `.await`, under whichever [`Model`] runs: [`block_on`] in a plain program,
//! a [`Handler`] in a server. And what is sent is sent whole, unless you ask for less.
//!
//! | in Python | here |
//! |---|---|
//! | [`AF_INET`](#af_inet) | `tcp://127.0.0.1:80`, `udp://127.0.0.1:53` |
//! | [`AF_INET6`](#af_inet6) | `tcp://[::1]:80`, `udp://[fe80::1%eth0]:53` |
//! | [`AF_UNIX`](#af_unix) | `unix:///run/x.sock`, `unix:@x`; `unixgram:` for datagrams |
//! | [`SOCK_STREAM`, `SOCK_DGRAM`](#sock_stream-and-sock_dgram) | [`Connection`], [`Datagram`] |
//! | [`SOCK_SEQPACKET`](#sock_seqpacket) | `unixseq:…`, or [`Connection::adopt`] |
//! | [`AF_CAN`, `AF_RDS`, `SOCK_RAW`](#af_can-af_rds-sock_raw) | [`Datagram::adopt`] |
//! | [`bind`](#bind) | [`Server::bind`], [`Listener::bind`], [`Datagram::bind`], [`Dialer::local`] |
//! | [`listen`](#listen) | comes with `bind` |
//! | [`accept`](#accept) | [`Handler::handle`], or [`Listener::accept`] |
//! | [`connect`](#connect) | [`dial()`], [`Datagram::dial`] |
//! | [`connect_ex`](#connect_ex) | [`Error::raw_os_error`] |
//! | [`recv`](#recv) | [`Connection::recv`], or `read`, `read_exact` of Tokio's traits |
//! | [`send`](#send) | [`Connection::send`]; `write` of Tokio's traits for as much as goes |
//! | [`sendall`](#sendall) | [`Connection::send_all`] |
//! | [`sendfile`](#sendfile) | [`Connection::send_file`] |
//! | [`recvfrom`](#recvfrom) | [`Datagram::recv_from`] |
//! | [`recvmsg`](#recvmsg) | [`Datagram::recv_message`], [`Datagram::reply`] |
//! | [`sendto`](#sendto) | [`Datagram::send_to`] |
//! | [`getpeername`](#getpeername) | [`Connection::peer`], [`peer_address`] |
//! | [`getsockname`](#getsockname) | [`Connection::local`], [`Datagram::local`], [`local_address`] |
//! | [`setsockopt`](#setsockopt) | [`Options`], applied when binding or dialling, or by [`Options::apply`] |
//! | [`getsockopt`](#getsockopt) | [`Options::read`], [`TcpInfo::read`] |
//! | [`settimeout`](#settimeout) | [`Connection::set_timeout`], [`Datagram::set_timeout`], [`time::timeout`] |
//! | [`gettimeout`](#gettimeout) | [`Connection::timeouts`], [`Datagram::timeouts`] |
//! | [`setblocking`](#setblocking) | [`Connection::try_recv`], [`time::at_once`] |
//! | [`fileno`](#fileno) | `as_raw_fd()`, `as_fd()` |
//! | [`makefile`](#makefile) | a [`Connection`] is one: `read_line`, `lines`, `tokio::io::split` |
//! | [`getservbyname`](#getservbyname) | [`service_port`], [`service_by_name`] |
//! | [`socket.error`](#error) | [`Class::General`] |
//! | [`socket.gaierror`](#gaierror) | [`Class::Address`] |
//! | [`socket.herror`](#herror) | [`Class::Host`] |
//! | [`socket.timeout`](#timeout) | [`Class::Timeout`] |
//! | [`shutdown`, `close`](#shutdown-and-close) | [`Connection::close_write`], dropping it |
//!
//! # `AF_INET`
//! `socket(AF_INET, SOCK_STREAM)` and the pair `("127.0.0.1", 80)` are one text. A port may have a service's name.
//! ```
//! use sockeye::{Endpoint, Listener, block_on};
//! let web: Endpoint = "tcp://127.0.0.1:http".parse()?;
//! assert_eq!(web.scheme(), "tcp");
//! let endpoint = block_on(async { Listener::bind("tcp://127.0.0.1:0").await.map(|it| it.endpoint().clone()) })??;
//! assert_ne!(endpoint.port(), Some(0)); // the system chose one
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `AF_INET6`
//! The address stands in brackets, its scope behind a `%`. `tcp://:80` listens on IPv6 and IPv4 alike.
//! ```
//! use sockeye::{Class, Listener, block_on};
//! match block_on(Listener::bind("tcp://[::1]:0"))? {
//!     Ok(listener) => assert!(listener.local()?.ip().is_some_and(|ip| ip.is_ipv6())),
//!     Err(error) => assert_eq!(error.class(), Class::General), // a machine without IPv6
//! }
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `AF_UNIX`
//! A path, or a name of Linux' abstract space behind an `@`. The file of a path goes with its listener; one that a dead
//! server has left is replaced.
//! ```
//! use sockeye::{Listener, block_on, dial};
//! let endpoint = format!("unix:@sockeye-doc-{}", std::process::id());
//! let heard = block_on(async {
//!     let mut listener = Listener::bind(&endpoint).await?;
//!     let mut client = dial(&endpoint).await?;
//!     client.send("hello").await?;
//!     listener.accept().await?.recv().await
//! })??;
//! assert_eq!(&heard[..], b"hello");
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `SOCK_STREAM` and `SOCK_DGRAM`
//! Streams and packets are two types, since they are two things: a stream has an end and no bounds of messages, a packet
//! is whole and may get lost.
//! ```
//! use sockeye::Endpoint;
//! for (text, is_stream) in [("tcp://h:1", true), ("unix:@x", true), ("udp://h:1", false), ("unixgram:@x", false)] {
//!     assert_eq!(text.parse::<Endpoint>()?.is_stream(), is_stream);
//! }
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `SOCK_SEQPACKET`
//! Connections that keep messages apart: `unixseq:` endpoints, or a descriptor made elsewhere. Each comes whole; receiving
//! one over 256 KiB is an error, where Python's `recv(n)` loses what is beyond `n` in silence.
//! ```
//! use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
//! use sockeye::{Connection, block_on};
//! block_on(async {
//!     let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
//!         .map_err(std::io::Error::from)?;
//!     let (mut one, mut other) = (Connection::adopt(one)?, Connection::adopt(other)?);
//!     one.send("first").await?;
//!     one.send("second").await?;
//!     assert_eq!(&other.recv().await?[..], b"first"); // alone, though both have come
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `AF_CAN`, `AF_RDS`, `SOCK_RAW`
//! What no endpoint can name is made by hand and adopted: its packets then come and go like all others. The endpoint is
//! only what errors call it. Raw sockets want root.
//! ```
//! use rustix::net::{AddressFamily, SocketType, ipproto, socket};
//! use sockeye::{Address, Datagram, block_on};
//! // AF_CAN with SOCK_RAW, AF_RDS with SOCK_SEQPACKET: alike, where the kernel has them.
//! let Ok(raw) = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)) else {
//!     return Ok(()); // no root
//! };
//! let packet = block_on(async {
//!     let mut raw = Datagram::adopt(raw, "udp://127.0.0.1:0".parse()?)?;
//!     let echo_request = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1]; // RFC 792: type, code, checksum, number, sequence
//!     raw.send_to(&echo_request, &Address::Inet(([127, 0, 0, 1], 0).into())).await?;
//!     raw.recv().await
//! })??;
//! assert_eq!(packet[9], 1); // the IP header's protocol: ICMP
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `bind`
//! A server binds at once, so that a port that is taken is known before anything else is started. `SO_REUSEADDR` is set.
//! A client that wants to come from a certain address says so to its [`Dialer`].
//! ```
//! use sockeye::{Address, Dialer, Listener, Server, block_on};
//! let server = Server::bind("tcp://127.0.0.1:0")?;
//! let taken = Server::bind(server.endpoint()).err().expect("one server per port");
//! assert!(taken.to_string().contains("address already in use"));
//! block_on(async {
//!     let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let from = Address::Inet(([127, 0, 0, 2], 0).into());
//!     let _client = Dialer::new().local(from.clone()).dial(listener.endpoint()).await?;
//!     assert_eq!(listener.accept().await?.peer().ip(), from.ip());
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `listen`
//! `bind` on an endpoint of connections listens too; the kernel keeps up to 4,096 that wait to be accepted.
//! ```
//! use sockeye::{Listener, block_on, dial};
//! block_on(async {
//!     let listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     dial(listener.endpoint()).await?; // nobody has accepted yet, and it is connected
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `accept`
//! A [`Server`] accepts and runs the handler for each connection, under any model. [`Listener`] is for a
//! loop in your own hands.
//!
//! ```
//! use sockeye::{Connection, Handler, Listener, Result, Server, block_on, dial};
//! struct Hello;
//! impl Handler for Hello {
//!     async fn handle(&self, conn: &mut Connection) -> Result<()> {
//!         conn.send("helloworld").await
//!     }
//! }
//! let server = Server::bind("tcp://127.0.0.1:0")?.start(Hello)?;
//! assert_eq!(&block_on(async { dial(&server.endpoint()).await?.recv().await })??[..], b"helloworld");
//!
//! block_on(async {
//!     let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let client = dial(listener.endpoint()).await?;
//!     let conn = listener.accept().await?; // Python's conn, and addr is conn.peer()
//!     assert_eq!(*conn.peer(), client.local()?);
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `connect`
//! [`dial()`] resolves the name, tries all of its addresses (IPv6 and IPv4 raced as RFC 8305 says), and gives up after
//! 30 seconds; a [`Dialer`] sets all of that.
//! ```
//! use sockeye::{Dialer, Listener, block_on};
//! use std::time::Duration;
//! block_on(async {
//!     let listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let conn = Dialer::new().timeout(Duration::from_secs(5)).dial(listener.endpoint()).await?;
//!     assert_eq!(*conn.peer(), listener.local()?);
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `connect_ex`
//! Python's second `connect` returns the number of the error instead of raising it. Here every error knows its number.
//! ```
//! use sockeye::{block_on, dial};
//! // Nobody listens on the discard port of this machine's loopback network.
//! let refused = block_on(dial("tcp://127.250.250.250:9"))?.err();
//! let number = refused.map_or(0, |error| error.raw_os_error().unwrap_or(-1));
//! assert_eq!(number, libc::ECONNREFUSED);
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `recv`
//! `recv` brings what has come, without a copy; an empty chunk is the end, as Python's `b""`. For at most `n` bytes there
//! is `read`, for exactly `n` `read_exact`.
//! ```
//! use sockeye::{Connection, block_on};
//! use std::{io::Write, os::unix::net::UnixStream};
//! use tokio::io::AsyncReadExt;
//! let (ours, mut theirs) = UnixStream::pair()?;
//! theirs.write_all(b"abcdef")?;
//! drop(theirs);
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     let mut two = [0; 2];
//!     assert_eq!(conn.read(&mut two).await?, 2); // conn.recv(2)
//!     assert_eq!(&conn.recv().await?[..], b"cdef");
//!     assert!(conn.recv().await?.is_empty()); // the end
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `send`
//! Python's `send` may send a part and returns how much; that is `write` here. [`Connection::send`] sends all of a chunk.
//! ```
//! use sockeye::{Connection, block_on};
//! use std::{io::Read, os::unix::net::UnixStream};
//! use tokio::io::AsyncWriteExt;
//! let (ours, mut theirs) = UnixStream::pair()?;
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     let count = conn.write(b"some").await?;
//!     assert!((1..=4).contains(&count));
//!     conn.send(b"all of it".to_vec()).await
//! })??;
//! let mut text = String::new();
//! theirs.read_to_string(&mut text)?;
//! assert_eq!(text, "someall of it");
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `sendall`
//! ```
//! use sockeye::{Connection, block_on};
//! use std::{io::Read, os::unix::net::UnixStream};
//! let (ours, mut theirs) = UnixStream::pair()?;
//! let reader = std::thread::spawn(move || theirs.read_to_end(&mut Vec::new()));
//! let megabytes = vec![7; 4 << 20]; // more than the kernel holds: this waits for the reader
//! block_on(async { Connection::adopt(ours.into())?.send_all(&megabytes).await })??;
//! assert_eq!(reader.join().expect("it read")?, megabytes.len());
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `sendfile`
//! By `sendfile(2)`: the bytes don't pass through the program, except under TLS.
//! ```
//! use sockeye::{Connection, block_on};
//! use std::{io::Read, io::Write, os::unix::net::UnixStream};
//! let mut file = tempfile::tempfile()?;
//! file.write_all(b"0123456789")?;
//! let (ours, mut theirs) = UnixStream::pair()?;
//! let sent = block_on(async { Connection::adopt(ours.into())?.send_file(&file, 4, u64::MAX).await })??;
//! let mut text = String::new();
//! theirs.read_to_string(&mut text)?;
//! assert_eq!((sent, text.as_str()), (6, "456789"));
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `recvfrom`
//! A packet comes whole, whatever its size: there is no buffer to choose too small. (Unix sockets have packets over
//! 256 KiB if one asks for them; those are an error.) One of no bytes is no end.
//! ```
//! use sockeye::{Datagram, block_on};
//! block_on(async {
//!     let mut server = Datagram::bind("udp://127.0.0.1:0").await?;
//!     let mut client = Datagram::dial(server.endpoint()).await?;
//!     client.send(&[7; 65_507]).await?;
//!     let (packet, from) = server.recv_from().await?;
//!     assert_eq!((packet.len(), from), (65_507, client.local()?));
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `recvmsg`
//! With `IP_PKTINFO` it tells a server of all addresses which of them was meant, and so where its answer is to come from.
//! ```
//! use sockeye::{Datagram, block_on};
//! block_on(async {
//!     let mut server = Datagram::bind("udp://0.0.0.0:0").await?;
//!     let port = server.endpoint().port().unwrap_or(0);
//!     let mut client = Datagram::dial(&format!("udp://127.0.0.2:{port}")).await?;
//!     client.send(b"dog").await?;
//!     let message = server.recv_message().await?;
//!     assert_eq!(message.local().map(ToString::to_string), Some(format!("127.0.0.2:{port}")));
//!     server.reply(&message, b"cat").await?;
//!     assert_eq!(&client.recv().await?[..], b"cat");
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `sendto`
//! ```
//! use sockeye::{Datagram, block_on};
//! block_on(async {
//!     let mut one = Datagram::bind("udp://127.0.0.1:0").await?;
//!     let mut other = Datagram::bind("udp://127.0.0.1:0").await?;
//!     one.send_to(b"dog", &other.local()?).await?;
//!     assert_eq!(&other.recv().await?[..], b"dog");
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `getpeername`
//! ```
//! use sockeye::{Listener, block_on, dial, peer_address};
//! block_on(async {
//!     let listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let conn = dial(listener.endpoint()).await?;
//!     assert_eq!(*conn.peer(), listener.local()?);
//!     assert_eq!(peer_address(&conn)?, listener.local()?); // of any descriptor
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `getsockname`
//! ```
//! use sockeye::{Listener, block_on, dial, local_address};
//! block_on(async {
//!     let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let conn = dial(listener.endpoint()).await?;
//!     assert!(conn.local()?.port().is_some_and(|port| port > 0)); // the system chose it
//!     assert_eq!(local_address(&conn)?, *listener.accept().await?.peer());
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `setsockopt`
//! Options are data, set when a socket is bound or dialled, or later on any descriptor. They have names instead of levels
//! and numbers; on the command line too, as an endpoint's query.
//! ```
//! use sockeye::{Dialer, Listener, Options, block_on};
//! use std::time::Duration;
//! block_on(async {
//!     let listener = Listener::bind_with("tcp://127.0.0.1:0", Options::new().reuse_port(true)).await?;
//!     let options = Options::new().keepalive_time(Duration::from_secs(60));
//!     let conn = Dialer::new().options(options).dial(listener.endpoint()).await?;
//!     Options::new().linger(Some(Duration::from_secs(1))).apply(&conn)?; // conn.setsockopt(SOL_SOCKET, SO_LINGER, …)
//!     let mut named = Options::new();
//!     assert!(named.set("nodelay", "off")?);
//!     named.apply(&conn)
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `getsockopt`
//! ```
//! use sockeye::{Listener, Options, TcpInfo, block_on, dial};
//! block_on(async {
//!     let listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let conn = dial(listener.endpoint()).await?;
//!     assert!(Options::read(&conn).contains(&("nodelay", "true".to_owned())));
//!     assert_eq!(TcpInfo::read(&conn)?.state, "ESTABLISHED");
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `settimeout`
//! One for receives, one for sends, or both; each wait has the whole of it. [`time::timeout`] bounds anything else, such
//! as an accept or a conversation.
//! ```
//! use sockeye::{Class, Connection, Listener, block_on, time};
//! use std::{os::unix::net::UnixStream, time::Duration};
//! let (ours, _theirs) = UnixStream::pair()?;
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     conn.set_timeout(Some(Duration::from_millis(5)));
//!     assert_eq!(conn.recv().await.unwrap_err().class(), Class::Timeout);
//!
//!     let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
//!     let nobody = time::timeout(Duration::from_millis(5), listener.accept()).await;
//!     assert_eq!(nobody.err().map(|error| error.class()), Some(Class::Timeout));
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `gettimeout`
//! ```
//! use sockeye::{Connection, Datagram, block_on};
//! use std::{os::unix::net::UnixStream, time::Duration};
//! let (ours, _theirs) = UnixStream::pair()?;
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     assert_eq!(conn.timeouts(), (None, None)); // for ever, as Python's None
//!     conn.set_read_timeout(Some(Duration::from_secs(5)));
//!     assert_eq!(conn.timeouts(), (Some(Duration::from_secs(5)), None));
//!     assert_eq!(Datagram::bind("udp://127.0.0.1:0").await?.timeouts(), (None, None));
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `setblocking`
//! A socket isn't put into a mode; one look is asked not to wait. `None` is Python's `BlockingIOError`. Waiting for many
//! at once is the models' business, so nobody needs to look at them in turn.
//! ```
//! use sockeye::{Connection, Datagram, block_on, time};
//! use std::{io::Write, os::unix::net::UnixStream};
//! let (ours, mut theirs) = UnixStream::pair()?;
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     assert!(conn.try_recv().await?.is_none());
//!     theirs.write_all(b"x")?;
//!     assert!(conn.try_recv().await?.is_some());
//!     drop(theirs);
//!     assert!(conn.try_recv().await?.is_some_and(|chunk| chunk.is_empty())); // the end, which is something
//!
//!     let mut socket = Datagram::bind("udp://127.0.0.1:0").await?;
//!     assert!(time::at_once(socket.recv_from()).await?.is_none()); // anything can be asked so
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `fileno`
//! ```
//! use sockeye::{Connection, block_on};
//! use std::os::{fd::AsFd, fd::AsRawFd, unix::net::UnixStream};
//! let (ours, _theirs) = UnixStream::pair()?;
//! let number = ours.as_raw_fd();
//! block_on(async {
//!     let conn = Connection::adopt(ours.into())?;
//!     assert_eq!(conn.as_raw_fd(), number);
//!     let _borrowed = conn.as_fd(); // safer: it can't be used once the connection is closed
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `makefile`
//! A connection reads and writes like a file as it is.
//! ```
//! use sockeye::{Connection, block_on};
//! use std::{io::Write, os::unix::net::UnixStream};
//! use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
//! let (ours, mut theirs) = UnixStream::pair()?;
//! theirs.write_all(b"one\r\ntwo\nrest")?;
//! theirs.shutdown(std::net::Shutdown::Write)?;
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     conn.write_all(b"print(..., file=f)\n").await?;
//!     let mut lines = conn.lines(); // for line in conn.makefile()
//!     let mut found = Vec::new();
//!     while let Some(line) = lines.next_line().await? {
//!         found.push(line);
//!     }
//!     assert_eq!(found, ["one", "two", "rest"]);
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `getservbyname`
//! TCP and UDP have tables of their own, the system's first.
//! ```
//! use sockeye::{Protocol, service_by_name, service_name, service_port};
//! assert_eq!(service_port("http", Protocol::Tcp), Some(80));
//! assert_eq!(service_port("who", Protocol::Tcp), None);
//! assert_eq!(service_by_name("who", Protocol::Udp).map(|service| service.port), Some(513));
//! assert_eq!(service_name(514, Protocol::Tcp).as_deref(), Some("shell")); // getservbyport
//! ```
//!
//! # `error`
//! One type says what failed, where, why and what to do; [`Class`] tells Python's four exceptions apart.
//! ```
//! use sockeye::{Class, block_on, dial};
//! let error = block_on(dial("tcp://127.250.250.250:9"))?.unwrap_err();
//! assert_eq!(error.class(), Class::General);
//! assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
//! assert_eq!((error.op(), error.endpoint()), ("dial", Some("tcp://127.250.250.250:9")));
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `gaierror`
//! A host or service that can't be found. The cause of a failed lookup holds the number that Python's has.
//! ```
//! use sockeye::{Class, LookupError, block_on, dial};
//! use std::error::Error;
//! // A label of 64 letters can't be asked for, so no name server is.
//! let error = block_on(dial(&format!("tcp://{}.invalid:80", "x".repeat(64))))?.unwrap_err();
//! assert_eq!(error.class(), Class::Address);
//! let code = error.source().and_then(|cause| cause.downcast_ref::<LookupError>()).map(LookupError::code);
//! assert!(code.is_some_and(|code| code < 0)); // EAI_NONAME is -2
//!
//! let error = block_on(dial("tcp://127.0.0.1:no-such-service"))?.unwrap_err();
//! assert_eq!(error.class(), Class::Address);
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `herror`
//! An address whose name can't be found: `gethostbyaddr`.
//! ```
//! use sockeye::{Address, Class, block_on, host_name};
//! let loopback = Address::Inet(([127, 0, 0, 1], 0).into());
//! match block_on(host_name(&loopback))? {
//!     Ok(name) => assert!(!name.is_empty()),
//!     Err(error) => assert_eq!(error.class(), Class::Host),
//! }
//! let error = block_on(host_name(&Address::Unix(None)))?.unwrap_err();
//! assert_eq!(error.class(), Class::Host);
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `timeout`
//! A deadline that passed, our own or the kernel's.
//! ```
//! use sockeye::{Class, Datagram, block_on};
//! use std::time::Duration;
//! let error = block_on(async {
//!     let mut socket = Datagram::bind("udp://127.0.0.1:0").await?;
//!     socket.set_timeout(Some(Duration::from_millis(5)));
//!     socket.recv().await
//! })?
//! .unwrap_err();
//! assert_eq!(error.class(), Class::Timeout);
//! assert!(error.to_string().contains("timed out after 5ms"));
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! # `shutdown` and `close`
//! A half-close says that nothing more comes, and goes on receiving. Dropping closes.
//! ```
//! use sockeye::{Connection, block_on};
//! use std::{io::Read, io::Write, os::unix::net::UnixStream};
//! let (ours, mut theirs) = UnixStream::pair()?;
//! block_on(async {
//!     let mut conn = Connection::adopt(ours.into())?;
//!     conn.send("question").await?;
//!     conn.close_write().await?; // conn.shutdown(SHUT_WR)
//!     let mut question = String::new();
//!     theirs.read_to_string(&mut question)?; // it ends
//!     theirs.write_all(b"answer")?;
//!     assert_eq!(&conn.recv().await?[..], b"answer");
//!     Ok::<_, sockeye::Error>(())
//! })??;
//! # Ok::<(), sockeye::Error>(())
//! ```

#[expect(unused_imports, reason = "the names that the links above are made of")]
use crate::*;
