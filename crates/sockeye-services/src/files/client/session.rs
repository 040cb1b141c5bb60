//! One connection to the service: requests out, answers in, both at the same time.

use super::failure::Failure;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sockeye::{Class, Connection, Error};
use sockeye_proto::files::{self, Answer, Done, Greeting, Hello, Request, VERSION};
use sockeye_proto::frames::{self, BadFrame};
use sockeye_proto::harmless;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite};

/// How long a service may be silent, or take nothing: the slowest disk has forced a large file to itself by then.
const PATIENCE: Duration = Duration::from_secs(300);
/// What is sent before answers are looked for: what a socket takes at a time.
const STEP: usize = 64 << 10;

/// A request that waits for its answer.
#[derive(Debug)]
struct Asked {
    id: u64,
    operate: &'static str,
    path: String,
}

/// A connection to a service of files.
#[derive(Debug)]
pub struct Session {
    pub(crate) conn: Connection,
    /// Which one of this program it is: what was sent over another one isn't sent.
    pub(crate) number: u64,
    frames: frames::Decoder,
    next: u64,
    asked: VecDeque<Asked>,
    /// Bytes on their way out, and how many of them are sent.
    out: Vec<u8>,
    sent: usize,
    /// Answers that have come and nobody has looked at; no more than requests were sent ahead.
    come: VecDeque<Vec<u8>>,
    /// Something was achieved over this connection.
    pub(crate) advanced: bool,
    /// Bytes were announced that haven't been sent, or received, to their end: nothing more can be said here.
    pub(crate) midway: bool,
}

impl Session {
    /// Over a connection on which nothing has been said yet.
    pub fn over(mut conn: Connection) -> Self {
        conn.set_timeout(Some(PATIENCE));
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Session {
            conn,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            frames: frames::Decoder::default(),
            next: 1,
            asked: VecDeque::new(),
            out: Vec::new(),
            sent: 0,
            come: VecDeque::new(),
            advanced: false,
            midway: false,
        }
    }

    /// What the service says of itself.
    ///
    /// # Errors
    /// When the connection breaks, or the service speaks another version.
    pub async fn hello(&mut self) -> Result<Greeting, Failure> {
        self.ask("hello", "", Hello { version: VERSION }).await
    }

