//! Handlers that wait for more than their peer.

use sockeye::{Connection, Handler, Result, dial};
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
