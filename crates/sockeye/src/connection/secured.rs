//! TLS over a socket, in pieces as large as the socket brings and takes them.
//!
//! rustls asks for 4 KiB at a time and gives out one record of up to 16 KiB. So what has arrived at once waits here for rustls to take it, and all
//! that it makes of that is given out together.

use super::Wire;
use crate::buffer::{Chunk, RECEIVE, Spare};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// Where a stretch of records at least as long begins, something else begins, and where it ends it ends with a shorter one. Such a
/// stretch is given out by itself, so that files, whose pieces have a short record in front of them, are written in whole blocks of 64 KiB:
/// ext4 takes them in two thirds of the time.
const BULK: usize = 4 << 10;

/// A socket under TLS.
pub(crate) struct Carrier {
    pub(super) wire: Wire,
    /// Received, and not yet taken by rustls: nothing while it waits for more.
    arrived: Chunk,
    /// It was as much as one receive takes, so there may be more.
    was_full: bool,
    /// Nobody is going to wait.
    at_once: bool,
    /// What would have been a wait has begun nevertheless.
    waits: bool,
}

impl Carrier {
    pub(super) fn new(wire: Wire) -> Self {
        Carrier {
            wire,
            arrived: Chunk::default(),
            was_full: false,
            at_once: false,
            waits: false,
        }
    }

    fn poll_arrive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.at_once && !self.was_full {
            return Poll::Pending;
        }
        let received = self.wire.poll_recv(cx);
        self.waits = received.is_pending();
        self.arrived = ready!(received)?;
        self.was_full = self.arrived.len() == RECEIVE;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.arrived.is_empty() {
            ready!(this.poll_arrive(cx))?;
        }
        this.arrived.pour(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    /// All records that are ready go together: those of a bulk transfer since each call costs as much as its bytes, and those of a handshake
    /// since TLS, which tries only once more when it fails, would lose the alert that says why.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        records: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.poll_write_all_of(cx, records)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    /// Closing for writing is the connection's: TLS only has to get its farewell out.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// TLS on a connection.
pub(crate) struct Secured {
    pub(super) stream: TlsStream<Carrier>,
    /// What came behind bytes that were given out before it is told.
    broken: Option<io::Error>,
}

impl Secured {
    pub(super) fn new(stream: impl Into<TlsStream<Carrier>>) -> Self {
        Secured {
            stream: stream.into(),
            broken: None,
        }
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.stream.get_ref().0.wire
    }

    pub(super) fn wire_mut(&mut self) -> &mut Wire {
        &mut self.stream.get_mut().0.wire
    }

    /// At least one byte, and what has arrived with it; an empty chunk at the end of the stream.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        let mut spare = Spare::take();
        let mut buf = ReadBuf::new(spare.bytes());
        ready!(self.poll_record(cx, &mut buf))?;
        self.read_on(cx, &mut buf);
        let count = buf.filled().len();
        Poll::Ready(Ok(spare.filled(count)))
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_record(cx, buf))?;
        self.settle(); // nobody knows when the rest is wanted
        Poll::Ready(Ok(()))
    }

    /// Who has this connection does something else for a while.
    pub(super) fn settle(&mut self) {
        self.carrier().arrived.settle();
    }

    fn carrier(&mut self) -> &mut Carrier {
        self.stream.get_mut().0
    }

