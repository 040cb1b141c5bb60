//! What is served: written once, run under every model.

use crate::connection::Connection;
use crate::datagram::Packet;
use crate::error::Result;
use std::future::Future;

/// What happens on a connection: setup, handle, finish, as in Python's `socketserver`.
///
/// One handler serves all connections, so it is shared; its futures stay on their thread, so they may hold anything.
/// It waits only by this library's connections and [`time`](crate::time), and by channels such as
/// `tokio::sync`'s, which need no runtime.
///
/// ```
/// use sockeye::{Connection, Handler, Result};
///
/// /// Sends each chunk back.
/// struct Echo;
/// impl Handler for Echo {
///     async fn handle(&self, conn: &mut Connection) -> Result<()> {
///         loop {
///             let chunk = conn.recv().await?;
///             if chunk.is_empty() {
///                 return Ok(());
///             }
///             conn.send(chunk).await?;
///         }
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Before [`handle`](Self::handle); when it fails, neither of the others is called.
    ///
    /// # Errors
    /// What ends the connection before it has begun.
    fn setup(&self, conn: &mut Connection) -> impl Future<Output = Result<()>> {
        let _ = conn;
        async { Ok(()) }
    }

    /// The conversation. The connection is closed when it returns: what was sent gets through, and a peer that is still
    /// sending isn't reset.
    ///
    /// # Errors
    /// What ended the conversation early; it becomes the reason of the connection's
    /// [`Closed`](crate::Event::Closed) event.
    fn handle(&self, conn: &mut Connection) -> impl Future<Output = Result<()>>;

    /// After [`handle`](Self::handle), even if that failed (but not if it panicked).
    fn finish(&self, conn: &mut Connection) -> impl Future<Output = ()> {
        let _ = conn;
        async {}
    }
}

/// What happens with a datagram.
///
/// ```
/// use sockeye::{Packet, PacketHandler, Result};
///
/// struct Cat;
/// impl PacketHandler for Cat {
///     async fn handle(&self, packet: Packet) -> Result<()> {
///         match packet.data() {
///             b"dog" => packet.reply("cat").await,
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
///
/// An answer within the machine stays in the server's own send buffer until it is read. A Unix socket that is connected to
/// the server and never reads can fill all of it, since the kernel bounds the queues only of peers that aren't connected;
/// then the others' answers are lost too (and told of) until it reads or closes, so let no stranger reach such a socket.
pub trait PacketHandler: Send + Sync + 'static {
    /// Whether a datagram is handled at all, and what is [limited](Packet::limit_answers) of its answers: for what stands in
    /// front of other handlers.
    fn admits(&self, packet: &mut Packet) -> bool {
        let _ = packet;
        true
    }

    /// Answers one datagram, or doesn't. Handlers of other datagrams go on while this one waits.
    ///
    /// # Errors
    /// What went wrong; it becomes a [`PacketFailed`](crate::Event::PacketFailed) event.
    fn handle(&self, packet: Packet) -> impl Future<Output = Result<()>>;
}
