//! Handlers that do what a handler should not.

use crate::server_process::say;
use sockeye::{Class, Connection, Error, Handler, Result};
use std::time::Duration;

/// An echo, until the peer says `panic`, `fail`, `spew` (send without end and never read) or `endless` (do nothing
/// without end).
pub(super) struct Moody;

impl Handler for Moody {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        loop {
            let chunk = conn.recv().await?;
            match &*chunk {
                b"" => return Ok(()),
                b"panic" => panic!("the handler's own panic"),
                b"fail" => return Err(failure("the oven is cold")),
                b"spew" => loop {
                    conn.send_all(&[b'x'; 100_000]).await?;
                },
                b"endless" => {
                    conn.send("so be it").await?;
                    sockeye::time::sleep(Duration::from_secs(100_000)).await?;
                }
                _ => conn.send(chunk).await?,
            }
        }
    }
}

fn failure(why: &'static str) -> Error {
    Error::new("cook", Class::General, why)
}

/// Notes which of its stages are called. The first byte that the peer says is for `setup`, the second for `handle`:
/// `!` makes it fail.
pub(super) struct Stages;

async fn obey(conn: &mut Connection, stage: &'static str) -> Result<()> {
    use tokio::io::AsyncReadExt;
    say(format_args!("note {stage} {}", conn.id()));
    match conn.read_u8().await? {
        b'!' => Err(failure(stage)),
        _ => Ok(()),
    }
}

impl Handler for Stages {
    async fn setup(&self, conn: &mut Connection) -> Result<()> {
        obey(conn, "setup").await
    }

    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        obey(conn, "handle").await
    }

    async fn finish(&self, conn: &mut Connection) {
        say(format_args!("note finish {}", conn.id()));
    }
}
