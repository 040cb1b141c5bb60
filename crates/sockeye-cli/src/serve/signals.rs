//! Serves until a signal: the first lets connections end, the second cuts them off.

use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use sockeye::{Connection, Shutdown};

use super::announce;
use super::report::Report;
use super::start::Serving;

/// Says where it listens, then waits.
///
/// Signals are caught only now: a model that forks would have handed its processes the means to catch them.
///
/// # Errors
/// When a server has ended by itself, which none should.
pub(super) async fn serve_until_told(
    serving: Vec<Serving>,
    announced_as: Option<&str>,
    report: Report,
) -> Result<ExitCode> {
    let mut signals = signals().context("catch signals")?;
    serving.iter().for_each(|one| report.listening(one));
    let mut announcer = announced_as.and_then(|name| announce::start(&serving, name, report));

    let shutdowns: Vec<Shutdown> = serving.iter().map(|one| one.running.shutdown()).collect();
    let mut ended = pin!(all_ended(serving));
    let (mut told, mut farewell) = (false, None);
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            // Those that have come at once, such as to a program and to its whole group, are one word.
            came = signals.recv() => came.context("hear signals")?,
        };
        match told {
            false => {
                report.stopping();
                shutdowns.iter().for_each(Shutdown::stop);
                // Nobody new is let in: let nobody come.
                farewell = announcer.take().map(drop_aside).transpose()?;
            }
            true => shutdowns.iter().for_each(Shutdown::cut),
        }
        told = true;
    };
    if let Some(farewell) = farewell {
        let _ = farewell.join(); // its panic has been told of
    }
    ended?;
    if !told {
        bail!("the servers have ended by themselves; the log may say why");
    }
    Ok(ExitCode::SUCCESS)
}

/// Has a byte for each signal that comes.
fn signals() -> Result<Connection> {
    let (heard, told) = UnixStream::pair()?;
    pipe::register(SIGTERM, told.try_clone()?)?;
    pipe::register(SIGINT, told)?;
    Ok(Connection::adopt(heard.into())?)
}

/// Waits for each, and says what came of the first that has failed.
async fn all_ended(serving: Vec<Serving>) -> sockeye::Result<()> {
    let mut ends = Vec::with_capacity(serving.len());
    for one in serving {
        ends.push(one.running.ended().await);
    }
    ends.into_iter().collect()
}

/// Ends what may take its time to end, while signals are heard.
fn drop_aside<T: Send + 'static>(what: T) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name("sockeye-farewell".to_owned());
    thread.spawn(move || drop(what)).context("start a thread")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// Ends when it is let.
    struct Slow(Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn what_is_slow_to_end_keeps_nobody_from_hearing_signals() {
        let (teller, heard) = channel();
        let farewell = drop_aside(Slow(heard)).expect("a thread");
        assert!(!farewell.is_finished());
        teller.send(()).expect("it waits");
        farewell.join().expect("its end");
    }
}
