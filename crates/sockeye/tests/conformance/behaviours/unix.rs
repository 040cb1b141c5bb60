//! Sockets within the machine.

use super::behaviours;
use crate::client::{self, end_writing, receive_some, receive_to_end, send_packet};
use crate::dice::Dice;
use crate::driven;
use crate::process_facts::eventually;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::{Class, Listener, Model, block_on, dial};
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncReadExt;

behaviours![
    unix_streams_echo,
    unix_messages_keep_their_bounds,
    unix_packets_come_back_whole,
    what_is_too_long_is_told,
    a_packet_peer_that_does_not_read_hurts_itself_only,
    a_socket_file_goes_with_its_server,
    vsock_echoes_where_the_kernel_has_it,
];

/// A name without a file, which no other test has.
fn abstract_name(scheme: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    format!("{scheme}:@sockeye-conformance-{process}-{number}")
}

fn serve(model: Model, endpoint: &str) -> Served {
    Served::of(&Spec::new(model, "echo").with("endpoint", endpoint))
}

fn path_in(folder: &tempfile::TempDir) -> String {
    folder.path().join("socket").display().to_string()
}

fn unix_streams_echo(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::new(10);
    for endpoint in [abstract_name("unix"), format!("unix://{}", path_in(&folder))] {
        let mut served = serve(model, &endpoint);
        let client = served.connect();
        let bytes = dice.bytes(2_000_000);
        client::echo(&client, &bytes, &mut dice);
        end_writing(&client);
        assert!(receive_to_end(&client).is_empty());
        let closed = served.wait_for_closed();
        assert_eq!((closed.received, closed.sent), (2_000_000, 2_000_000));
    }
}

/// What is received by itself in one piece.
const PIECE: usize = 64 << 10;

/// Nearly the longest message that Linux lets a socket have on its way unless it asks for more (net.core.wmem_default).
const LONG: usize = 212_000;

fn unix_messages_keep_their_bounds(model: Model) {
    let mut served = serve(model, &abstract_name("unixseq"));
    let client = served.connect();
    let mut dice = Dice::new(11);
    let messages: Vec<Vec<u8>> = [1, 100, 1, PIECE, PIECE + 1, LONG, 2]
        .map(|size| dice.bytes(size))
        .into();
    for message in &messages {
        send_packet(&client, message);
    }
    for message in &messages {
        assert!(receive_some(&client) == *message, "its bounds are lost");
    }
    drop(client);
    assert_eq!(served.wait_for_closed().reason, "finished");
}

fn unix_packets_come_back_whole(model: Model) {
    let served = serve(model, &abstract_name("unixgram"));
    let clients = [served.connect(), served.connect()];
    let mut dice = Dice::new(12);
    for size in [0, 1, 5000, PIECE, PIECE + 1, LONG] {
        let words = clients.each_ref().map(|_| dice.bytes(size));
        for (client, words) in clients.iter().zip(&words) {
            send_packet(client, words);
        }
        for (client, words) in clients.iter().zip(&words) {
            assert!(receive_some(client) == *words, "another packet came back");
        }
    }
}

/// A message over the limit has lost its end, so nobody is given what is left of it.
fn what_is_too_long_is_told(model: Model) {
    let long = vec![7; 300_000];
    let send_long = |client: &socket2::Socket| {
        // Linux doubles it.
        client.set_send_buffer_size(200_000).expect("SO_SNDBUF");
        send_packet(client, &long);
    };
    let why = "of 300000 bytes, over the limit of 262144, is lost";

    let mut served = serve(model, &abstract_name("unixgram"));
    let client = served.connect();
    send_long(&client);
    let told = served.wait_for_words("event packet-failed ");
    assert_eq!(told, format!("failed: recv: a packet {why}"));
    send_packet(&client, b"as before");
    assert_eq!(receive_some(&client), b"as before");

    let mut served = serve(model, &abstract_name("unixseq"));
    let client = served.connect();
    send_long(&client);
    let told = served.wait_for_closed().reason;
    assert!(told.ends_with(&format!("a message {why}")), "{told}");
}

/// The kernel keeps a few packets for a peer that doesn't read them (net.unix.max_dgram_qlen). Answering it would block for
/// ever, while the server's socket is ready to send to anybody else.
fn a_packet_peer_that_does_not_read_hurts_itself_only(model: Model) {
    let endpoint = abstract_name("unixgram");
    let mut served = serve(model, &endpoint);
    let name = |name: &str| SocketAddr::from_abstract_name(name).expect("a name");
    let server = name(endpoint.trim_start_matches("unixgram:@"));
    let deaf = name(&format!("{endpoint}-peer"));
    let deaf = UnixDatagram::bind_addr(&deaf).expect("a socket");
    for _ in 0..100 {
        deaf.send_to_addr(b"hello", &server).expect("the server takes it");
    }
    served.wait_for_words("event packet-failed");
    let other = served.connect();
    send_packet(&other, b"hi");
    assert_eq!(receive_some(&other), b"hi");
    served.stop();
    served.join();
}

fn a_socket_file_goes_with_its_server(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = path_in(&folder);
    let mut served = serve(model, &format!("unix://{path}"));
    served.expect_alive();
    assert!(Path::new(&path).exists());
    served.stop();
    served.join();
    assert!(!Path::new(&path).exists());
    // A server that died without a word leaves its file, which is in nobody's way.
    drop(serve(model, &format!("unix://{path}")));
    assert!(Path::new(&path).exists());
    // The kernel may take a moment to close what a dead process had given to its io_uring.
    let endpoint = format!("unix://{path}").parse().expect("an endpoint");
    let probe = || client::try_connect(&endpoint).err().map(|error| error.kind());
    eventually("refused", probe, |error| {
        *error == Some(ErrorKind::ConnectionRefused)
    });
    serve(model, &format!("unix://{path}")).expect_alive();
}

/// Within one machine vsock wants the kernel module vsock_loopback; without it one is told so.
fn vsock_echoes_where_the_kernel_has_it(model: Model) {
    if let Err(error) = block_on(Listener::bind("vsock://local:0")).expect("a thread can wait") {
        let text = error.to_string();
        assert!(
            ["listen vsock://1:0: ", "make socket vsock://1:0: "]
                .iter()
                .any(|words| text.starts_with(words)),
            "{text}"
        );
        assert_eq!(error.class(), Class::General);
        return;
    }
    let mut served = serve(model, "vsock://local:0");
    let bytes = Dice::new(21).bytes(100_000);
    let back = driven::client(model, async {
        let mut conn = dial(served.endpoint()).await?;
        conn.send_all(&bytes).await?;
        let mut back = vec![0; 100_000];
        conn.read_exact(&mut back).await?;
        Ok(back)
    });
    assert!(back == bytes, "other bytes came back");
    assert_eq!(served.wait_for_closed().received, 100_000);
}
