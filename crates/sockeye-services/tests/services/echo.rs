//! `echo`.

use crate::serving::{Peer, ask, datagrams, each_model, plain, serve, unix};
use sockeye_services::settings::Settings;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixStream};

#[test]
fn a_connection_gets_its_bytes_back_until_it_closes() {
    let bytes: Vec<u8> = (0..1 << 20).map(|at: u32| (at * 7 % 251) as u8).collect();
    each_model(|model| {
        let served = plain("echo", "tcp", model);
        let mut peer = Peer::of(&served);
        peer.send("a");
        peer.expect("a");
        let mut writer = Peer(peer.0.try_clone().expect("another handle"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                bytes.chunks(100_003).for_each(|chunk| writer.send(chunk));
                writer.close_write();
            });
            peer.expect_end(&bytes);
        });
        assert_eq!(served.next_reason(), "finished");
    });
}

#[test]
fn a_datagram_comes_back_whole_whatever_its_size() {
    each_model(|model| {
        let served = plain("echo", "udp", model);
        let socket = datagrams(&served);
        for size in [0, 1, 1_472, 65_507] {
            let question = vec![b'q'; size];
            assert!(ask(&socket, &question) == question, "{size} bytes");
        }
    });
}

#[test]
fn unix_sockets_are_served_alike() {
    each_model(|model| {
        let (endpoint, path, _folder) = unix("unix");
        let _served = serve("echo", &endpoint.to_string(), model, Settings::new());
        let mut stream = UnixStream::connect(&path).expect("connect");
        stream.write_all(b"hello").expect("send");
        stream.shutdown(Shutdown::Write).expect("half-close");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer");
        assert_eq!(answer, "hello");

        let (endpoint, path, folder) = unix("unixgram");
        let _served = serve("echo", &endpoint.to_string(), model, Settings::new());
        let socket = UnixDatagram::bind(folder.path().join("mine")).expect("bind");
        socket.send_to(b"hello", &path).expect("send");
        let mut answer = [0; 16];
        let count = socket.recv(&mut answer).expect("the answer");
        assert_eq!(&answer[..count], b"hello");
    });
}
