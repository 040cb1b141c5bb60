//! What the processes of a server tell the one that started it: a packet each over a Unix socket.

use crate::address::Address;
use crate::endpoint::UnixName;
use crate::server::{Event, Reason};
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use rustix::process::{Pid, getpid, getppid};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The longest text that is told; a handler's error may be of any length.
const LONGEST_TEXT: usize = 4 << 10;

/// Room for any report: two texts, an address, numbers.
pub(super) const LARGEST: usize = 2 * LONGEST_TEXT + 1024;

#[derive(Debug, PartialEq)]
pub(super) enum Report {
    Ready,
    Failed(String),
    Event(Event),
}

/// The socket that reports are sent on, shared by all forked processes.
#[derive(Clone)]
pub(super) struct Reporter(Arc<OwnedFd>);

impl Reporter {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Reporter(Arc::new(socket))
    }

    /// Whether it has been told. When the process that wanted to know is gone, nobody misses it.
    pub(super) fn send(&self, report: &Report) -> bool {
        let words = report.written();
        // A child's end, or a word from the server, is no reason to leave it untold, however long its reader takes.
        retry_on_intr(|| rustix::net::send(&*self.0, &words, SendFlags::NOSIGNAL)).is_ok()
    }
}

/// How the acceptor and its children tell events. What is to be told of every connection is the acceptor's to tell, for a
/// child copies each page that it writes to, and hundreds of them at once would wait for who reads the reports.
pub(super) struct Voice {
    pub(super) reporter: Reporter,
    pub(super) acceptor: Pid,
    /// This is a child, and has told its own end.
    told: AtomicBool,
}

impl Voice {
    /// Of the acceptor, by itself.
    pub(super) fn new(reporter: Reporter) -> Self {
        Voice {
            reporter,
            acceptor: getpid(),
            told: AtomicBool::new(false),
        }
    }

    pub(super) fn tell(&self, event: &Event) {
        let is_child = getpid() != self.acceptor;
        if is_child {
            match event {
                Event::Opened { .. } => return,
                Event::Closed {
                    reason: Reason::Finished,
                    ..
                } if getppid() == Some(self.acceptor) => return, // its acceptor sees it leave, and knows the counts
                _ => {}
            }
        }
        let told = self.reporter.send(&Report::Event(event.clone()));
        if told && is_child && matches!(event, Event::Closed { .. }) {
            self.told.store(true, Ordering::Relaxed);
        }
    }

    /// How a child is to leave.
    pub(super) fn last_word(&self) -> i32 {
        if self.told.load(Ordering::Relaxed) {
            super::TOLD
        } else {
            0
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(LONGEST_TEXT)];
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn put_address(out: &mut Vec<u8>, address: &Address) {
    match address {
        Address::Inet(inet) => {
            out.push(0);
            put(out, inet.to_string().as_bytes());
        }
        Address::Unix(None) => out.push(1),
        Address::Unix(Some(UnixName::Path(path))) => {
            out.push(2);
            put(out, path.as_os_str().as_bytes());
        }
        Address::Unix(Some(UnixName::Abstract(name))) => {
            out.push(3);
            put(out, name);
        }
        Address::Vsock { cid, port } => {
            out.push(4);
            out.extend(cid.to_le_bytes());
            out.extend(port.to_le_bytes());
        }
        Address::Unknown { family } => {
            out.push(5);
            out.extend(u32::from(*family).to_le_bytes());
        }
    }
}

fn put_reason(out: &mut Vec<u8>, reason: &Reason) {
    let (kind, text) = match reason {
        Reason::Finished => (0, ""),
        Reason::TimedOut(text) => (1, &**text),
        Reason::Failed(text) => (2, &**text),
        Reason::Panicked(text) => (3, &**text),
        Reason::Cut => (4, ""),
    };
    out.push(kind);
    put(out, text.as_bytes());
}

impl Report {
    fn written(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Report::Ready => out.push(0),
            Report::Failed(why) => {
                out.push(1);
                put(&mut out, why.as_bytes());
            }
            Report::Event(event) => write_event(&mut out, event),
        }
        out
    }

    /// Reads what [`written`](Self::written) wrote; `None` if it is something else.
    pub(super) fn read(bytes: &[u8]) -> Option<Report> {
        let mut rest = Reader(bytes);
        Some(match rest.byte()? {
            0 => Report::Ready,
            1 => Report::Failed(rest.text()?),
            kind => Report::Event(read_event(kind, &mut rest)?),
        })
    }
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Opened { id, peer } => {
            out.push(2);
            out.extend(id.to_le_bytes());
            put_address(out, peer);
        }
        Event::Closed {
            id,
            peer,
            received,
            sent,
            reason,
        } => {
            out.push(3);
            [id, received, sent]
                .into_iter()
                .for_each(|number| out.extend(number.to_le_bytes()));
            put_address(out, peer);
            put_reason(out, reason);
        }
        Event::Refused { peer, why } => {
            out.push(4);
            put_address(out, peer);
            put(out, why.as_bytes());
        }
        Event::AcceptFailed { error } => {
            out.push(5);
            put(out, error.as_bytes());
        }
        Event::PacketFailed { peer, reason } => {
            out.push(6);
            put_address(out, peer);
            put_reason(out, reason);
        }
        Event::Failed { error } => {
            out.push(7);
            put(out, error.as_bytes());
        }
    }
}

