//! The other side: blocking sockets, as a program without this library would use them.

use crate::dice::Dice;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use sockeye::Endpoint;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

/// The longest piece that [`echo`] writes or reads at once is below two to the power of this.
const PIECE_BITS: usize = 19;

/// The address that an endpoint of this suite's servers names: they are all literal.
fn address(endpoint: &Endpoint) -> (Domain, Type, SockAddr) {
    let text = endpoint.to_string();
    let (scheme, rest) = text.split_once(':').expect("an endpoint has a scheme");
    let kind = match scheme {
        "udp" | "unixgram" => Type::DGRAM,
        "unixseq" => Type::SEQPACKET,
        _ => Type::STREAM,
    };
    if scheme.starts_with("unix") {
        let path = match rest.strip_prefix('@') {
            Some(name) => format!("\0{name}"),
            None => rest.strip_prefix("//").unwrap_or(rest).to_owned(),
        };
        let name = SockAddr::unix(path).expect("a name that fits");
        return (Domain::UNIX, kind, name);
    }
    let literal: SocketAddr = rest
        .trim_start_matches('/')
        .parse()
        .expect("an address and a port");
    (Domain::for_address(literal), kind, literal.into())
}

/// A socket connected to a server; with packets it only knows where to send.
pub(crate) fn try_connect(endpoint: &Endpoint) -> io::Result<Socket> {
    let (domain, kind, name) = address(endpoint);
    let socket = Socket::new(domain, kind, None)?;
    if domain == Domain::UNIX && kind == Type::DGRAM {
        // Answers need a name to go to; the kernel makes up an abstract one.
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new_unnamed())?;
    }
    socket.connect(&name)?;
    Ok(socket)
}

pub(crate) fn connect(endpoint: &Endpoint) -> Socket {
    match try_connect(endpoint) {
        Ok(socket) => socket,
        Err(error) => panic!("connect to {endpoint}: {error}"),
    }
}

/// An address where nobody listens, for as long as the socket that has it is there.
pub(crate) fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a port");
    let name = socket.local_addr().expect("its address");
    (socket, name.as_socket().expect("IPv4"))
}

/// Closing it resets the connection instead of ending it.
pub(crate) fn reset(socket: Socket) {
    SockRef::from(&socket)
        .set_linger(Some(Duration::ZERO))
        .expect("SO_LINGER");
    drop(socket);
}

pub(crate) fn send(mut socket: &Socket, bytes: impl AsRef<[u8]>) {
    socket.write_all(bytes.as_ref()).expect("the server takes it");
}

/// Sends one packet, perhaps of nothing.
pub(crate) fn send_packet(socket: &Socket, bytes: impl AsRef<[u8]>) {
    let sent = socket.send(bytes.as_ref()).expect("the kernel takes it");
    assert_eq!(sent, bytes.as_ref().len());
}

/// Receives exactly this many bytes.
pub(crate) fn receive(mut socket: &Socket, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    socket.read_exact(&mut bytes).expect("the server says that much");
    bytes
}

/// Receives what is said next, whether a whole packet or a part of a stream; nothing at the end.
pub(crate) fn receive_some(mut socket: &Socket) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 19];
    let count = socket.read(&mut bytes).expect("the server says something");
    bytes.truncate(count);
    bytes
}

pub(crate) fn receive_to_end(mut socket: &Socket) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket
        .read_to_end(&mut bytes)
        .expect("the server ends its stream");
    bytes
}

/// Says something and gets the same back.
pub(crate) fn exchange(socket: &Socket, bytes: impl AsRef<[u8]>) {
    send(socket, &bytes);
    let back = receive(socket, bytes.as_ref().len());
    assert!(back == bytes.as_ref(), "not what was sent came back");
}

/// The same, unless the server has ended the connection before.
pub(crate) fn try_exchange(mut socket: &Socket, bytes: &[u8]) -> bool {
    let mut back = vec![0; bytes.len()];
    socket.write_all(bytes).is_ok() && socket.read_exact(&mut back).is_ok() && back == bytes
}

/// Whatever was said is over: the peer has ended the stream, or reset it.
pub(crate) fn expect_no_more(mut socket: &Socket) {
    let mut bytes = [0; 1 << 12];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("neither an end nor a reset: {error}"),
        }
    }
}

pub(crate) fn end_writing(socket: &Socket) {
    socket.shutdown(Shutdown::Write).expect("half-close");
}

/// Sends all of it in pieces of any size, while it receives in pieces of any other size what must be the same.
pub(crate) fn echo(socket: &Socket, bytes: &[u8], dice: &mut Dice) {
    let seed = dice.roll();
    std::thread::scope(|scope| {
        scope.spawn(|| write_in_pieces(socket, bytes, &mut Dice::new(seed)));
        read_in_pieces(socket, bytes, dice);
    });
}

pub(crate) fn write_in_pieces(socket: &Socket, mut bytes: &[u8], dice: &mut Dice) {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(dice.size(PIECE_BITS).min(bytes.len()));
        send(socket, piece);
        bytes = rest;
    }
}

pub(crate) fn read_in_pieces(mut socket: &Socket, expected: &[u8], dice: &mut Dice) {
    let mut buffer = vec![0; 1 << PIECE_BITS];
    let mut at = 0;
    while at < expected.len() {
        let room = dice.size(PIECE_BITS).min(expected.len() - at);
        let count = socket
            .read(&mut buffer[..room])
            .expect("the server goes on sending");
        assert_ne!(
            count,
            0,
            "the stream ended after {at} of {} bytes",
            expected.len()
        );
        let same = buffer[..count] == expected[at..at + count];
        assert!(same, "other bytes than expected from {at} on");
        at += count;
    }
}
