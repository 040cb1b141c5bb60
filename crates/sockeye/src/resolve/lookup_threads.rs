//! Threads that make the blocking calls of name lookup, for code that must not block.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::error::{Class, Error, Result};

/// The most threads that look names up at once. Each waits for name servers, up to half a minute if they are silent,
/// so there are more than processors; their stacks and the servers' patience set the bound. Others wait their turn.
pub const MAX_LOOKUPS: usize = 16;

/// The most lookups that wait for a thread. Behind so many a new one would wait for minutes: it fails at once instead.
pub const MAX_WAITING_LOOKUPS: usize = 4096;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of this process. They live while there is something to do: starting one costs 20 µs, little beside a
/// lookup, and so an idle process keeps none.
struct Threads {
    /// Whose threads these are: a forked child inherits this table but no thread of it.
    process: u32,
    running: usize,
    waiting: VecDeque<Job>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads {
    process: 0,
    running: 0,
    waiting: VecDeque::new(),
});

fn threads() -> MutexGuard<'static, Threads> {
    // No code that holds the lock can panic half-way through a change.
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a blocking call on a thread of its own. When the future is dropped the call goes on, its answer is lost.
pub(super) async fn run<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, answer) = oneshot::channel();
    submit(Box::new(move || {
        // Nobody waits any more if this fails.
        let _ = sender.send(call());
    }))?;
    answer.await.map_err(|_| {
        Error::new(
            "resolve",
            Class::General,
            "the lookup's thread ended without an answer",
        )
    })
}

fn submit(job: Job) -> Result<()> {
    let mut threads = threads();
    let process = std::process::id();
    if threads.process != process {
        *threads = Threads {
            process,
            running: 0,
            waiting: VecDeque::new(),
        };
    }
    if threads.running < MAX_LOOKUPS {
        // The new thread takes the lock only behind its first job, so that it is safe to hold it here.
        let started = thread::Builder::new()
            .name("sockeye-resolve".to_owned())
            .spawn(move || work(job));
        started.map_err(|error| Error::io("start a lookup thread", error))?;
        threads.running += 1;
        return Ok(());
    }
    if threads.waiting.len() >= MAX_WAITING_LOOKUPS {
        let why = format!("{MAX_WAITING_LOOKUPS} other lookups wait already");
        return Err(Error::new("resolve", Class::General, why).advise("check that the name servers answer"));
    }
    threads.waiting.push_back(job);
    Ok(())
}

/// Does its first job and then what waits.
fn work(first: Job) {
    let mut next = Some(first);
    while let Some(job) = next {
        // A panic loses the answer of this job alone, which whoever waits for it is told.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        let mut threads = threads();
        next = threads.waiting.pop_front();
        if next.is_none() {
            threads.running -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn on_this_thread<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(future)
    }

    #[test]
    fn all_are_answered_and_never_more_run_than_allowed() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..MAX_LOOKUPS * 8)
            .map(|number| {
                let (running, most) = (running.clone(), most.clone());
                let mut call = Box::pin(run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    number
                }));
                // The first poll is what submits it.
                let polled = call
                    .as_mut()
                    .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                (number, call, polled)
            })
            .collect();
        for (number, call, polled) in calls {
            let answer = match polled {
                std::task::Poll::Ready(answer) => answer,
                std::task::Poll::Pending => on_this_thread(call),
            };
            assert_eq!(answer.expect("an answer"), number);
        }
        assert!(most.load(Ordering::SeqCst) <= MAX_LOOKUPS);
    }

    #[test]
    fn a_panic_is_an_error_of_its_own_lookup() {
        let error = on_this_thread(run(|| -> u8 { panic!("a lookup panicked, as this test wants") }));
        assert!(
            error
                .expect_err("no answer")
                .to_string()
                .contains("without an answer")
        );
        assert_eq!(on_this_thread(run(|| 7)).expect("an answer"), 7);
    }
}
