//! What is kept of what others say has a bound.
//!
//! `mdns-sd` keeps all that it hears of what is asked for, or is said unasked, until its time is over, and has no limit for it; it
//! tells how many records there are, when it comes to it: it reads on as long as anything comes. So the bound sits before it: a
//! packet is no longer than the link takes, and while anything comes, a thread looks often how much is kept. When that is too much
//! it makes the sockets deaf, for ever, and what is kept stays as it is until somebody asks and hears that the network is flooded.

use mdns_sd::{Metrics, ServiceDaemon};
use sockeye::{Class, Error, UdpSockets};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most records that are kept of what others say. A small one takes 600 bytes, one that fills a packet of Ethernet takes 2 KiB, and
/// all together 16 MiB. Five for each of the most instances that are followed would be more, but a link has a few hundred at the most.
const MAX_RECORDS: i64 = 8_000;
/// The most moments at which it means to look at its records again: each record that is heard, be it known or not, adds two until
/// its time is over. Half a million take 8 MiB.
const MAX_TIMERS: i64 = 500_000;
/// How often it is looked how much is kept, while anything comes: in that time multicast DNS takes some 2,000 records, if it is given
/// nothing else.
const CHECKED_EVERY: Duration = Duration::from_millis(5);
/// What waits in the kernel when more comes than can be heard: a third of what a socket usually has room for.
const BACKLOG: u64 = 64 << 10;
/// How often the thread of multicast DNS is waited for as long, until it says how much it keeps: five seconds, on a machine that is
/// busy with something else. It is no time of day, for a program may have been stopped meanwhile.
const PATIENCE: u32 = 1_000;
/// So many packets, taken while it doesn't answer, are a flood that it keeps pace with: the answers of a network's machines to one
/// question are fewer, and a packet has a hundred records at the most.
const TAKEN: u64 = 64;

const UNHEARD: &str = "more comes than can be heard: somebody floods the network";
const UNGUARDED: &str = "how much is kept can't be told any more";

/// Looks after the sockets of a link, as long as it lives.
pub(super) struct Guard {
    shared: Arc<Shared>,
    /// Its end is what the thread ends by.
    _end: UnixStream,
}

struct Shared {
    sockets: UdpSockets,
    /// The longest packet that is heard.
    longest: u16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    flood: Option<&'static str>,
}

impl Guard {
    /// Lets the sockets hear the link, and nothing else.
    ///
    /// # Errors
    /// When they can't be kept to the link, or there is no thread for it.
    pub(super) fn start(daemon: ServiceDaemon, sockets: UdpSockets, longest: u16) -> sockeye::Result<Self> {
        sockets.hear_link_multicast_only(longest)?;
        let shared = Arc::new(Shared {
            sockets,
            longest,
            state: Mutex::default(),
        });
        let failed = |error| Error::io("start a thread", error);
        let (end, told) = UnixStream::pair().map_err(failed)?;
        told.set_read_timeout(Some(CHECKED_EVERY)).map_err(failed)?;
        let guarding = shared.clone();
        let thread = thread::Builder::new().name("sockeye-mdns-guard".to_owned());
        let guard = move || guarding.look_after(&daemon, &told);
        thread.spawn(guard).map_err(failed)?;
        Ok(Guard { shared, _end: end })
    }

    /// # Errors
    /// When others say more than can be kept. Nothing is heard any more then.
    pub(super) fn check(&self) -> sockeye::Result<()> {
        self.shared.lock().flood.map_or(Ok(()), |why| {
            Err(Error::new(
                "listen to multicast DNS",
                Class::General,
                why.to_owned(),
            ))
        })
    }

    /// Nothing is heard any more.
    pub(super) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let _ = self.shared.sockets.hear_nothing(); // they will be closed all the same
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever has panicked, what is known is known.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is told to end, or it is too much, or it can't be known.
    fn look_after(&self, daemon: &ServiceDaemon, told: &UnixStream) {
        if let Err(why) = self.watch(daemon, told) {
            let mut state = self.lock();
            state.flood = Some(why);
            let _ = self.sockets.hear_nothing(); // as well as that can be
        }
    }

    fn watch(&self, daemon: &ServiceDaemon, told: &UnixStream) -> Result<(), &'static str> {
        let mut byte = [0];
        loop {
            self.sockets.wait(told.as_fd()).map_err(|_| UNGUARDED)?;
            // A pause, which the end cuts short.
            match std::io::Read::read(&mut &*told, &mut byte) {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Err(UNGUARDED),
            }
            if let Some(why) = self.too_much(daemon) {
                return Err(why);
            }
        }
    }

    /// Why it is too much, if it is.
    fn too_much(&self, daemon: &ServiceDaemon) -> Option<&'static str> {
        let Ok(asked) = daemon.get_metrics() else {
            return self.backlogged().then_some(UNHEARD);
        };
        let (mut deaf, mut waits, before) = (false, 0, self.sockets.taken());
        let metrics = loop {
            if let Ok(metrics) = asked.recv_timeout(CHECKED_EVERY) {
                break metrics;
            }
            if asked.is_disconnected() {
                return None; // it has ended
            }
            waits += 1;
            if waits >= PATIENCE {
                return Some(UNHEARD);
            }
            // While it reads what comes it does nothing else, so that it gets nothing more until it has answered. Not so where it
            // only has to wait for the processor: what comes meanwhile is for it, and nobody says it again.
            if !deaf && (self.sockets.taken().saturating_sub(before) > TAKEN || self.backlogged()) {
                deaf = self.sockets.hear_nothing().is_ok();
            }
        };
        let why = judge(&metrics);
        let state = self.lock();
        if deaf
            && why.is_none()
            && !state.closed
            && self.sockets.hear_link_multicast_only(self.longest).is_err()
        {
            return Some(UNHEARD);
        }
        why
    }

    fn backlogged(&self) -> bool {
        self.sockets.backlog() > BACKLOG
    }
}

fn judge(metrics: &Metrics) -> Option<&'static str> {
    let cached = |(name, count): (&String, &i64)| name.starts_with("cached-").then_some(*count);
    let records: i64 = metrics.iter().filter_map(cached).sum();
    let timers = metrics.get("timer").copied().unwrap_or_default();
    if records > MAX_RECORDS {
        return Some("over 8000 records have been announced: somebody floods the network");
    }
    (timers > MAX_TIMERS)
        .then_some("the same has been announced again and again: somebody floods the network")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_limits() {
        let metrics = |ptr: i64, txt: i64, timers: i64| {
            let named = [
                ("cached-ptr", ptr),
                ("cached-txt", txt),
                ("timer", timers),
                ("browse", i64::MAX),
            ];
            named
                .map(|(name, count)| (name.to_owned(), count))
                .into_iter()
                .collect::<Metrics>()
        };
        assert_eq!(
            judge(&metrics(MAX_RECORDS / 2, MAX_RECORDS / 2, MAX_TIMERS)),
            None
        );
        let why = judge(&metrics(MAX_RECORDS / 2, MAX_RECORDS / 2 + 1, 0)).expect("too many");
        assert!(why.contains(&MAX_RECORDS.to_string()));
        assert!(judge(&metrics(0, 0, MAX_TIMERS + 1)).is_some_and(|why| why.contains("again and again")));
    }
}