    /// Asks, and waits for the answer to that.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        operate: &'static str,
        path: &str,
        about: impl Serialize,
    ) -> Result<T, Failure> {
        self.push(operate, path, about)?;
        self.drive().await?;
        while self.asked.len() > 1 {
            let _: Result<IgnoredAny, _> = self.answer().await?; // to what nobody wants to know any more
        }
        self.answer().await?
    }

    /// Puts a request among the bytes on their way out.
    pub(crate) fn push(
        &mut self,
        operate: &'static str,
        path: &str,
        about: impl Serialize,
    ) -> Result<(), Failure> {
        let id = self.next;
        frames::encode_onto(&mut self.out, &Request { id, operate, about })
            .map_err(|error| Failure::ours(operate, path, error.to_string()))?;
        self.next += 1;
        let path = path.to_owned();
        self.asked.push_back(Asked { id, operate, path });
        Ok(())
    }

    /// Puts bytes that a request announced behind it.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// How many bytes are on their way out.
    pub(crate) fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends everything that is on its way out. Answers that come meanwhile are kept: a service whose answers nobody
    /// reads would stop reading, too.
    pub(crate) async fn drive(&mut self) -> Result<(), Failure> {
        let sent = poll_fn(|cx| self.poll_drive(cx)).await;
        if sent.is_ok() {
            self.out.clear();
            self.sent = 0;
        }
        sent
    }

    /// Sends everything that is on its way out, and reads nothing: behind an answer there are bytes of a file.
    pub(crate) async fn say(&mut self) -> Result<(), Failure> {
        let sent = self.conn.send_all(&self.out).await;
        self.out.clear();
        sent.map_err(Failure::Lost)
    }

    /// Receives so many bytes of a file, as they come.
    pub(crate) async fn receive(
        &mut self,
        mut count: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while count > 0 {
            let ours = match self.conn.fill_buf().await {
                Ok([]) => return Err(self.closed()),
                Ok(bytes) => {
                    let ours = bytes.len().min(usize::try_from(count).unwrap_or(usize::MAX));
                    take(&bytes[..ours])?;
                    ours
                }
                Err(error) => return Err(self.lost("recv", error)),
            };
            Pin::new(&mut self.conn).consume(ours);
            count -= ours as u64;
        }
        Ok(())
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let mut moved = false;
            if self.sent == self.out.len() {
                return Pin::new(&mut self.conn)
                    .poll_flush(cx)
                    .map_err(|error| self.lost("send", error));
            }
            let end = self.out.len().min(self.sent + STEP);
            match Pin::new(&mut self.conn).poll_write(cx, &self.out[self.sent..end]) {
                Poll::Ready(Ok(count)) => (self.sent, moved) = (self.sent + count, true),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.lost("send", error))),
                Poll::Pending => {}
            }
            match Pin::new(&mut self.conn).poll_fill_buf(cx) {
                Poll::Ready(Ok([])) => return Poll::Ready(Err(self.closed())),
                Poll::Ready(Ok(bytes)) => {
                    let count = self.frames.push(bytes);
                    self.taken(count)?;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.lost("recv", error))),
                Poll::Pending => {}
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// The next answer, in the order of the requests; the outer error is that there is none.
    pub(crate) async fn answer<T: DeserializeOwned>(&mut self) -> Result<Result<T, Failure>, Failure> {
        loop {
            if let Some(answer) = self.come()? {
                return Ok(answer);
            }
            let count = match self.conn.fill_buf().await {
                Ok([]) => return Err(self.closed()),
                Ok(bytes) => self.frames.push(bytes),
                Err(error) => return Err(self.lost("recv", error)),
            };
            self.taken(count)?;
        }
    }

    /// The next answer if it has come already.
    pub(crate) fn come<T: DeserializeOwned>(&mut self) -> Result<Option<Result<T, Failure>>, Failure> {
        let Some(frame) = self.come.pop_front() else {
            return Ok(None);
        };
        let answer: Answer<T> = frames::decode(&frame).map_err(|error| self.nonsense(error.to_string()))?;
        let asked = self.asked.pop_front().filter(|asked| answer.id == Some(asked.id));
        let (asked, done) = match (asked, answer.done) {
            (Some(asked), done) => (asked, done),
            // It could not make out which request this is about.
            (None, Done::Error(why)) => return Err(self.nonsense(harmless::text(&why.message))),
            (None, Done::Ok(_)) => return Err(self.nonsense("it answers what was not asked")),
        };
        Ok(Some(Result::from(done).map_err(|why: files::Failure| {
            Failure::Refused {
                operate: asked.operate,
                path: asked.path,
                code: why.code,
                message: why.message,
            }
        })))
    }

    /// How many requests wait for their answers.
    pub(crate) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// So many of the bytes that were received belong to a frame, which may be complete now.
    fn taken(&mut self, count: usize) -> Result<(), Failure> {
        Pin::new(&mut self.conn).consume(count);
        let frame = self.frames.next().map_err(|error| match error {
            BadFrame::Tls => self.speaks_tls(),
            other => self.nonsense(other.to_string()),
        })?;
        self.come.extend(frame);
        Ok(())
    }

    pub(crate) fn closed(&self) -> Failure {
        let error = Error::new("recv", Class::General, "the service closed the connection");
        Failure::Lost(error.at(self.conn.peer()))
    }

    pub(crate) fn lost(&self, op: &'static str, error: std::io::Error) -> Failure {
        Failure::Lost(Error::io(op, error).at(self.conn.peer()))
    }

    fn speaks_tls(&self) -> Failure {
        let error = Error::new("recv", Class::General, "the other end speaks TLS").at(self.conn.peer());
        Failure::Ours(error.advise(format!("use {}", self.conn.peer().endpoint("tls"))))
    }

    fn nonsense(&self, why: impl Into<String>) -> Failure {
        let why = format!("its answer makes no sense: {}", why.into());
        let error = Error::new("recv", Class::General, why).at(self.conn.peer());
        Failure::Ours(error.advise("is a service of files there? `sockeye info` tells who answers"))
    }
}
