//! A datagram with all that is known of it.

use crate::address::Address;
use crate::buffer::Chunk;
use crate::error::{Class, Error};
use crate::model::{Arrival, MESSAGE, Peer, Received, Route};
use std::time::SystemTime;

/// A datagram, who sent it, and where to: what [`Datagram::recv_message`](crate::Datagram::recv_message) brings.
pub struct Message {
    bytes: Chunk,
    pub(super) route: Option<Route>,
    local: Option<Address>,
    interface: Option<u32>,
    arrived: Option<Arrival>,
}

impl Message {
    /// `port` is the one that the socket is bound to.
    pub(super) fn new(received: Received, port: u16) -> Self {
        Message {
            local: received.local.map(|end| end.address(port)),
            interface: received.local.map(|end| end.interface()),
            arrived: received.arrived,
            bytes: received.bytes,
            route: received.from.map(|to| Route {
                to,
                from: received.local,
            }),
        }
    }

    /// What was sent; perhaps nothing.
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what was sent, leaving nothing.
    pub fn take(&mut self) -> Chunk {
        std::mem::take(&mut self.bytes)
    }

    /// Who sent it.
    pub fn peer(&self) -> Address {
        peer(self.route.as_ref().map(|route| &route.to))
    }

    /// The address that it was sent to, on a UDP socket that is bound to all of the machine's: one of them, or a group's or
    /// one of broadcast. `None` on others, where [`Datagram::local`](crate::Datagram::local) says it, unless
    /// [`packet_info`](crate::Options::packet_info) asks for it.
    pub fn local(&self) -> Option<&Address> {
        self.local.as_ref()
    }

    /// The number of the interface that it came in by ([`interface_name`](crate::interface_name)), told where
    /// [`local`](Self::local) is.
    pub fn interface(&self) -> Option<u32> {
        self.interface
    }

    /// When the kernel got it, if [`timestamps`](crate::Options::timestamps) asks for it.
    pub fn arrived(&self) -> Option<SystemTime> {
        self.arrived.map(Arrival::time)
    }
}

pub(super) fn peer(from: Option<&Peer>) -> Address {
    from.map_or(Address::Unix(None), Peer::address)
}

/// What is too long has lost its end, and nobody wants a part.
pub(super) fn too_long(received: &Received) -> Option<Error> {
    let Received { length, bytes, .. } = received;
    (*length > bytes.len()).then(|| {
        let why = format!("a packet of {length} bytes, over the limit of {MESSAGE}, is lost");
        Error::new("recv", Class::General, why)
    })
}

pub(super) fn no_address() -> Error {
    Error::new("reply", Class::General, "the peer has no address to answer to")
}
