//! A connection in frames and raw bytes, with answers on their way.

use super::tree::write_at;
use super::trouble::{self, Outcome};
use rustix::io::Errno;
use serde::Serialize;
use sockeye::{Chunk, Class, Connection, Error, Result};
use sockeye_proto::files::{Answer, Code, Done, Failure};
use sockeye_proto::frames::{self, BadFrame, Decoder};
use std::fs::File;
use std::future::Future;
use std::time::Duration;

/// How often somebody who waits for bytes looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(250);
/// Answers that are kept back while there are requests to be read: a send for each would cost more than the answer.
const GATHER: usize = 16 << 10;

/// What came.
pub(super) enum Next {
    Frame(Vec<u8>),
    /// There is nothing just now.
    Nothing,
    /// The peer has sent all that it will.
    End,
}

pub(super) struct Wire<'c> {
    pub(super) conn: &'c mut Connection,
    held: Chunk,
    decoder: Decoder,
    answers: Vec<u8>,
    /// Asked while waiting; false ends the wait's purpose, not the connection.
    pub(super) watched: bool,
}

/// A wait came to its end because somebody is to look at something.
pub(super) enum Waited<T> {
    For(T),
    Look,
}

impl<'c> Wire<'c> {
    pub(super) fn new(conn: &'c mut Connection) -> Self {
        Wire {
            conn,
            held: Chunk::default(),
            decoder: Decoder::new(),
            answers: Vec::new(),
            watched: false,
        }
    }

    /// The next frame; without `wait` only if it is there already.
    ///
    /// While the wire is watched, the wait ends every now and then.
    pub(super) async fn frame(
        &mut self,
        wait: bool,
        waited: &mut Duration,
    ) -> Result<Waited<Result<Next, BadFrame>>> {
        loop {
            let taken = self.decoder.push(&self.held);
            self.held.advance(taken);
            match self.decoder.next() {
                Ok(None) => {}
                Ok(Some(frame)) => return Ok(Waited::For(Ok(Next::Frame(frame)))),
                Err(bad) => return Ok(Waited::For(Err(bad))),
            }
            self.held = match self.conn.try_recv().await? {
                Some(chunk) => chunk,
                None if !wait => return Ok(Waited::For(Ok(Next::Nothing))),
                None => match self.wait(waited).await? {
                    Waited::For(chunk) => chunk,
                    Waited::Look => return Ok(Waited::Look),
                },
            };
            *waited = Duration::ZERO;
            if self.held.is_empty() {
                return match self.decoder.is_within() {
                    true => Err(self.cut()),
                    false => Ok(Waited::For(Ok(Next::End))),
                };
            }
        }
    }

    /// Those of the raw bytes that are due which are here already, `most` at the most. They stay due until they are [taken](Self::taken).
    pub(super) fn here(&self, most: u64) -> &[u8] {
        &self.held[..self.held.len().min(usize::try_from(most).unwrap_or(usize::MAX))]
    }

    /// Has some of the raw bytes that are due [here](Self::here); without `wait` none, if there are none just now.
    pub(super) async fn more(&mut self, wait: bool, waited: &mut Duration) -> Result<Waited<()>> {
        if !self.held.is_empty() {
            return Ok(Waited::For(()));
        }
        self.held = match self.conn.try_recv().await? {
            Some(chunk) => chunk,
            None if !wait => return Ok(Waited::For(())),
            None => match self.wait(waited).await? {
                Waited::For(chunk) => chunk,
                Waited::Look => return Ok(Waited::Look),
            },
        };
        *waited = Duration::ZERO;
        match self.held.is_empty() {
            true => Err(self.cut()),
            false => Ok(Waited::For(())),
        }
    }

    pub(super) fn taken(&mut self, count: usize) {
        self.held.advance(count);
    }

