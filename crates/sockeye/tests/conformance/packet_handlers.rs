//! The handlers of packets that the behaviours are seen on.

use crate::server_process::say;
use crate::spec::Spec;
use sockeye::{Packet, PacketHandler, Result, Running, Server};

/// Starts the handler that the spec names.
pub(crate) fn start(spec: &Spec, server: Server) -> Result<Running> {
    match spec.text("handler").unwrap_or_default() {
        "echo" => server.start_packets(Echo),
        other => {
            say(format_args!("failed: there is no handler {other} of packets"));
            std::process::exit(2)
        }
    }
}

/// Sends each packet back.
struct Echo;

impl PacketHandler for Echo {
    async fn handle(&self, mut packet: Packet) -> Result<()> {
        let bytes = packet.take();
        packet.reply(bytes).await
    }
}
