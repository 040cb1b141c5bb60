//! Ctrl-C (or SIGTERM) where what was done so far is worth telling: the first one ends a wait, the second one the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};
use signal_hook::iterator::Signals;
use tokio::sync::oneshot;

/// What the first one is known by. When this is dropped, the next one ends the program, be it the first or not.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn listen() -> std::io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // What is registered first is done first.
            register_conditional_default(signal, came.clone())?;
            register(signal, came.clone())?;
        }
        Ok(Interrupt(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls this when the first one comes, on a thread of its own. From then on, the next one ends the program.
pub(crate) fn once(tell: impl FnOnce() + Send + 'static) -> Result<()> {
    let first = Interrupt::listen().context("catch signals")?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("catch signals")?;
    let listener = thread::Builder::new().name("sockeye-signals".to_owned());
    let listening = listener.spawn(move || {
        // It may have come before the signals were listened to.
        if first.came() || signals.forever().next().is_some() {
            tell();
        }
        drop(first);
    });
    listening.context("start a thread").map(drop)
}

/// The same for futures: it is ready when the first one has come.
pub(crate) fn heard() -> Result<oneshot::Receiver<()>> {
    let (teller, heard) = oneshot::channel();
    once(move || {
        let _ = teller.send(()); // it may be over already
    })?;
    Ok(heard)
}
