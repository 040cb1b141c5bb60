//! A connection as messages of text.

use super::Manner;
use sockeye::{Class, Connection, Error, Result};
use sockeye_proto::framing::{Framer, TooLong};
use sockeye_proto::tls;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// Answers that are kept back to leave together with those of further messages: beyond this they leave at once.
const GATHERED: usize = 64 << 10;

/// One message of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMessage {
    /// What it says, without the newline at its end; what can't be decoded is U+FFFD.
    pub text: String,
    /// The newline that the peer ended it with, or nothing: how to end an answer.
    pub newline: &'static str,
}

/// A connection as messages of text, for as long as a handler has it.
///
/// ```
/// use sockeye::{Connection, Handler, Result};
/// use sockeye_services::text::{Manner, TextConnection};
///
/// struct Upper;
/// impl Handler for Upper {
///     async fn handle(&self, conn: &mut Connection) -> Result<()> {
///         let mut talk = TextConnection::new(conn, Manner::default());
///         while let Some(message) = talk.next_message().await? {
///             talk.answer(&message.text.to_uppercase()).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub struct TextConnection<'a> {
    conn: &'a mut Connection,
    manner: Manner,
    framer: Framer,
    /// The peer has said its last byte.
    ended: bool,
    start: Instant,
    /// How far the framer has been told that time is.
    now: Duration,
    /// How the last message ended.
    newline: &'static str,
    outgoing: Vec<u8>,
    /// How much of `outgoing` has left.
    sent: usize,
}

impl<'a> TextConnection<'a> {
    /// Begins a conversation.
    pub fn new(conn: &'a mut Connection, manner: Manner) -> Self {
        TextConnection {
            conn,
            manner,
            framer: Framer::new(manner.framing, manner.max_message),
            ended: false,
            start: Instant::now(),
            now: Duration::ZERO,
            newline: "",
            outgoing: Vec::new(),
            sent: 0,
        }
    }

    /// The connection itself: who the peer is, its deadlines, whether the server is stopping.
    pub fn connection(&mut self) -> &mut Connection {
        self.conn
    }

    /// The next message; `None` when the peer has said its last one, or has been told that its message was too long.
    /// Sends what was said before it waits.
    ///
    /// It may be dropped while it waits, as one branch of a `select!`: nothing is lost.
    ///
    /// # Errors
    /// When the connection is broken, or one of its deadlines passed.
    pub async fn next_message(&mut self) -> Result<Option<TextMessage>> {
        loop {
            match self.framer.next(self.now) {
                Ok(Some(message)) => {
                    let text = self.manner.encoding.decode(message.body()).into_owned();
                    self.newline = message.newline();
                    return Ok(Some(TextMessage {
                        text,
                        newline: self.newline,
                    }));
                }
                Ok(None) => {}
                Err(too_long) => return self.refuse(too_long).await.map(|()| None),
            }
            self.flush().await?;
            if self.ended {
                return Ok(None);
            }
            self.listen().await?;
        }
    }

    /// Receives once, or learns that the peer is silent.
    async fn listen(&mut self) -> Result<()> {
        let received = match self.framer.deadline() {
            None => self.conn.recv().await?,
            Some(deadline) => {
                let patience = deadline.saturating_sub(self.start.elapsed());
                match sockeye::time::timeout(patience, self.conn.recv()).await {
                    Ok(received) => received?,
                    Err(silence) if silence.class() == Class::Timeout => {
                        // The clock of the deadline may be a hair ahead of ours.
                        self.now = self.start.elapsed().max(deadline);
                        return Ok(());
                    }
                    Err(other) => return Err(other),
                }
            }
        };
        // Over TLS more bytes have travelled than are read.
        if self.conn.received() == received.len() as u64 && tls::is_record(&received) {
            return Err(Error::new("recv", Class::General, tls::MIXED_UP).at(self.conn.peer()));
        }
        self.now = self.start.elapsed();
        if received.is_empty() {
            self.ended = true;
            self.framer.end();
        } else {
            self.framer.feed(&received, self.now);
        }
        Ok(())
    }

    /// Says something, and ends it as the peer ended its last message: with its newline, or with none. What says
    /// nothing, or ends with a newline of its own, stays as it is.
    ///
    /// It leaves when the conversation waits for the next message, with the answers to other messages that came
    /// together; or by [`flush`](Self::flush).
    ///
    /// # Errors
    /// When the connection is broken, or the peer takes nothing for longer than the write timeout.
    pub async fn answer(&mut self, text: &str) -> Result<()> {
        let newline = match text.is_empty() || text.ends_with('\n') {
            true => "",
            false => self.newline,
        };
        self.say(text).await?;
        self.say(newline).await
    }

    /// Says something as it is. It leaves as an [`answer`](Self::answer) does.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn say(&mut self, text: &str) -> Result<()> {
        self.outgoing
            .extend_from_slice(&self.manner.encoding.encode(text));
        if self.outgoing.len() - self.sent > GATHERED {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what was said. It may be dropped while it waits: the rest leaves with the next one.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn flush(&mut self) -> Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        while self.sent < self.outgoing.len() {
            let count = self.conn.write(&self.outgoing[self.sent..]).await;
            self.sent += count.map_err(|error| self.broken(error))?;
        }
        self.conn.flush().await.map_err(|error| self.broken(error))?;
        (self.outgoing, self.sent) = (Vec::new(), 0); // an idle connection holds no buffer
        Ok(())
    }

    /// Tells the peer why it is about to be closed.
    async fn refuse(&mut self, too_long: TooLong) -> Result<()> {
        tracing::info!(peer = %self.conn.peer(), "{too_long}");
        self.say(&format!("error: {too_long}\n")).await?;
        self.flush().await
    }

    fn broken(&self, error: std::io::Error) -> Error {
        Error::io("send", error).at(self.conn.peer())
    }
}