fn read_event(kind: u8, rest: &mut Reader<'_>) -> Option<Event> {
    Some(match kind {
        2 => Event::Opened {
            id: rest.number()?,
            peer: rest.address()?,
        },
        3 => {
            let (id, received, sent) = (rest.number()?, rest.number()?, rest.number()?);
            Event::Closed {
                id,
                received,
                sent,
                peer: rest.address()?,
                reason: rest.reason()?,
            }
        }
        4 => Event::Refused {
            peer: rest.address()?,
            why: rest.text()?,
        },
        5 => Event::AcceptFailed { error: rest.text()? },
        6 => Event::PacketFailed {
            peer: rest.address()?,
            reason: rest.reason()?,
        },
        7 => Event::Failed { error: rest.text()? },
        _ => return None,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn half(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.half()? as usize;
        self.take(count)
    }

    fn text(&mut self) -> Option<String> {
        self.bytes()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn address(&mut self) -> Option<Address> {
        Some(match self.byte()? {
            0 => Address::Inet(self.text()?.parse().ok()?),
            1 => Address::Unix(None),
            2 => Address::Unix(Some(UnixName::Path(
                OsString::from_vec(self.bytes()?.to_vec()).into(),
            ))),
            3 => Address::Unix(Some(UnixName::Abstract(self.bytes()?.to_vec()))),
            4 => Address::Vsock {
                cid: self.half()?,
                port: self.half()?,
            },
            5 => Address::Unknown {
                family: self.half()? as u16,
            },
            _ => return None,
        })
    }

    fn reason(&mut self) -> Option<Reason> {
        let (kind, text) = (self.byte()?, self.text()?);
        Some(match kind {
            0 => Reason::Finished,
            1 => Reason::TimedOut(text),
            2 => Reason::Failed(text),
            3 => Reason::Panicked(text),
            4 => Reason::Cut,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Vec<Address> {
        let inet = |text: &str| Address::Inet(text.parse().expect("an address"));
        vec![
            inet("127.0.0.1:80"),
            inet("[fe80::1%3]:443"),
            Address::Unix(None),
            Address::Unix(Some(UnixName::Path("/run/x".into()))),
            Address::Unix(Some(UnixName::Abstract(vec![0xff, 0]))),
            Address::Vsock { cid: 2, port: 70_000 },
            Address::Unknown { family: 29 },
        ]
    }

    #[test]
    fn every_report_reads_back_as_it_was_written() {
        let mut reports = vec![Report::Ready, Report::Failed("no".into())];
        for peer in peers() {
            reports.push(Report::Event(Event::Opened {
                id: 7,
                peer: peer.clone(),
            }));
            for reason in [
                Reason::Finished,
                Reason::Cut,
                Reason::Failed("a".into()),
                Reason::Panicked("b".into()),
            ] {
                let (peer, received, sent) = (peer.clone(), u64::MAX, 3);
                reports.push(Report::Event(Event::Closed {
                    id: 1,
                    peer,
                    received,
                    sent,
                    reason,
                }));
            }
        }
        for report in reports {
            assert_eq!(Report::read(&report.written()), Some(report));
        }
    }

    #[test]
    fn a_report_that_was_cut_short_is_none() {
        let whole = Report::Event(Event::Refused {
            peer: peers().remove(0),
            why: "full".into(),
        })
        .written();
        assert!((0..whole.len()).all(|count| Report::read(&whole[..count]).is_none()));
    }

    #[test]
    fn a_long_text_is_cut_and_fits() {
        let report = Report::Failed("x".repeat(LARGEST * 2));
        assert!(report.written().len() <= LARGEST);
    }
}