    /// Some of the raw bytes that are due, `most` at the most.
    pub(super) async fn bytes(&mut self, most: u64, waited: &mut Duration) -> Result<Waited<Chunk>> {
        if let Waited::Look = self.more(true, waited).await? {
            return Ok(Waited::Look);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if self.held.len() <= most {
            return Ok(Waited::For(std::mem::take(&mut self.held)));
        }
        let front = Chunk::from(self.held[..most].to_vec());
        self.held.advance(most);
        Ok(Waited::For(front))
    }

    /// Puts some of the raw bytes that are due into a file, `most` at the most, without a copy where that can be. When the
    /// file can't take them they are still due. Those that came through memory are shown.
    pub(super) async fn bytes_into(
        &mut self,
        place: (&File, u64),
        most: u64,
        waited: &mut Duration,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<Waited<Outcome<u64>>> {
        let (file, offset) = place;
        if !self.held.is_empty() {
            let count = self.held.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            let written = write_at(file, &self.held[..count], offset);
            return Ok(Waited::For(written.map_err(of_file).map(|()| {
                seen(&self.held[..count]);
                self.held.advance(count);
                count as u64
            })));
        }
        let receiving = self.conn.recv_file_seen(file, offset, most, &mut seen);
        let at_once = sockeye::time::at_once(receiving).await?;
        let received = match at_once {
            Some(received) => received,
            None => {
                self.flush().await?;
                let limits = self.conn.timeouts();
                let receiving = self.conn.recv_file_seen(file, offset, most, &mut seen);
                match patiently(receiving, self.watched, limits.0, waited).await? {
                    Waited::For(received) => received,
                    Waited::Look => return Ok(Waited::Look),
                }
            }
        };
        *waited = Duration::ZERO;
        match received {
            Ok(0) => Err(self.cut()),
            Ok(count) => Ok(Waited::For(Ok(count))),
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(errno) if is_of_file(errno) => Ok(Waited::For(Err(of_file(errno)))),
                _ => Err(error),
            },
        }
    }

    /// Reads bytes that nobody wants.
    pub(super) async fn drop_bytes(&mut self, count: u64) -> Result<()> {
        let mut left = count;
        let mut waited = Duration::ZERO;
        while left > 0 {
            if let Waited::For(chunk) = self.bytes(left, &mut waited).await? {
                left -= chunk.len() as u64;
            }
        }
        Ok(())
    }

    async fn wait(&mut self, waited: &mut Duration) -> Result<Waited<Chunk>> {
        self.flush().await?;
        let limit = self.conn.timeouts().0;
        match patiently(self.conn.recv(), self.watched, limit, waited).await? {
            Waited::For(received) => received.map(Waited::For),
            Waited::Look => Ok(Waited::Look),
        }
    }

    fn cut(&self) -> Error {
        let why = "the peer left in the middle of what it was sending".to_owned();
        Error::new("recv", Class::General, why).at(self.conn.peer())
    }

    /// Keeps an answer until it is worth a send, or nothing else is to be done.
    pub(super) async fn answer<T: Serialize>(
        &mut self,
        id: Option<u64>,
        outcome: Result<T, Failure>,
    ) -> Result<()> {
        let done = Done::from(outcome);
        let answered = frames::encode_onto(&mut self.answers, &Answer { id, done }).or_else(|error| {
            let failure = Failure::new(Code::Io, format!("the answer can't be sent: {error}"));
            let done = Done::<()>::Error(failure);
            frames::encode_onto(&mut self.answers, &Answer { id, done })
        });
        answered.map_err(|error| Error::new("answer", Class::General, error))?;
        self.gathered().await
    }

    pub(super) async fn frame_out(&mut self, frame: &[u8]) -> Result<()> {
        self.answers.extend_from_slice(frame);
        self.gathered().await
    }

    async fn gathered(&mut self) -> Result<()> {
        match self.answers.len() >= GATHER {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.answers.is_empty() {
            return Ok(());
        }
        self.conn.send(std::mem::take(&mut self.answers)).await
    }
}

/// Waits to the end, or, where something is watched, for a while.
async fn patiently<T>(
    receiving: impl Future<Output = T>,
    watched: bool,
    limit: Option<Duration>,
    waited: &mut Duration,
) -> Result<Waited<T>> {
    if !watched {
        return Ok(Waited::For(receiving.await));
    }
    match sockeye::time::timeout(LOOK, receiving).await {
        Ok(received) => Ok(Waited::For(received)),
        Err(error) if error.class() != Class::Timeout => Err(error),
        Err(_) => {
            *waited += LOOK;
            match limit {
                Some(limit) if *waited >= limit => Err(Error::timed_out("recv", limit)),
                _ => Ok(Waited::Look),
            }
        }
    }
}

/// Whether it is the disk that failed, or this process that is short of something, and not the connection.
fn is_of_file(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::FBIG | Errno::ROFS | Errno::MFILE | Errno::NFILE
    )
}

fn of_file(error: Errno) -> Failure {
    trouble::of("write the upload", error)
}
