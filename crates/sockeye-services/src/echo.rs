//! `echo`: the bytes received, nothing else, in order, until the peer closes. RFC 862.

use crate::auth::Login;
use crate::catalog::{Service, Starter};
use crate::shield::Answers;
use sockeye::{Connection, Handler, Packet, PacketHandler, Result};

/// Its row in the [catalog](crate::catalog). The port of the RFC is 7, which only root may bind.
pub const SERVICE: Service = Service {
    name: "echo",
    port: 8080,
    schemes: &["tcp", "udp"],
    keeps: false,
    login: Login::InFront,
    about: "sends back what it receives (RFC 862)",
    try_stream: "echo hello | {nc}",
    try_packets: "echo hello | {nc}",
    settings: &[],
    make: |settings| Ok(Starter::shielded(Echo, Answers::Everything, settings)),
};

/// Sends each chunk, and each datagram, back as it came.
pub struct Echo;

impl Handler for Echo {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        loop {
            // All there is in one receive and one send; nothing is held in between.
            let chunk = conn.recv().await?;
            if chunk.is_empty() {
                return Ok(());
            }
            conn.send(chunk).await?;
        }
    }
}

impl PacketHandler for Echo {
    async fn handle(&self, mut packet: Packet) -> Result<()> {
        let bytes = packet.take();
        packet.reply(bytes).await
    }
}
