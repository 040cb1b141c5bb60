//! Sending on all ways, and hearing who answers.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use sockeye::{Address, Datagram, Message, format_duration, local_address, time};
use tokio::sync::oneshot;

use super::paths::Path;
use super::texts::Texts;
use crate::content::{Content, Format, plain};
use crate::exit;
use crate::terminal::{self, format_micros, json_line};

/// Peers that are told apart in the count of them; a network of 16 bits of addresses has fewer.
const MAX_PEERS: usize = 1 << 16;

/// All ways, open.
pub(super) struct Air {
    ways: Vec<Way>,
    format: Format,
    tally: Tally,
}

struct Way {
    socket: Datagram,
    path: Path,
    from: String,
    /// When it sent the last time.
    sent: Option<Instant>,
}

#[derive(Default)]
struct Tally {
    sent: usize,
    failed: usize,
    answers: usize,
    peers: HashSet<Address>,
}

/// What programs are told, a line each.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Sent {
        to: String,
        interface: Option<&'a str>,
        from: Option<&'a str>,
        #[serde(flatten)]
        content: Content,
    },
    Answer {
        peer: String,
        interface: Option<&'a str>,
        rtt_us: u64,
        #[serde(flatten)]
        content: Content,
    },
    End {
        sent: usize,
        failed: usize,
        answers: usize,
        peers: usize,
    },
}

impl Air {
    /// Opens a socket for each way.
    pub(super) async fn open(paths: Vec<Path>, format: Format) -> Result<Self> {
        let mut ways = Vec::new();
        for path in paths {
            let socket = Datagram::bind_with(&format!("udp://{}", path.from), &path.options).await?;
            let from = plain(&local_address(&socket)?);
            ways.push(Way {
                socket,
                path,
                from,
                sent: None,
            });
        }
        let tally = Tally::default();
        Ok(Air { ways, format, tally })
    }

    /// Sends all texts; with `wait`, hears answers meanwhile and so long after the last. An interrupt is an end as any other.
    pub(super) async fn run(
        mut self,
        texts: Texts,
        wait: Option<Duration>,
        interrupt: oneshot::Receiver<()>,
    ) -> Result<ExitCode> {
        let interrupted = tokio::select! {
            biased;
            _ = interrupt => true,
            done = self.all(texts, wait) => done.map(|()| false)?,
        };
        Ok(self.end(wait, interrupted))
    }

    async fn all(&mut self, mut texts: Texts, wait: Option<Duration>) -> Result<()> {
        let hears = wait.is_some();
        let mut next = self.meanwhile(hears, texts.next()).await;
        while let Some(text) = next {
            self.send(&text?).await;
            let sent = Instant::now();
            next = self.meanwhile(hears, texts.next()).await;
            // Whether there is another is known first: after the last nobody waits.
            if let (Some(Ok(_)), Some(pause)) = (&next, texts.every) {
                let rest = pause.saturating_sub(sent.elapsed());
                self.meanwhile(hears, time::sleep(rest)).await?;
            }
        }
        if let Some(wait) = wait {
            self.meanwhile(hears, time::sleep(wait)).await?;
        }
        Ok(())
    }

    /// Awaits something, and prints the answers that come until then.
    async fn meanwhile<T>(&mut self, hears: bool, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        loop {
            if !hears {
                return awaited.await;
            }
            let (at, heard) = tokio::select! {
                biased;
                output = &mut awaited => return output,
                heard = hear(&mut self.ways) => heard,
            };
            match heard {
                Ok(message) => self.answered(at, &message),
                Err(error) => exit::tell(&format!("sockeye: {error}")),
            }
        }
    }

    /// Sends a text on every way; tells of those where it can't be.
    async fn send(&mut self, text: &[u8]) {
        let first = self.tally.sent + self.tally.failed == 0;
        for way in &mut self.ways {
            let to = Address::Inet(way.path.to);
            way.sent = Some(Instant::now());
            let interface = way.path.interface.as_deref();
            let by = interface.map_or(String::new(), |name| format!(" by {name}"));
            if let Err(error) = way.socket.send_to(text, &to).await {
                self.tally.failed += 1;
                exit::tell(&format!("sockeye: not sent{by}: {error}"));
                continue;
            }
            self.tally.sent += 1;
            let to = plain(&to);
            let from = (!way.path.from.ip().is_unspecified()).then_some(way.from.as_str());
            if self.format.json {
                let content = self.format.content(text);
                terminal::print(&json_line(&Event::Sent {
                    to,
                    interface,
                    from,
                    content,
                }));
            } else if first {
                let from = from.map_or(String::new(), |from| format!(", from {from}"));
                terminal::print(&format!("sent to {to}{by}{from}\n"));
            }
        }
    }

    fn answered(&mut self, at: usize, message: &Message) {
        let way = &self.ways[at];
        let rtt = way.sent.map_or(Duration::ZERO, |sent| sent.elapsed());
        let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
        let (peer, interface) = (message.peer(), way.path.interface.as_deref());
        let printed = match self.format.json {
            true => json_line(&Event::Answer {
                peer: plain(&peer),
                interface,
                rtt_us,
                content: self.format.content(message.data()),
            }),
            false => {
                let by = interface.map_or(String::new(), |name| format!("  {name}"));
                let words = format!("{}{by}  {}  ", plain(&peer), format_micros(rtt_us));
                self.format.line(&words, message.data())
            }
        };
        terminal::print(&printed);
        self.tally.answers += 1;
        if self.tally.peers.len() < MAX_PEERS {
            self.tally.peers.insert(peer);
        }
    }

    fn end(&self, wait: Option<Duration>, interrupted: bool) -> ExitCode {
        let Tally {
            sent,
            failed,
            answers,
            ref peers,
        } = self.tally;
        let peers = peers.len();
        if self.format.json {
            terminal::print(&json_line(&Event::End {
                sent,
                failed,
                answers,
                peers,
            }));
        }
        // What was sent only once has been told.
        if sent + failed > self.ways.len() {
            exit::tell(&match failed {
                0 => format!("{sent} sent"),
                failed => format!("{sent} sent, {failed} failed"),
            });
        }
        match wait {
            Some(_) if answers == 0 && interrupted => exit::tell("sockeye: nobody answered"),
            Some(wait) if answers == 0 => {
                exit::tell(&format!("sockeye: nobody answered in {}", format_duration(wait)));
            }
            Some(_) => exit::tell(&format!(
                "{} from {}",
                counted(answers, "answer"),
                counted(peers, "peer")
            )),
            None => {}
        }
        match failed > 0 || (wait.is_some() && answers == 0) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The next datagram on any way. It may be dropped while it waits.
async fn hear(ways: &mut [Way]) -> (usize, sockeye::Result<Message>) {
    poll_fn(|cx| {
        for (at, way) in ways.iter_mut().enumerate() {
            match pin!(way.socket.recv_message()).poll(cx) {
                Poll::Ready(heard) => return Poll::Ready((at, heard)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}
