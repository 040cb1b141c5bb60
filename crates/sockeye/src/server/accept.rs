//! Accepting: what stops it, what slows it, and that nothing else ends it.

use super::registry::Entry;
use super::{Event, Shared, Stage, Until, reached};
use crate::address::Address;
use crate::model::{AcceptLink, Accepted};
use crate::time::sleep;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How long a server that can't go on for lack of something waits for it to come back: long enough to cost nothing,
/// short enough that a newcomer hardly notices.
pub(crate) const BACKOFF: Duration = Duration::from_millis(50);

/// Errors of single connections that may follow each other before they are taken for one of the server, which a firewall
/// or a wrong descriptor can cause for every accept.
const PASSING_IN_A_ROW: u32 = 16;

/// How long handlers that have been cut may take to notice.
const GRACE: Duration = Duration::from_millis(200);

/// A connection that has come, and has its place in the books.
pub(crate) struct Arrival {
    pub(crate) fd: OwnedFd,
    pub(crate) entry: Arc<Entry>,
}

/// Why a connection has no place.
pub(crate) enum NoPlace {
    /// It is refused for lack of something.
    Lack(io::Error),
    /// It had been opened, and its end has been told.
    Told,
}

impl From<io::Error> for NoPlace {
    fn from(error: io::Error) -> Self {
        NoPlace::Lack(error)
    }
}

/// Accepts until the server stops, and hands each arrival on; then waits until the last of them has left, or the
/// patience with them has ended.
pub(crate) async fn serve(
    mut link: Box<dyn AcceptLink>,
    shared: Arc<Shared>,
    mut place: impl FnMut(Arrival) -> Result<(), NoPlace>,
) {
    let mut stop = Until::new(shared.stage.subscribe(), Stage::Draining);
    let mut in_a_row = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = accept(&mut *link, &shared) => accepted,
            () = poll_fn(|cx| stop.poll(cx)) => break,
        };
        let short = match accepted {
            Ok(accepted) => {
                in_a_row = 0;
                admit(accepted, &shared, &mut place).is_err()
            }
            Err(error) if passing(&error) && in_a_row < PASSING_IN_A_ROW => {
                in_a_row += 1;
                continue;
            }
            Err(error) => {
                let error = error.to_string();
                shared.tell(&Event::AcceptFailed { error });
                true
            }
        };
        if short {
            link.pause();
            tokio::select! {
                _ = sleep(BACKOFF) => {}
                () = shared.registry.next_leave() => {}
                () = poll_fn(|cx| stop.poll(cx)) => break,
            }
        }
    }
    drop(link);
    shared.acceptor_ended();
    let cut = async {
        reached(&mut shared.stage.subscribe(), Stage::Cut).await;
        // Without a clock the patience ends at once.
        let _ = sleep(GRACE).await;
    };
    tokio::select! {
        () = shared.registry.below(1) => {}
        () = cut => {}
    }
}

async fn accept(link: &mut dyn AcceptLink, shared: &Shared) -> io::Result<Accepted> {
    if shared.registry.len() >= shared.limits.connections {
        link.pause();
        shared.registry.below(shared.limits.connections).await;
    }
    poll_fn(|cx| link.poll_accept(cx)).await
}

/// An error of the connection that was to be accepted, not of the server (accept(2) names them).
pub(crate) fn passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
        )
    )
}

/// Fails when there was no place for it, for lack of something that others may give back.
fn admit(
    accepted: Accepted,
    shared: &Shared,
    place: &mut impl FnMut(Arrival) -> Result<(), NoPlace>,
) -> Result<(), ()> {
    let peer = accepted
        .peer
        .as_ref()
        .map_or(Address::Unix(None), Address::from_any);
    let entry = match shared.registry.admit(peer, &shared.limits) {
        Ok(entry) => entry,
        Err((peer, why)) => {
            shared.tell(&Event::Refused { peer, why });
            return Ok(());
        }
    };
    if *shared.stage.borrow() == Stage::Cut {
        entry.cut(); // who cut the others may have looked before this one was in the books
    }
    let arrival = Arrival {
        fd: accepted.fd,
        entry: entry.clone(),
    };
    place(arrival).map_err(|none| {
        shared.registry.remove(&entry);
        if let NoPlace::Lack(error) = none {
            let (peer, why) = (entry.peer.clone(), error.to_string());
            shared.tell(&Event::Refused { peer, why });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Handler, Server};
    use std::os::unix::net::UnixStream;

    struct Nothing;
    impl Handler for Nothing {
        async fn handle(&self, _: &mut Connection) -> crate::Result<()> {
            Ok(())
        }
    }

    fn newcomer() -> Accepted {
        let (fd, _) = UnixStream::pair().expect("a pair");
        Accepted {
            fd: fd.into(),
            peer: None,
        }
    }

    #[test]
    fn who_is_admitted_while_the_server_cuts_is_cut() {
        let server = Server::bind("tcp://127.0.0.1:0").and_then(|server| server.start(Nothing));
        let shutdown = server.as_ref().expect("a server").shutdown();
        let mut cut = Vec::new();
        let mut place = |arrival: Arrival| {
            cut.push(arrival.entry.is_cut());
            shutdown.shared.registry.remove(&arrival.entry);
            Ok(())
        };
        admit(newcomer(), &shutdown.shared, &mut place).expect("a place");
        shutdown.cut();
        admit(newcomer(), &shutdown.shared, &mut place).expect("a place");
        assert_eq!(cut, [false, true]);
    }

    #[test]
    fn who_finds_no_place_is_not_in_the_books() {
        let server = Server::bind("tcp://127.0.0.1:0").and_then(|server| server.start(Nothing));
        let shared = server.as_ref().expect("a server").shutdown().shared;
        let mut full = |_: Arrival| Err(io::Error::from(io::ErrorKind::OutOfMemory).into());
        admit(newcomer(), &shared, &mut full).expect_err("no place");
        assert_eq!(shared.registry.len(), 0);
    }
}
