//! `hello`: the two handlers that Python's `socketserver` is taught with.
//!
//! Over a connection it sends `helloworld`, reads one message, and ends. A datagram `dog` it answers with `cat`, any
//! other with nothing.

use crate::auth::Login;
use crate::catalog::{Service, Starter};
use crate::shield::Answers;
use sockeye::{Connection, Handler, Packet, PacketHandler, Result};
use sockeye_proto::framing::{Ending, Message};

/// Its row in the [catalog](crate::catalog).
pub const SERVICE: Service = Service {
    name: "hello",
    port: 8888,
    schemes: &["tcp", "udp"],
    keeps: false,
    login: Login::InFront,
    about: "greets, hears one message, ends; the datagram dog gets cat",
    try_stream: "echo hi | {nc}",
    try_packets: "printf dog | {nc}",
    settings: &[],
    make: |settings| Ok(Starter::shielded(Hello, Answers::OneWord, settings)),
};

/// Greets.
pub struct Hello;

impl Handler for Hello {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        conn.send("helloworld").await?;
        // One message is one receive, as in the tutorials; the peer may also leave without a word.
        conn.recv().await?;
        Ok(())
    }
}

impl PacketHandler for Hello {
    async fn handle(&self, packet: Packet) -> Result<()> {
        let message = Message {
            bytes: packet.data(),
            ending: Ending::Chunk,
        };
        if message.body() != b"dog" {
            return Ok(());
        }
        packet.reply(format!("cat{}", message.newline())).await
    }
}
