//! Drives the future of a thread that blocks in its calls, or waits for all that can wake it.

use super::Blocking;
use crate::model::local::Spinner;
use crate::model::task::LocalFuture;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Drives a future on this thread.
pub(crate) fn run<F: Future>(future: F) -> io::Result<F::Output> {
    match drive(&Rc::new(Blocking::new()?), future, Duration::ZERO, || false)? {
        Some(output) => Ok(output),
        None => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// [`drive`] for a connection of a server: of all the futures that are driven so, these are the many.
#[inline(never)]
// SAFETY: nothing else is in this section; see `model/blocking.rs`.
#[allow(unsafe_code)]
#[unsafe(link_section = "sockeye_hot")]
pub(crate) fn drive_connection(
    driver: &Rc<Blocking>,
    future: LocalFuture,
    spin: Duration,
    over: impl Fn() -> bool,
) -> io::Result<Option<()>> {
    drive(driver, future, spin, over)
}

/// Drives a future until it is ready, or until `over` says so: asked after every wait, interrupted ones too.
#[inline(always)] // it stands where its caller does then
pub(crate) fn drive<F: Future>(
    driver: &Rc<Blocking>,
    future: F,
    spin: Duration,
    over: impl Fn() -> bool,
) -> io::Result<Option<F::Output>> {
    let tasks = &driver.tasks;
    let _entered = tasks.enter();
    crate::model::with_current(driver.clone(), || {
        let mut future = pin!(future);
        let mut spin = Spinner::new(spin);
        let ended = loop {
            // The tasks first: it may be that the main future is among those who are ready.
            tasks.run_ready();
            if let Poll::Ready(output) = tasks.poll_main(future.as_mut()) {
                break Ok(Some(output));
            }
            if over() {
                break Ok(None);
            }
            match step(driver, future.as_mut(), &mut spin) {
                Ok(Poll::Ready(output)) => break Ok(Some(output)),
                Ok(Poll::Pending) => {}
                Err(error) => break Err(error),
            }
        };
        tasks.drop_all();
        ended
    })
}

#[inline(always)]
fn step<F: Future>(
    driver: &Blocking,
    future: Pin<&mut F>,
    spin: &mut Spinner,
) -> io::Result<Poll<F::Output>> {
    if driver.tasks.has_ready() {
        return driver.wait(Some(Duration::ZERO)).map(|()| Poll::Pending);
    }
    if !spin.is_off() {
        let look = || {
            driver
                .wait(Some(Duration::ZERO))
                .map(|()| driver.tasks.has_ready())
        };
        if spin.until(look)? {
            return Ok(Poll::Pending);
        }
    }
    match driver.alone() {
        Some(only) => driver.block(only, future),
        None => driver.wait(None).map(|()| Poll::Pending),
    }
}
