//! The handlers of packets.

use crate::spec::Spec;
use sockeye::{Class, Error, Packet, PacketHandler, Result, Running, Server, dial, interface_name};

pub(super) fn start(spec: &Spec, server: Server) -> Result<Running> {
    match spec.text("handler").unwrap_or_default() {
        "echo" => begin(spec, server, Echo),
        "where" => begin(spec, server, Where),
        "told" => begin(spec, server, Told),
        "frugal" => begin(spec, server, Frugal),
        "moody" => begin(spec, server, Moody),
        other => Err(super::unknown(other)),
    }
}

/// In the background, or by this thread, as the spec says.
fn begin(spec: &Spec, server: Server, handler: impl PacketHandler) -> Result<Running> {
    match spec.is_here() {
        true => server.start_packets_here(handler),
        false => server.start_packets(handler),
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

/// Says which address a packet came to.
struct Where;

impl PacketHandler for Where {
    async fn handle(&self, packet: Packet) -> Result<()> {
        packet.reply(packet.local().to_string()).await
    }
}

/// Says by which interface a packet came in, and whether it knows when.
struct Told;

impl PacketHandler for Told {
    async fn handle(&self, packet: Packet) -> Result<()> {
        let interface = packet.interface().and_then(interface_name);
        let name = interface.unwrap_or_default();
        packet
            .reply(format!("{name} {}", packet.arrived().is_some()))
            .await
    }
}

/// Lets no packet have more than five bytes back, and tries; `keep out` it doesn't admit.
struct Frugal;

impl PacketHandler for Frugal {
    fn admits(&self, packet: &mut Packet) -> bool {
        packet.limit_answers(5);
        assert!(!packet.data().starts_with(b"panic"), "the door's own panic");
        packet.data() != b"keep out"
    }

    async fn handle(&self, packet: Packet) -> Result<()> {
        packet.reply("one").await?;
        packet.reply(packet.allowance().to_string()).await?;
        packet.reply("two").await
    }
}

/// An echo, but for `panic early`, `panic`, `fail`, and `wait ENDPOINT`: that one is answered with what the endpoint says.
struct Moody;

impl PacketHandler for Moody {
    fn handle(&self, packet: Packet) -> impl Future<Output = Result<()>> {
        assert!(packet.data() != b"panic early", "there is no future yet");
        Self::answer(packet)
    }
}

impl Moody {
    async fn answer(packet: Packet) -> Result<()> {
        let words = String::from_utf8_lossy(packet.data()).into_owned();
        match words.split_once(' ') {
            None if words == "panic" => panic!("the handler's own panic"),
            None if words == "fail" => {
                Err(Error::new("cook", Class::General, "the oven is cold").at("the kitchen"))
            }
            Some(("wait", endpoint)) => {
                let mut other = dial(endpoint).await?;
                packet.reply(other.recv().await?).await
            }
            _ => packet.reply(words).await,
        }
    }
}
