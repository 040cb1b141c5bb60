//! Stopping: no more accepts, drain until a deadline, then cut.

use super::Shared;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::coop::unconstrained;

/// How far a server is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Running,
    Draining,
    Cut,
}

/// Stops a server, from any thread.
#[derive(Clone)]
pub struct Shutdown {
    pub(crate) shared: Arc<Shared>,
}

impl Shutdown {
    /// Stops accepting and lets the connections end: each goes on while bytes flow, meets the end of its stream once
    /// it has been quiet for [`Limits::quiet`](crate::Limits), and is cut when [`Limits::drain`](crate::Limits) has
    /// passed. Returns at once.
    pub fn stop(&self) {
        let first = self.shared.stage.send_if_modified(|stage| {
            let first = *stage == Stage::Running;
            if first {
                *stage = Stage::Draining;
            }
            first
        });
        if !first {
            return;
        }
        self.shared.blocked.end_input();
        let this = self.clone();
        let sweeper = std::thread::Builder::new()
            .name("sockeye-drain".to_owned())
            .spawn(move || this.drain());
        if sweeper.is_err() {
            self.cut(); // without a thread nobody would keep the deadline
        }
    }

    /// Ends every connection at once.
    pub fn cut(&self) {
        self.shared.stage.send_modify(|stage| *stage = Stage::Cut);
        self.shared.blocked.end_input();
        self.shared.registry.all().iter().for_each(|entry| entry.cut());
    }

    /// Whether the server has been told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.shared.stage.borrow() != Stage::Running
    }

    fn drain(&self) {
        // A patience beyond the clock's range is as good as a century.
        let far = Duration::from_secs(100 * 365 * 86_400);
        let begun = Instant::now();
        let deadline = begun.checked_add(self.shared.limits.drain).unwrap_or(begun + far);
        let mut seen: HashMap<u64, u64> = HashMap::new();
        loop {
            // The acceptors may still be admitting their last; they say when they are through. To be asked before the books are looked at: who
            // is booked in between would be nobody's.
            let closed = self.shared.is_closed();
            let entries = self.shared.registry.all();
            if (entries.is_empty() && closed) || *self.shared.stage.borrow() == Stage::Cut {
                return;
            }
            for entry in &entries {
                entry.stop();
                let flow = entry.received().wrapping_add(entry.sent());
                if seen.insert(entry.id, flow) == Some(flow) {
                    entry.end_input();
                }
            }
            let now = Instant::now();
            if now >= deadline {
                return self.cut();
            }
            if self
                .shared
                .wait_for_end(self.shared.limits.quiet.min(deadline - now))
            {
                return;
            }
        }
    }
}

/// A wait for a stage, by who looks at it between many other things: it costs next to nothing as long as nothing changes.
pub(crate) struct Until {
    watch: watch::Receiver<Stage>,
    stage: Stage,
    /// Kept from look to look, for what it costs is to begin it and to drop it. `None`: whoever looks is roused by something else,
    /// and keeps no waker here.
    wait: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Who is woken by it.
    asked: Option<Waker>,
    over: bool,
}

impl Until {
    pub(crate) fn new(mut watch: watch::Receiver<Stage>, stage: Stage) -> Self {
        if *watch.borrow() != Stage::Running {
            watch.mark_changed(); // and waits may yet be told of that: see `poll`
        }
        Until {
            wait: Some(wait(&watch, stage)),
            watch,
            stage,
            asked: None,
            over: false,
        }
    }

    /// From now on it wakes nobody: see [`Blocked`](super::Blocked).
    pub(crate) fn is_told(&mut self) {
        self.wait = None;
    }

    /// Nobody looks any more, for now.
    pub(crate) fn forget(&mut self) {
        if self.asked.take().is_some() && !self.over {
            self.wait = Some(wait(&self.watch, self.stage));
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.over {
            return Poll::Ready(());
        }
        let Some(wait) = &mut self.wait else {
            self.over = *self.watch.borrow() >= self.stage;
            return if self.over { Poll::Ready(()) } else { Poll::Pending };
        };
        let is_asked = self
            .asked
            .as_ref()
            .is_some_and(|asked| asked.will_wake(cx.waker()));
        // A change is seen here before the waits are woken for it, and that late wake uses up what the wait has registered: so from the first
        // change on it is asked at each look. (The watch is never marked as unchanged.)
        if is_asked && matches!(self.watch.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        if !is_asked {
            self.asked = Some(cx.waker().clone());
        }
        let polled = wait.as_mut().poll(cx);
        self.over = polled.is_ready();
        polled
    }
}

fn wait(watch: &watch::Receiver<Stage>, stage: Stage) -> Pin<Box<dyn Future<Output = ()>>> {
    let mut own = watch.clone();
    // Tokio's budget would keep it from being asked for, which is to be done once and no more.
    Box::pin(unconstrained(async move { reached(&mut own, stage).await }))
}

/// Waits until the stage is at least `stage`.
pub(crate) async fn reached(watch: &mut watch::Receiver<Stage>, stage: Stage) {
    // An error says that the server is gone, and then the stage is reached.
    let _ = watch.wait_for(|now| *now >= stage).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use tokio::sync::mpsc::unbounded_channel;

    /// A task of Tokio's that has done much in one turn finds that nothing of Tokio's is ready any more, be it so or not.
    #[test]
    fn a_stop_is_seen_by_a_task_that_has_spent_its_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let seen = runtime.block_on(poll_fn(|cx| {
            let (stage, watch) = watch::channel(Stage::Running);
            let mut until = Until::new(watch, Stage::Draining);
            assert_eq!((until.poll(cx), until.poll(cx)), (Poll::Pending, Poll::Pending));
            let (much, mut work) = unbounded_channel();
            (0..1_000).for_each(|piece| much.send(piece).expect("somebody receives"));
            let done = std::iter::from_fn(|| work.poll_recv(cx).is_ready().then_some(())).count();
            assert!(done < 1_000, "the turn is over before the work is");
            stage.send(Stage::Draining).expect("somebody waits");
            Poll::Ready(until.poll(cx))
        }));
        assert_eq!(seen, Poll::Ready(()));
    }

    #[derive(Default)]
    struct Called(AtomicBool);

    impl Wake for Called {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// Looks again and again, as `spin` does, while another thread tells of a stop.
    #[test]
    fn a_stop_is_seen_though_the_look_comes_while_it_is_told() {
        for _ in 0..4_000 {
            let called = Arc::new(Called::default());
            let waker = Waker::from(called.clone());
            let cx = &mut Context::from_waker(&waker);
            let (stage, watch) = watch::channel(Stage::Running);
            let mut stop = Until::new(watch.clone(), Stage::Draining);
            let mut cut = Until::new(watch, Stage::Cut);
            let mut look = || (stop.poll(cx), cut.poll(cx));
            let _ = look();
            let teller = std::thread::spawn(move || stage.send(Stage::Draining).map(|()| stage));
            while !teller.is_finished() {
                let _ = look();
            }
            let stage = teller.join().expect("it is told").expect("somebody waits");
            assert_eq!(look(), (Poll::Ready(()), Poll::Pending));
            called.0.store(false, Ordering::Release);
            stage.send(Stage::Cut).expect("somebody waits");
            assert!(
                called.0.load(Ordering::Acquire),
                "whoever waits for the next stage is called"
            );
            assert_eq!(look(), (Poll::Ready(()), Poll::Ready(())));
        }
    }
}
