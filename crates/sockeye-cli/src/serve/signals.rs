//! Serves until a signal: the first lets connections end, the second cuts them off.

use std::process::ExitCode;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sockeye::Shutdown;

use super::announce;
use super::report::Report;
use super::start::Serving;

/// Says where it listens, then waits.
///
/// Signals are caught only now: a model that forks would have handed its processes the means to catch them.
///
/// # Errors
/// When a server has ended by itself, which none should.
pub(super) fn serve_until_told(
    serving: Vec<Serving>,
    announced_as: Option<&str>,
    report: Report,
) -> Result<ExitCode> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("catch signals")?;
    serving.iter().for_each(|one| report.listening(one));
    let mut announcer = announced_as.and_then(|name| announce::start(&serving, name, report));

    let shutdowns: Vec<Shutdown> = serving.iter().map(|one| one.running.shutdown()).collect();
    let closer = signals.handle();
    let joiner = thread::Builder::new().name("sockeye-join".to_owned());
    let joined = joiner.spawn(move || {
        let ends: Vec<_> = serving.into_iter().map(|one| one.running.join()).collect();
        closer.close();
        ends.into_iter().collect::<sockeye::Result<()>>()
    });
    let joined = joined.context("start a thread")?;

    let (mut told, mut farewell) = (false, None);
    for _ in signals.forever() {
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
    }
    if let Some(farewell) = farewell {
        let _ = farewell.join(); // its panic has been told of
    }
    match joined.join() {
        Ok(ended) => ended?,
        Err(_) => bail!("waiting for the servers failed; the log may say why"),
    }
    if !told {
        bail!("the servers have ended by themselves; the log may say why");
    }
    Ok(ExitCode::SUCCESS)
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
