//! Time under every model: what a handler uses to sleep, or to bound a wait.
//!
//! Time is the driver's. A handler never calls `tokio::time`, which works under one model only.

use crate::error::{Error, Result};
use crate::model::{self, Driver, TimerKey};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A nap that is over at an instant.
struct Sleep {
    due: Option<Instant>,
    armed: Option<(Rc<dyn Driver>, TimerKey)>,
}

impl Future for Sleep {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(due) = self.due else { return Poll::Pending }; // further off than the clock reaches
        if Instant::now() >= due {
            return Poll::Ready(Ok(()));
        }
        if !self
            .armed
            .as_ref()
            .is_some_and(|(driver, key)| driver.timers().refresh(*key, cx.waker()))
        {
            let driver = model::current()?;
            let key = driver.timers().insert(due, cx.waker());
            self.armed = Some((driver, key));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((driver, key)) = self.armed.take() {
            driver.timers().cancel(key);
        }
    }
}

/// Waits for a span of time.
///
/// # Errors
/// When no model is running on this thread.
///
/// ```
/// use std::time::{Duration, Instant};
/// let before = Instant::now();
/// sockeye::block_on(sockeye::time::sleep(Duration::from_millis(5)))??;
/// assert!(before.elapsed() >= Duration::from_millis(5));
/// # Ok::<(), sockeye::Error>(())
/// ```
pub async fn sleep(span: Duration) -> Result<()> {
    Sleep {
        due: Instant::now().checked_add(span),
        armed: None,
    }
    .await
}

/// Gives a future a span of time to end in.
///
/// # Errors
/// [`Class::Timeout`](crate::Class::Timeout) when it has not ended by then; it is dropped.
///
/// ```
/// use sockeye::{Class, time};
/// use std::time::Duration;
/// let late = sockeye::block_on(time::timeout(Duration::from_millis(5), std::future::pending::<()>()))?;
/// assert_eq!(late.unwrap_err().class(), Class::Timeout);
/// # Ok::<(), sockeye::Error>(())
/// ```
pub fn timeout<F: Future>(span: Duration, future: F) -> impl Future<Output = Result<F::Output>> {
    Timeout {
        future,
        nap: Sleep {
            due: Instant::now().checked_add(span),
            armed: None,
        },
        span,
    }
}

pin_project! {
    struct Timeout<F> {
        #[pin]
        future: F,
        nap: Sleep,
        span: Duration,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.nap).poll(cx).map(|slept| {
            Err(slept
                .err()
                .unwrap_or_else(|| Error::timed_out("wait", *this.span)))
        })
    }
}
