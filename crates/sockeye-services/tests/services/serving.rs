//! Servers to try, and peers to try them with.

use sockeye::{Endpoint, Event, Model, Running, Server};
use sockeye_services::catalog;
use sockeye_services::settings::Settings;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Who waits this long for an event has found a bug; without it the test would hang. A socket is given no timeout, for a call with one
/// fails when its process is stopped and goes on (signal(7)): a test that hangs in one is ended by who runs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a behaviour under every model that this process may have: `process` wants a process without threads.
pub(crate) fn each_model(behaviour: impl Fn(Model)) {
    for model in Model::ALL.into_iter().filter(|model| model.shares_memory()) {
        eprintln!("under {model}"); // shown when the test fails
        behaviour(model);
    }
}

/// A server of the catalogue's service, and what it tells.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) events: Receiver<Event>,
}

impl Served {
    pub(crate) fn address(&self) -> SocketAddr {
        let at = self.running.endpoint();
        let at = at.host_port().expect("an IP address");
        at.to_string().parse().expect("a bound address")
    }

    /// Why the next connection to end ended.
    pub(crate) fn next_reason(&self) -> String {
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .expect("a connection that ends");
            if let Event::Closed { reason, .. } = event {
                return reason.to_string();
            }
        }
    }
}

pub(crate) fn serve(service: &str, endpoint: &str, model: Model, settings: Settings) -> Served {
    let (teller, events) = channel();
    let server = Server::bind(endpoint)
        .expect("bind")
        .model(model)
        .observe(move |event| {
            let _ = teller.send(event.clone()); // nobody has to listen
        });
    let service = catalog::named(service).expect("a service of this name");
    let starter = (service.make)(&settings).expect("settings that make sense");
    let running = starter.start(server).expect("start");
    Served { running, events }
}

/// A server on a port of the system's choice, with nothing set.
pub(crate) fn plain(service: &str, scheme: &str, model: Model) -> Served {
    serve(
        service,
        &format!("{scheme}://127.0.0.1:0"),
        model,
        Settings::new(),
    )
}

/// A peer over TCP.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) fn of(served: &Served) -> Self {
        let stream = TcpStream::connect(served.address()).expect("connect");
        stream.set_nodelay(true).expect("a socket's option");
        Peer(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("send");
    }

    /// Reads exactly as many bytes as `expected` has, and compares.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut got = vec![0; expected.len()];
        let mut filled = 0;
        while filled < got.len() {
            match self.0.read(&mut got[filled..]).expect("an answer") {
                0 => break,
                count => filled += count,
            }
        }
        got.truncate(filled);
        assert!(got == expected, "got {}", got.escape_ascii());
    }

    /// Reads to the end of the stream, and compares.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, expected: impl AsRef<[u8]>) {
        let mut got = Vec::new();
        self.0.read_to_end(&mut got).expect("the end of the stream");
        assert!(got == expected.as_ref(), "got {}", got.escape_ascii());
    }

    pub(crate) fn close_write(&self) {
        self.0.shutdown(Shutdown::Write).expect("half-close");
    }
}

/// A peer over UDP that has dialled a server.
pub(crate) fn datagrams(served: &Served) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.connect(served.address()).expect("connect");
    socket
}

/// Sends a datagram, and returns the answer.
pub(crate) fn ask(socket: &UdpSocket, question: impl AsRef<[u8]>) -> Vec<u8> {
    socket.send(question.as_ref()).expect("send");
    let mut answer = vec![0; 1 << 16];
    let count = socket.recv(&mut answer).expect("an answer");
    answer.truncate(count);
    answer
}

/// Where a Unix socket may be, and the folder that goes when the test ends.
pub(crate) fn unix(scheme: &str) -> (Endpoint, std::path::PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let endpoint = format!("{scheme}://{}", path.display())
        .parse()
        .expect("an endpoint");
    (endpoint, path, folder)
}
