//! `discard`: receives until the peer closes, and says nothing. RFC 863.

use crate::auth::Login;
use crate::catalog::{Service, Starter};
use sockeye::{Connection, Handler, Packet, PacketHandler, Result};

/// Its row in the [catalog](crate::catalog). The port of the RFC is 9, which only root may bind.
pub const SERVICE: Service = Service {
    name: "discard",
    port: 8009,
    schemes: &["tcp", "udp"],
    keeps: false,
    login: Login::InFront,
    about: "receives, and says nothing (RFC 863)",
    try_stream: "echo hello | {nc}",
    try_packets: "echo hello | {nc}",
    settings: &[],
    make: |_| Ok(Starter::new(Discard)),
};

/// Throws away what it receives.
pub struct Discard;

impl Handler for Discard {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        while !conn.recv().await?.is_empty() {}
        Ok(())
    }
}

impl PacketHandler for Discard {
    async fn handle(&self, _: Packet) -> Result<()> {
        Ok(())
    }
}
