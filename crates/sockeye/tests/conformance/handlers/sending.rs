//! Handlers that move much, or move it by other means than chunks.

use crate::dice::Dice;
use sockeye::{Connection, Error, Handler, Result};
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

/// What a [`Banquet`] of this size consists of.
pub(crate) fn banquet(size: usize) -> Vec<u8> {
    Dice::new(7).bytes(size)
}

/// At the first chunk it sends as many bytes as it was told to, and is gone.
pub(super) struct Banquet(Vec<u8>);

impl Banquet {
    pub(super) fn of(size: &str) -> Self {
        Banquet(banquet(size.parse().expect("a size")))
    }
}

impl Handler for Banquet {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let first = conn.recv().await?;
        drop(first);
        conn.send_all(&self.0).await
    }
}

/// The peer asks for `OFFSET COUNT` of a file, a line each, and gets that part behind a line that says how much it is.
pub(super) struct FromFile {
    pub(super) path: PathBuf,
}

impl Handler for FromFile {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let file = File::open(&self.path).map_err(|error| Error::io("open", error))?;
        let mut line = String::new();
        while conn.read_line(&mut line).await? > 0 {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(0));
            let (offset, count) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            let sent = conn.send_file(&file, offset, count).await?;
            conn.send(format!("\nsent {sent}\n")).await?;
            line.clear();
        }
        Ok(())
    }
}

/// The peer says `OFFSET COUNT` in a line and sends that many bytes, which go into a file; the answer says how many came, or
/// that they could not be kept, and then what they were.
pub(super) struct ToFile {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

impl Handler for ToFile {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .write(self.writable)
            .open(&self.path);
        let file = file.map_err(|error| Error::io("open", error))?;
        let mut line = String::new();
        while conn.read_line(&mut line).await? > 0 {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(0));
            let (offset, count) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            match conn.recv_file(&file, offset, count).await {
                Ok(received) => conn.send(format!("received {received}\n")).await?,
                Err(_) => {
                    let mut unkept = vec![0; count as usize];
                    conn.read_exact(&mut unkept).await?;
                    conn.send("not kept:\n").await?;
                    conn.send(unkept).await?;
                }
            }
            line.clear();
        }
        Ok(())
    }
}

/// Frames of a 32-bit length and that many bytes; each comes back with its bytes reversed.
pub(super) struct Framed;

impl Handler for Framed {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        loop {
            let length = match conn.read_u32_le().await {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            };
            let mut body = vec![0; length as usize];
            conn.read_exact(&mut body).await?;
            body.reverse();
            conn.write_u32_le(length).await?;
            conn.write_all(&body).await?;
            conn.flush().await?;
        }
    }
}

/// Each line comes back in capitals.
pub(super) struct Lines;

impl Handler for Lines {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let mut line = String::new();
        while conn.read_line(&mut line).await? > 0 {
            conn.write_all(line.to_uppercase().as_bytes()).await?;
            line.clear();
        }
        Ok(())
    }
}
