//! The table of services.

use crate::auth::{Guard, Guarded, Login};
use crate::settings::{Setting, Settings};
use crate::shield::{Answers, Shield, Shielded};
use crate::{chargen, daytime, discard, echo, files, hello, reply, shop};
use sockeye::{Endpoint, Handler, PacketHandler, Result, Running, Server};

/// Every service there is, in the order in which lists name them.
pub const ALL: [&Service; 8] = [
    &echo::SERVICE,
    &discard::SERVICE,
    &daytime::SERVICE,
    &chargen::SERVICE,
    &hello::SERVICE,
    &reply::SERVICE,
    &files::SERVICE,
    &shop::SERVICE,
];

/// The service of this name.
///
/// ```
/// use sockeye_services::catalog;
/// assert_eq!(catalog::named("echo").map(|service| service.port), Some(8080));
/// ```
pub fn named(name: &str) -> Option<&'static Service> {
    ALL.into_iter().find(|service| service.name == name)
}

/// What there is to know about a service before it runs.
#[derive(Debug)]
pub struct Service {
    /// What a command line calls it.
    pub name: &'static str,
    /// Its usual port: over 1023, so that nobody needs to be root.
    pub port: u16,
    /// The schemes of endpoints that it serves at its usual port.
    pub schemes: &'static [&'static str],
    /// Whether it keeps something: it needs a folder for data then.
    pub keeps: bool,
    /// Where it has its login.
    pub login: Login,
    /// What it does, in a line.
    pub about: &'static str,
    /// A command to try it with over a connection; `{nc}` stands for the program that connects, with its arguments, and `{endpoint}` for where it is.
    pub try_stream: &'static str,
    /// The same for datagrams.
    pub try_packets: &'static str,
    /// What its user may set, in groups that services have in common.
    pub settings: &'static [&'static [Setting]],
    /// Makes one of it.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub make: fn(&Settings) -> Result<Starter>,
}

impl Service {
    /// Every setting of its own.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        self.settings.iter().copied().flatten()
    }
}

/// A service that is made, and wants a server.
pub struct Starter {
    start: Box<Start>,
    longest: usize,
}

type Start = dyn FnOnce(Server, Option<Guard>) -> Result<Running> + Send;

impl Starter {
    fn of(start: impl FnOnce(Server, Option<Guard>) -> Result<Running> + Send + 'static) -> Self {
        let start = Box::new(start);
        Starter { start, longest: 0 }
    }

    /// Of a handler for connections and for datagrams.
    pub fn new<H: Handler + PacketHandler>(handler: H) -> Self {
        Starter::of(move |server, guard| match guard {
            None if server.endpoint().is_packet() => server.start_packets(handler),
            Some(guard) => server.start(Guarded::new(handler, guard)),
            None => server.start(handler),
        })
    }

    /// Of a handler that answers datagrams, with what keeps it from being used against others.
    pub fn shielded<H: Handler + PacketHandler>(handler: H, answers: Answers, settings: &Settings) -> Self {
        let policy = settings.shield.clone();
        Starter::of(move |server, guard| match server.endpoint() {
            endpoint @ Endpoint::Udp(_) => {
                let shield = Shield::new(answers, &policy, endpoint.port().unwrap_or(0));
                server.start_packets(Shielded::new(handler, shield))
            }
            // A Unix socket's peers are on this machine, and have names for addresses.
            _ => (Starter::new(handler).start)(server, guard),
        })
    }

    /// Of a handler for connections alone.
    pub fn of_streams<H: Handler>(handler: H) -> Self {
        Starter::of(move |server, guard| match guard {
            Some(guard) => server.start(Guarded::new(handler, guard)),
            None => server.start(handler),
        })
    }

    /// The same, with something that is to be done before it starts.
    #[must_use]
    pub fn after(self, before: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        let longest = self.longest;
        let start = move |server, guard| {
            before()?;
            (self.start)(server, guard)
        };
        Starter::of(start).says(longest)
    }

    /// The same, which is known to have answers of so many bytes.
    #[must_use]
    pub fn says(self, longest: usize) -> Self {
        Starter { longest, ..self }
    }

    /// How many bytes its longest answer has, as far as that is known before anybody asks.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Starts it on a bound server.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start(self, server: Server) -> Result<Running> {
        (self.start)(server, None)
    }

    /// Starts it on a bound server for connections, for peers that the guard lets in.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_guarded(self, server: Server, guard: Guard) -> Result<Running> {
        (self.start)(server, Some(guard))
    }
}

impl std::fmt::Debug for Starter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Starter")
    }
}
