//! A client of TLS that decides how its records travel.

use crate::client::{connect, send};
use crate::served::Served;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::Socket;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Records {
    session: ClientConnection,
    pub(crate) socket: Socket,
}

impl Records {
    /// After the handshake with a server on this machine.
    pub(crate) fn shake(served: &Served) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from(served.certificate().to_vec());
        roots.add(certificate).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::IpAddress(IpAddr::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST)));
        let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
        session.set_buffer_limit(None);
        let mut socket = connect(served.endpoint());
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut socket).expect("a handshake");
        }
        Records { session, socket }
    }

    /// These bytes as they are to travel.
    pub(crate) fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.session.writer().write_all(bytes).expect("there is no limit");
        self.written()
    }

    pub(crate) fn farewell(&mut self) -> Vec<u8> {
        self.session.send_close_notify();
        self.written()
    }

    fn written(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut records).expect("memory takes it");
        }
        records
    }

    /// In one segment, as far as there are such.
    pub(crate) fn send(&self, records: &[&[u8]]) {
        send(&self.socket, records.concat());
    }

    /// Whether exactly these bytes come next, before anything goes wrong.
    pub(crate) fn hears(&mut self, expected: &[u8]) -> bool {
        let mut stream = rustls::Stream::new(&mut self.session, &mut self.socket);
        let mut heard = vec![0; expected.len()];
        stream.read_exact(&mut heard).is_ok() && heard == expected
    }

    /// Whether the server takes its leave next.
    pub(crate) fn hears_the_farewell(&mut self) -> bool {
        let mut stream = rustls::Stream::new(&mut self.session, &mut self.socket);
        matches!(stream.read(&mut [0]), Ok(0))
    }
}
