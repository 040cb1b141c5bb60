//! Receives that wait in their very call, where no waker reaches them.

use super::registry::{Grip, SocketGrip, lock};
use slab::Slab;
use std::sync::Mutex;

/// The sockets of a server that somebody may be waiting at so. The end of their input rouses him, and it stays: it is met by
/// who has looked for a stop just before it came, too.
#[derive(Default)]
pub(crate) struct Blocked(Mutex<Slab<SocketGrip>>);

impl Blocked {
    /// Adds one, until the place is dropped; that must be before the socket is closed.
    pub(crate) fn enter(&self, grip: SocketGrip) -> Place<'_> {
        let key = lock(&self.0).insert(grip);
        Place { all: self, key }
    }

    pub(crate) fn end_input(&self) {
        lock(&self.0).iter().for_each(|(_, grip)| grip.end_input());
    }
}

pub(crate) struct Place<'a> {
    all: &'a Blocked,
    key: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.all.0).remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Model, Packet, PacketHandler, Result, Server};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::net::UdpSocket;

    struct Echo;
    impl PacketHandler for Echo {
        async fn handle(&self, mut packet: Packet) -> Result<()> {
            let words = packet.take();
            packet.reply(words).await
        }
    }

    #[test]
    fn a_socket_that_somebody_else_has_goes_on_after_a_stop() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let at = socket.local_addr().expect("an address");
        let lent = socket.try_clone().expect("a descriptor");
        let endpoint = format!("udp://{at}").parse().expect("an endpoint");
        let server = Server::adopt(lent.into(), endpoint).model(Model::Thread);
        let running = server.start_packets(Echo).expect("a server");
        let peer = UdpSocket::bind("127.0.0.1:0").expect("a port");
        peer.send_to(b"hello", at).expect("sent");
        assert_eq!(peer.recv(&mut [0; 9]).expect("an answer"), 5);
        running.shutdown().stop();
        running.join().expect("it ends");
        let mut polled = [PollFd::new(&socket, PollFlags::IN | PollFlags::RDHUP)];
        let ready = poll(&mut polled, Some(&Timespec::default()));
        assert_eq!(ready, Ok(0), "it waits for packets, and has no end");
    }
}
