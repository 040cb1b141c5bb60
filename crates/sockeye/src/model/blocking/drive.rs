//! Drives the future of a thread that blocks in its calls, or waits for all that can wake it.

use super::Blocking;
use crate::model::local::{End, Spinner};
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

/// Drives a future until it is ready, or until `over` says so: asked after every wait, interrupted ones too.
pub(crate) fn drive<F: Future>(
    driver: &Rc<Blocking>,
    future: F,
    spin: Duration,
    over: impl Fn() -> bool,
) -> io::Result<Option<F::Output>> {
    at_home(driver, || {
        let mut future = pin!(future);
        let _end = End(&driver.tasks); // before the future
        rounds(driver, future.as_mut(), &mut Spinner::new(spin), &over)
    })
}

/// [`drive`] for a connection of a server: of all the futures that are driven so, these are the many.
pub(crate) fn drive_connection(
    driver: &Rc<Blocking>,
    mut future: LocalFuture,
    spin: Duration,
    over: impl Fn() -> bool,
) -> io::Result<Option<()>> {
    at_home(driver, move || {
        let ended = connection_rounds(driver, future.as_mut(), &mut Spinner::new(spin), &over);
        driver.tasks.drop_all(); // before the future
        ended
    })
}

#[inline(never)]
// SAFETY: nothing else is in this section; see `model/blocking.rs`.
#[allow(unsafe_code)]
#[unsafe(link_section = "sockeye_hot")]
fn connection_rounds(
    driver: &Blocking,
    future: Pin<&mut dyn Future<Output = ()>>,
    spin: &mut Spinner,
    over: &impl Fn() -> bool,
) -> io::Result<Option<()>> {
    rounds(driver, future, spin, over)
}

/// With the tasks and the driver of this thread.
fn at_home<T>(driver: &Rc<Blocking>, body: impl FnOnce() -> T) -> T {
    let _entered = driver.tasks.enter();
    crate::model::with_current(driver.clone(), body)
}

#[inline(always)] // it stands where its caller does then
fn rounds<F: Future + ?Sized>(
    driver: &Blocking,
    mut future: Pin<&mut F>,
    spin: &mut Spinner,
    over: &impl Fn() -> bool,
) -> io::Result<Option<F::Output>> {
    loop {
        if driver.tasks.has_ready()
            && let Poll::Ready(output) = poll_ready(driver, future.as_mut())
        {
            return Ok(Some(output));
        }
        if over() {
            return Ok(None);
        }
        if driver.tasks.has_ready() {
            driver.look()?;
            continue;
        }
        if !spin.is_off() && spins(driver, spin)? {
            continue;
        }
        match driver.alone() {
            Some(only) => {
                if let Poll::Ready(output) = driver.block(only, future.as_mut()) {
                    return Ok(Some(output));
                }
            }
            None => driver.wait(None)?,
        }
    }
}

/// The tasks first: it may be that the main future is among those who are ready.
#[cold]
fn poll_ready<F: Future + ?Sized>(driver: &Blocking, future: Pin<&mut F>) -> Poll<F::Output> {
    driver.tasks.run_ready();
    driver.tasks.poll_main(future)
}

/// Whether a spin has found something to do.
#[cold]
fn spins(driver: &Blocking, spin: &mut Spinner) -> io::Result<bool> {
    spin.until(|| {
        driver.look()?;
        Ok(driver.tasks.has_ready())
    })
}
