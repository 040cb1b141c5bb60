//! `chargen`: characters without end, until the peer closes. RFC 864.
//!
//! Over UDP the RFC asks for an answer of 0 to 512 characters, a random number of them, whatever the datagram holds. This is
//! what attacks are amplified with: with a forged sender, the answers hit somebody else. So beyond this machine the number is
//! drawn from what the [`shield`](crate::shield) allows: up to 56 for an empty datagram, and 512 for one of 152 bytes.

use crate::auth::Login;
use crate::catalog::{Service, Starter};
use crate::shield::Answers;
use sockeye::{Connection, Handler, Packet, PacketHandler, Result};
use sockeye_proto::chargen::{Chargen as Pattern, MAX_DATAGRAM, datagram};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Its row in the [catalog](crate::catalog). The port of the RFC is 19, which only root may bind.
pub const SERVICE: Service = Service {
    name: "chargen",
    port: 8019,
    schemes: &["tcp", "udp"],
    keeps: false,
    login: Login::InFront,
    about: "sends characters without end (RFC 864)",
    try_stream: "{nc} | head",
    try_packets: "echo | {nc}",
    settings: &[],
    make: |settings| Ok(Starter::shielded(Chargen, Answers::Everything, settings)),
};

/// Room for what a peer says, which is thrown away: on the stack, since it has no use.
const INPUT: usize = 512;

/// Sends the pattern of RFC 864.
pub struct Chargen;

impl Handler for Chargen {
    /// What the peer sends is thrown away, as the RFC wants it; and it has to be read, or a peer that writes before it
    /// reads would wait for us while we wait for it.
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        // A peer that only listens is no idle one; one that doesn't even do that meets the deadline for writing.
        conn.set_read_timeout(None);
        let mut pattern = Pattern::new();
        let mut listening = true;
        while !conn.stopping() {
            match poll_fn(|cx| poll_send(conn, &mut pattern, &mut listening, cx)).await {
                Ok(()) => {}
                // The only farewell there is.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Sends some of the pattern, and drains what has come meanwhile; returns too when the server is stopping.
fn poll_send(
    conn: &mut Connection,
    pattern: &mut Pattern,
    listening: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<()>> {
    while *listening {
        let mut room = [0; INPUT];
        let mut input = ReadBuf::new(&mut room);
        match Pin::new(&mut *conn).poll_read(cx, &mut input) {
            // The peer may close its way and still listen.
            Poll::Ready(Ok(())) => *listening = !input.filled().is_empty(),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => break,
        }
    }
    if conn.stopping() {
        return Poll::Ready(Ok(()));
    }
    let next = pattern.next(usize::MAX);
    let sent = Pin::new(conn).poll_write(cx, next);
    let count = match &sent {
        Poll::Ready(Ok(count)) => *count,
        _ => 0,
    };
    pattern.back(next.len() - count);
    sent.map_ok(drop)
}

impl PacketHandler for Chargen {
    async fn handle(&self, packet: Packet) -> Result<()> {
        let most = packet.allowance().min(MAX_DATAGRAM);
        packet.reply(datagram(fastrand::usize(0..=most))).await
    }
}
