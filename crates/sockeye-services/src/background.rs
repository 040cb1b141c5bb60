//! Work that would hold an event loop up: hashing, forcing files to the disk, deriving keys.
//!
//! A few threads of this process do it, each party's in its [turn](turns); a handler awaits the outcome, under any model. They are
//! started when they are first needed, so that a program that forks is still alone then, and anew in a forked process.

mod turns;

use sockeye::{Class, Error, Result};
use std::future::{Future, poll_fn, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::sync::oneshot;
use turns::{AT_ONCE, Turns};

pub(crate) use turns::Party;

/// Such work keeps a disk or a core busy: more threads would only take turns at it. No party has the last one.
const THREADS: usize = AT_ONCE + 1;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    turns: Mutex<Turns<Job>>,
    more: Condvar,
}

struct Pool {
    /// The process that has the threads.
    process: u32,
    queue: Arc<Queue>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn put(&self, party: &Party, job: Job) -> Result<()> {
        if !lock(&self.turns).put(party, job) {
            let why = "too much is waiting for it already";
            return Err(Error::new("work in the background", Class::General, why).advise("try again later"));
        }
        self.more.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut turns = lock(&self.turns);
        loop {
            match turns.take() {
                Some((party, job)) => {
                    drop(turns);
                    job();
                    turns = lock(&self.turns);
                    turns.done(&party);
                }
                None => turns = self.more.wait(turns).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn queue() -> io::Result<Arc<Queue>> {
    let mut pool = lock(&POOL);
    if let Some(pool) = &*pool
        && pool.process == std::process::id()
    {
        return Ok(pool.queue.clone());
    }
    let queue = Arc::new(Queue::default());
    for number in 0..THREADS {
        let own = queue.clone();
        let thread = std::thread::Builder::new().name(format!("sockeye-bg{number}"));
        match thread.spawn(move || own.work()) {
            Err(error) if number == 0 => return Err(error),
            _ => {} // the others do it
        }
    }
    *pool = Some(Pool {
        process: std::process::id(),
        queue: queue.clone(),
    });
    Ok(queue)
}

/// Does a job on another thread, and waits for its outcome without holding anybody up. A job that nobody waits for any
/// more is done all the same.
///
/// # Errors
/// When too much is waiting, no thread can be had, or the job panics.
pub async fn off_loop<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    off_loop_for(&Party::Own, job).await
}

/// The same for a party that asks for it, when it is its turn.
pub(crate) async fn off_loop_for<T: Send + 'static>(
    party: &Party,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    let queue = queue().map_err(|error| Error::io("start a thread", error))?;
    let job = move || {
        if let Ok(outcome) = catch_unwind(AssertUnwindSafe(job)) {
            let _ = tell.send(outcome); // who wanted it may be gone
        }
    };
    queue.put(party, Box::new(job))?;
    told.await
        .map_err(|_| Error::new("work in the background", Class::General, "it panicked".to_owned()))
}

/// Work that is under way, whose outcome is waited for later.
pub(crate) type Begun<T> = Pin<Box<dyn Future<Output = T>>>;

/// Begins something that would only begin when somebody first waits for it, as [`off_loop`] does.
pub(crate) async fn begun<T: 'static>(work: impl Future<Output = T> + 'static) -> Begun<T> {
    let mut work: Begun<T> = Box::pin(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(outcome) => Box::pin(ready(outcome)),
        Poll::Pending => work,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Wake, Waker};

    struct Thread(std::thread::Thread);
    impl Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        let waker = Waker::from(Arc::new(Thread(std::thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(value) => return value,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn a_job_is_done_elsewhere_and_a_panic_hurts_only_itself() {
        let here = std::thread::current().id();
        let there = wait_for(off_loop(|| std::thread::current().id())).expect("a thread");
        assert_ne!(here, there);
        for _ in 0..2 * THREADS {
            wait_for(off_loop(|| panic!("as intended"))).expect_err("a panic");
        }
        assert_eq!(wait_for(off_loop(|| 7)).expect("threads are left"), 7);
        let (tell, told) = std::sync::mpsc::channel();
        let work = wait_for(begun(off_loop(move || tell.send(8))));
        assert_eq!(told.recv(), Ok(8), "nobody has waited for it yet");
        wait_for(work).expect("an outcome").expect("somebody listens");
    }
}
