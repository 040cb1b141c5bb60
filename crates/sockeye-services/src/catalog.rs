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
    before: Option<Box<Before>>,
    start: Box<Start>,
    longest: usize,
}

type Before = dyn FnOnce() -> Result<()> + Send;

type Start = dyn FnOnce(Server, How) -> Result<Running> + Send;

/// How a service is started.
#[derive(Default)]
pub struct How {
    /// Who is let in; everybody where there is none.
    pub guard: Option<Guard>,
    /// By the thread that starts it, beside its futures ([`Server::start_here`]), and not in the background.
    pub here: bool,
}

impl How {
    fn streams(self, server: Server, handler: impl Handler) -> Result<Running> {
        match (self.guard, self.here) {
            (Some(guard), true) => server.start_here(Guarded::new(handler, guard)),
            (Some(guard), false) => server.start(Guarded::new(handler, guard)),
            (None, true) => server.start_here(handler),
            (None, false) => server.start(handler),
        }
    }

    fn packets(self, server: Server, handler: impl PacketHandler) -> Result<Running> {
        match self.here {
            true => server.start_packets_here(handler),
            false => server.start_packets(handler),
        }
    }
}

impl Starter {
    fn of(start: impl FnOnce(Server, How) -> Result<Running> + Send + 'static) -> Self {
        Starter {
            before: None,
            start: Box::new(start),
            longest: 0,
        }
    }

    /// Of a handler for connections and for datagrams.
    pub fn new<H: Handler + PacketHandler>(handler: H) -> Self {
        Starter::of(move |server, how| match how.guard {
            None if server.endpoint().is_packet() => how.packets(server, handler),
            _ => how.streams(server, handler),
        })
    }

    /// Of a handler that answers datagrams, with what keeps it from being used against others.
    pub fn shielded<H: Handler + PacketHandler>(handler: H, answers: Answers, settings: &Settings) -> Self {
        let policy = settings.shield.clone();
        Starter::of(move |server, how| match server.endpoint() {
            endpoint @ Endpoint::Udp(_) => {
                let shield = Shield::new(answers, &policy, endpoint.port().unwrap_or(0));
                how.packets(server, Shielded::new(handler, shield))
            }
            // A Unix socket's peers are on this machine, and have names for addresses.
            _ => (Starter::new(handler).start)(server, how),
        })
    }

    /// Of a handler for connections alone.
    pub fn of_streams<H: Handler>(handler: H) -> Self {
        Starter::of(move |server, how| how.streams(server, handler))
    }

    /// The same, with something that is to be done before it starts.
    #[must_use]
    pub fn after(self, before: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        let first = self.before;
        let both = move || {
            first.map_or(Ok(()), |first| first())?;
            before()
        };
        let before: Option<Box<Before>> = Some(Box::new(both));
        Starter { before, ..self }
    }

    /// Does what is to be done before it starts, if that hasn't been done. It may take its time, so it is not for a future.
    ///
    /// # Errors
    /// When it can't be done; it isn't tried again.
    pub fn prepare(&mut self) -> Result<()> {
        self.before.take().map_or(Ok(()), |before| before())
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

    /// Starts it on a bound server, in the background and for everybody.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`Server::start`].
    pub fn start(self, server: Server) -> Result<Running> {
        self.start_as(server, How::default())
    }

    /// Starts it on a bound server. A guard is for connections only.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`Server::start`], or [`Server::start_here`].
    pub fn start_as(mut self, server: Server, how: How) -> Result<Running> {
        self.prepare()?;
        (self.start)(server, how)
    }
}

impl std::fmt::Debug for Starter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Starter")
    }
}