    /// Adds the records that are there behind the first.
    fn read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) {
        let mut last = buf.filled().len();
        let carrier = self.carrier();
        (carrier.at_once, carrier.waits) = (last > 0, false);
        while last > 0 {
            let mut stream = Pin::new(&mut self.stream);
            // Nobody else's `poll_read`: that one goes on until it would wait, and has begun to wait then.
            last = match stream.as_mut().poll_fill_buf(cx) {
                Poll::Ready(Ok(record)) => {
                    let count = record.len();
                    if count > buf.remaining() || last < BULK && count >= BULK {
                        break;
                    }
                    buf.put_slice(record);
                    stream.consume(count);
                    if last >= BULK && count < BULK {
                        break;
                    }
                    count // none is the peer's farewell, which is told again
                }
                Poll::Ready(Err(error)) => {
                    self.broken = Some(error);
                    break;
                }
                Poll::Pending => break,
            };
        }
        let carrier = self.carrier();
        carrier.at_once = false;
        if std::mem::take(&mut carrier.waits) {
            carrier.wire.wait_no_more();
        }
    }

    /// The next record, or as much of it as there is room for.
    fn poll_record(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        let read = match self.broken.take() {
            Some(error) => Err(error),
            None => ready!(stream.as_mut().poll_fill_buf(cx)).map(|record| {
                let count = record.len().min(buf.remaining());
                buf.put_slice(&record[..count]);
                count
            }),
        };
        Poll::Ready(match read {
            Ok(count) => {
                stream.consume(count);
                Ok(())
            }
            // The peer has not said farewell, for it was not the peer who ended this.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.wire().entry.input_ended() => {
                Ok(())
            }
            Err(error) => Err(crate::tls::unheard_farewell(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Transport;
    use crate::{Connection, Listener, Model, Result, TlsClient, TlsServer, dial, run};
    use std::future::Future;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Two ends of a connection with TLS.
    async fn pair() -> Result<(Connection, Connection)> {
        let (client, server) = (TlsClient::unverified()?, TlsServer::self_signed(&["localhost"])?);
        let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
        let mut near = dial(listener.endpoint()).await?;
        let mut far = listener.accept().await?;
        let (near_end, far_end) = tokio::join!(near.start_tls(&client, "localhost"), far.accept_tls(&server));
        near_end.and(far_end)?;
        Ok((near, far))
    }

    fn under_each_model<F: Future<Output = Result<()>>>(talk: impl Fn(Model) -> F) {
        for model in Model::ALL {
            let talked = run(model, talk(model)).expect("the model");
            talked.unwrap_or_else(|error| panic!("{model}: {error}"));
        }
    }

    fn arrived(conn: &Connection) -> (usize, bool) {
        let Transport::Tls(secured) = &conn.transport else {
            panic!("no TLS");
        };
        let arrived = &secured.stream.get_ref().0.arrived;
        (arrived.len(), arrived.holds_a_buffer())
    }

    #[test]
    fn what_waits_for_more_holds_no_buffer() {
        under_each_model(async |model| {
            let (mut near, mut far) = pair().await?;
            for size in [1, 16 << 10, 64 << 10, 200_000] {
                let bytes = vec![7; size];
                let (sent, come) = tokio::join!(near.send_all(&bytes), async {
                    let mut come = 0;
                    while come < size {
                        come += far.recv().await?.len();
                    }
                    Result::<usize>::Ok(come)
                });
                sent?;
                assert_eq!((come?, arrived(&far)), (size, (0, false)), "{model}");
            }
            Ok(())
        });
    }

    #[test]
    fn who_takes_a_little_holds_no_more_than_has_come() {
        under_each_model(async |model| {
            let (mut near, mut far) = pair().await?;
            near.send_all(&[7; 40_000]).await?;
            let mut come = [0; 40_000];
            for at in 0..come.len() / 1000 {
                far.read_exact(&mut come[at * 1000..][..1000]).await?;
                let (there, pooled) = arrived(&far);
                assert!(
                    !pooled || there >= 32 << 10,
                    "{model}: {there} bytes pin a buffer"
                );
            }
            assert_eq!(arrived(&far).0, 0, "{model}");
            Ok(())
        });
    }

    #[test]
    fn who_has_got_something_waits_for_nothing() {
        const LIMIT: Duration = Duration::from_secs(1);
        under_each_model(async |model| {
            let (mut near, mut far) = pair().await?;
            far.set_read_timeout(Some(LIMIT));
            for size in [1, 5000, 64 << 10] {
                near.send_all(&vec![7; size]).await?;
                let mut come = 0;
                while come < size {
                    come += far.recv().await?.len();
                }
            }
            // Time is what this is about: the limit passes while nobody waits.
            crate::time::sleep(LIMIT + LIMIT / 10).await?;
            let (come, sent) = tokio::join!(far.recv(), near.send_all(&[7]));
            sent?;
            assert_eq!(come?.len(), 1, "{model}");
            Ok(())
        });
    }

    #[test]
    fn a_stretch_of_long_records_is_given_out_by_itself() {
        under_each_model(async |model| {
            let (mut near, mut far) = pair().await?;
            let sizes = [8000, 100, 200, 16_000, 14_000, 3];
            for size in sizes {
                // Each is a record, and all of them are there before one is asked for.
                near.write_all(&vec![7; size]).await?;
            }
            near.flush().await?;
            let mut chunks = Vec::new();
            while chunks.iter().sum::<usize>() < sizes.iter().sum() {
                let chunk = far.recv().await?;
                chunks.push(chunk.len());
            }
            // What of it has arrived at once is the system's business, but none of the stretch comes with what is before it.
            let mut ends = chunks.iter().scan(0, |at, count| {
                *at += count;
                Some(*at)
            });
            assert!(ends.any(|end| end == 8000 + 100 + 200), "{model}: {chunks:?}");
            Ok(())
        });
    }

    #[test]
    fn records_that_came_together_are_given_out_together() {
        under_each_model(async |model| {
            let (mut near, mut far) = pair().await?;
            near.send_all(&[7; 48 << 10]).await?;
            let (mut come, mut chunks) = (0, 0);
            while come < 48 << 10 {
                come += far.recv().await?.len();
                chunks += 1;
            }
            assert!(chunks <= 2, "{model}: {chunks}");
            Ok(())
        });
    }
}
