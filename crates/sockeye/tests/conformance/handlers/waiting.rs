//! Handlers that wait for more than their peer.

use crate::server_process::say;
use sockeye::{Connection, Handler, Result, dial};
use std::future::poll_fn;
use std::os::unix::process::parent_id;
use std::pin::pin;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::sync::mpsc;

/// What the peer says goes to another thread, which answers in capitals through a channel; `over` ends it.
pub(super) struct FromAnotherThread;

impl Handler for FromAnotherThread {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let (questions, asked) = std::sync::mpsc::channel::<Vec<u8>>();
        let (answer, mut answers) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            asked
                .iter()
                .try_for_each(|question| answer.send(question.to_ascii_uppercase()))
        });
        loop {
            tokio::select! {
                chunk = conn.recv() => {
                    let chunk = chunk?;
                    // The thread listens for as long as the sender is here.
                    if chunk.is_empty() || questions.send(chunk.to_vec()).is_err() {
                        return Ok(());
                    }
                }
                Some(answer) = answers.recv() => conn.send(answer).await?,
            }
        }
    }
}

/// Echoes, and says `tick` whenever the peer has said nothing for a moment.
pub(super) struct Ticker;

impl Handler for Ticker {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        loop {
            tokio::select! {
                chunk = conn.recv() => {
                    let chunk = chunk?;
                    if chunk.is_empty() {
                        return Ok(());
                    }
                    conn.send(chunk).await?;
                }
                slept = sockeye::time::sleep(Duration::from_millis(20)) => {
                    slept?;
                    conn.send("tick").await?;
                }
            }
        }
    }
}

/// Dials another server and copies both ways.
pub(super) struct Relay {
    pub(super) to: String,
}

impl Handler for Relay {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let mut far = dial(&self.to).await?;
        copy_bidirectional(conn, &mut far).await?;
        Ok(())
    }
}

/// Its receive stops right before it blocks, until the process has another parent: the signal that says so comes when there is nothing
/// yet for it to interrupt.
pub(super) struct OnTheBrink;

/// So many times a process lets others go first.
const LONG_AFTER: u32 = 10_000;

impl Handler for OnTheBrink {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let parent = parent_id();
        let mut polls = 0;
        let mut receive = pin!(conn.recv());
        poll_fn(|cx| {
            polls += 1;
            // The first one says that it has to wait; in the second, which nothing has woken it for, it may block.
            if polls == 2 {
                say(format_args!("note on the brink"));
                while parent_id() == parent {
                    std::thread::yield_now();
                }
                // The signal follows at once.
                (0..LONG_AFTER).for_each(|_| std::thread::yield_now());
            }
            receive.as_mut().poll(cx)
        })
        .await
        .map(|_| ())
    }
}
