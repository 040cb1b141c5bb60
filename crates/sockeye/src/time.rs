//! Time under every model: what a handler uses to sleep, or to bound a wait.
//!
//! Time is the driver's. A handler never calls `tokio::time`, which works under one model only.

use crate::error::{Error, Result};
use crate::model::{self, Driver, TimerKey};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A nap that is over at an instant.
pub(crate) struct Sleep {
    due: Option<Instant>,
    armed: Option<(Rc<dyn Driver>, TimerKey)>,
}

impl Sleep {
    pub(crate) fn new(span: Duration) -> Self {
        Sleep {
            due: Instant::now().checked_add(span),
            armed: None,
        }
    }
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
    Sleep::new(span).await
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
        nap: Sleep::new(span),
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

/// The shortest wait that is counted. The kernel takes a receive timeout of zero for none at all, and a clock that is
/// read once in a turn of the loop would call every wait of no length late.
const SHORTEST: Duration = Duration::from_millis(1);

pub(crate) fn shortest(limit: Duration) -> Duration {
    limit.max(SHORTEST)
}

/// What a future has to say without waiting for anybody else: `None` when it isn't ready after one turn of this thread's
/// loop, in which all that the kernel has already is seen. It is dropped then; receives, sends of one packet and accepts
/// lose nothing by that.
///
/// # Errors
/// When no model is running on this thread.
///
/// ```
/// use sockeye::{Listener, block_on, time};
/// block_on(async {
///     let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
///     assert!(time::at_once(listener.accept()).await?.is_none());
///     Ok::<_, sockeye::Error>(())
/// })??;
/// # Ok::<(), sockeye::Error>(())
/// ```
pub async fn at_once<F: Future>(future: F) -> Result<Option<F::Output>> {
    let mut future = pin!(future);
    // Every loop sees what is ready before it fires a timer, even one that is due at once.
    let mut turn = Sleep {
        due: None,
        armed: None,
    };
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(Some(output)));
        }
        match &turn.armed {
            Some((driver, key)) if driver.timers().refresh(*key, cx.waker()) => {}
            Some(_) => return Poll::Ready(Ok(None)),
            None => {
                let driver = model::current()?;
                let key = driver.timers().insert(Instant::now(), cx.waker());
                turn.armed = Some((driver, key));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::{Class, Connection, Datagram, Listener, Model, dial, run, time};
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// Runs a look-around under every model that this kernel allows.
    fn under_every_model(look: impl AsyncFn(Model)) {
        for model in Model::ALL {
            match run(model, look(model)) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.op(), "start model", "{model}: {error}"),
            }
        }
    }

    #[test]
    fn a_look_sees_what_has_come_and_waits_for_nothing() {
        under_every_model(async |model| {
            let (ours, mut theirs) = UnixStream::pair().expect("a pair");
            let mut conn = Connection::adopt(ours.into()).expect("a stream");
            for round in 0..50 {
                assert!(
                    conn.try_recv().await.expect("nothing").is_none(),
                    "{model} {round}"
                );
                theirs.write_all(b"now").expect("write");
                let chunk = conn.try_recv().await.expect("something");
                assert_eq!(chunk.as_deref(), Some(&b"now"[..]), "{model} {round}");
            }
            drop(theirs);
            let end = conn.try_recv().await.expect("the end");
            assert!(end.is_some_and(|chunk| chunk.is_empty()), "{model}");
        });
    }

    #[test]
    fn a_look_at_packets_and_newcomers() {
        under_every_model(async |model| {
            let mut packets = Datagram::bind("udp://127.0.0.1:0").await.expect("bind");
            let mut listener = Listener::bind("tcp://127.0.0.1:0").await.expect("bind");
            let none = time::at_once(packets.recv()).await.expect("a look");
            assert!(none.is_none(), "{model}");
            let none = time::at_once(listener.accept()).await.expect("a look");
            assert!(none.is_none(), "{model}");
            let mut sender = Datagram::dial(packets.endpoint()).await.expect("dial");
            sender.send(b"x").await.expect("send");
            let _client = dial(listener.endpoint()).await.expect("dial");
            // A busy kernel may bring them a moment later.
            let packet = loop {
                if let Some(packet) = time::at_once(packets.recv()).await.expect("a look") {
                    break packet;
                }
            };
            assert_eq!(packet.expect("whole")[..], *b"x", "{model}");
            let newcomer = loop {
                if let Some(newcomer) = time::at_once(listener.accept()).await.expect("a look") {
                    break newcomer;
                }
            };
            assert!(newcomer.is_ok(), "{model}");
        });
    }

    #[test]
    fn a_timeout_of_zero_is_the_shortest_and_sees_what_is_there() {
        under_every_model(async |model| {
            let (ours, mut theirs) = UnixStream::pair().expect("a pair");
            let mut conn = Connection::adopt(ours.into()).expect("a stream");
            conn.set_timeout(Some(Duration::ZERO));
            let error = conn.recv().await.expect_err("nothing came");
            assert_eq!(error.class(), Class::Timeout, "{model}: {error}");
            theirs.write_all(b"now").expect("write");
            assert_eq!(conn.recv().await.expect("it is there")[..], *b"now", "{model}");
        });
    }
}
