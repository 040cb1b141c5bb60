//! Packets: each is answered whole, and none holds up another.

use super::behaviours;
use crate::client::{connect, receive_some, send, send_packet};
use crate::dice::Dice;
use crate::driven::client;
use crate::served::Served;
use crate::spec::{Spec, own_address};
use socket2::Socket;
use sockeye::{Address, Datagram, Message, Model, Options, Result, interface_name};
use std::net::{TcpListener, UdpSocket};
use std::time::SystemTime;

behaviours![
    packets_of_any_size_come_back_whole,
    packets_of_many_peers_are_told_apart,
    packets_are_answered_from_the_address_that_they_were_sent_to,
    what_is_asked_for_is_told_of_a_packet_and_nothing_else,
    a_packet_that_waits_holds_up_no_other,
    a_panic_hurts_its_own_packet_only,
    no_more_is_sent_back_than_a_packet_may_have,
    who_is_not_admitted_gets_no_answer,
    packets_beyond_the_limit_are_dropped_and_told,
    stopping_lets_the_packets_under_way_be_answered,
    a_server_that_waits_for_packets_stops_at_once,
    stopping_gives_up_a_packet_at_the_deadline,
    a_flood_of_packets_does_not_keep_a_server_from_stopping,
];

fn serve(model: Model, handler: &str) -> Served {
    Served::of(&Spec::new(model, handler).with("endpoint", "udp://127.0.0.1:0"))
}

fn exchange(socket: &Socket, words: impl AsRef<[u8]>) {
    send_packet(socket, &words);
    assert!(receive_some(socket) == words.as_ref(), "another packet came back");
}

/// UDP over IPv4 carries at most 65,535 bytes less its own header and IP's.
const LARGEST: usize = 65_507;

fn packets_of_any_size_come_back_whole(model: Model) {
    let mut dice = Dice::new(17);
    for endpoint in ["udp://127.0.0.1:0", "udp://[::1]:0"] {
        let served = Served::of(&Spec::new(model, "echo").with("endpoint", endpoint));
        let client = served.connect();
        for size in [0, 1, 2, 511, 1472, 1473, 9000, 65_506, LARGEST, 0, 3] {
            exchange(&client, dice.bytes(size));
        }
        for _ in 0..50 {
            let size = dice.within(0..LARGEST);
            exchange(&client, dice.bytes(size));
        }
    }
}

fn packets_of_many_peers_are_told_apart(model: Model) {
    let spec = Spec::new(model, "echo").with("endpoint", "udp://127.0.0.1:0");
    let mut dice = Dice::new(18);
    for workers in [1, 2] {
        let served = Served::of(&spec.clone().with("workers", workers));
        let clients: Vec<Socket> = (0..50).map(|_| served.connect()).collect();
        for _ in 0..10 {
            let words: Vec<Vec<u8>> = clients.iter().map(|_| dice.bytes(100)).collect();
            for (client, words) in clients.iter().zip(&words) {
                send_packet(client, words);
            }
            for (client, words) in clients.iter().zip(&words).rev() {
                assert!(receive_some(client) == *words, "another's answer came back");
            }
        }
    }
}

/// A client that is connected hears nobody but whom it has called.
fn packets_are_answered_from_the_address_that_they_were_sent_to(model: Model) {
    for all in ["udp://:0", "udp://0.0.0.0:0"] {
        let served = Served::of(&Spec::new(model, "where").with("endpoint", all));
        let port = served.endpoint().port().expect("UDP has ports");
        let has_v6 = served.endpoint().to_string().contains('[');
        let hosts = ["127.0.0.1", "127.0.0.2", "[::1]"];
        for host in &hosts[..if has_v6 { 3 } else { 2 }] {
            let there = format!("{host}:{port}");
            let client = connect(&format!("udp://{there}").parse().expect("an endpoint"));
            for _ in 0..3 {
                send_packet(&client, b"where am I?");
                let answer = String::from_utf8(receive_some(&client)).expect("an address");
                assert_eq!(
                    answer.replace("[::ffff:127.0.0.", "127.0.0.").replace("]:", ":"),
                    there.replace("]:", ":")
                );
            }
        }
    }
    let served = serve(model, "where");
    let client = served.connect();
    send_packet(&client, b"where am I?");
    assert_eq!(
        format!("udp://{}", String::from_utf8_lossy(&receive_some(&client))),
        served.endpoint().to_string()
    );
}

/// What comes to a socket of these options.
async fn told(endpoint: &str, options: Options) -> Result<(Message, Address)> {
    let mut socket = Datagram::bind_with(endpoint, &options).await?;
    let port = socket.endpoint().port().expect("UDP has ports");
    let here = if endpoint.contains('[') {
        "::1"
    } else {
        "127.0.0.1"
    };
    let sender = UdpSocket::bind((here, 0)).expect("bind");
    sender.send_to(b"dog", (here, port)).expect("send");
    Ok((socket.recv_message().await?, socket.local()?))
}

fn what_is_asked_for_is_told_of_a_packet_and_nothing_else(model: Model) {
    let begun = SystemTime::now();
    let all = Options::new().timestamps(true).packet_info(true);
    for host in ["127.0.0.1", "[::1]", "0.0.0.0", ""] {
        let endpoint = format!("udp://{host}:0");
        let (mut message, bound) = client(model, told(&endpoint, all.clone()));
        assert_eq!(&message.take()[..], b"dog");
        let interface = message.interface().and_then(interface_name);
        assert_eq!(interface.as_deref(), Some("lo"), "{host}");
        let local = message.local().expect("it was asked for");
        assert!(local.is_loopback() && local.port() == bound.port(), "{local}");
        // The clock may be set meanwhile, but hardly by an hour.
        let arrived = message.arrived().expect("it was asked for");
        let hour = std::time::Duration::from_secs(3600);
        assert!(begun - hour < arrived && arrived < SystemTime::now() + hour);

        let (message, _) = client(model, told(&endpoint, Options::new()));
        let is_open = matches!(host, "0.0.0.0" | "");
        assert_eq!(message.interface().is_some(), is_open, "{host}");
        assert_eq!(message.arrived(), None);
    }
    let timed = client(model, told("udp://127.0.0.1:0", Options::new().timestamps(true))).0;
    assert!(timed.arrived().is_some() && timed.interface().is_none());
    let placed = client(model, told("udp://0.0.0.0:0", Options::new().timestamps(true))).0;
    assert!(placed.arrived().is_some() && placed.interface().is_some());

    let spec = Spec::new(model, "told").with("endpoint", "udp://0.0.0.0:0");
    let served = Served::of(&spec);
    let port = served.endpoint().port().expect("UDP has ports");
    let peer = connect(&format!("udp://127.0.0.1:{port}").parse().expect("an endpoint"));
    exchange(&peer, b"lo false");
}

/// What a packet's handler waits for: it has dialled here, and is told when the test says so.
struct Bell(TcpListener);

impl Bell {
    fn new() -> Self {
        Bell(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    fn words(&self) -> String {
        format!("wait tcp://{}", self.0.local_addr().expect("its address"))
    }

    /// Waits until a handler waits.
    fn caller(&self) -> Socket {
        self.0.accept().expect("the handler calls").0.into()
    }
}

fn a_packet_that_waits_holds_up_no_other(model: Model) {
    let served = serve(model, "moody");
    let bell = Bell::new();
    let (patient, hasty) = (served.connect(), served.connect());
    send_packet(&patient, bell.words());
    let caller = bell.caller();
    for _ in 0..20 {
        exchange(&hasty, b"meanwhile");
    }
    send(&caller, b"at last");
    assert_eq!(receive_some(&patient), b"at last");
}

fn a_panic_hurts_its_own_packet_only(model: Model) {
    let mut served = serve(model, "moody");
    let bell = Bell::new();
    let (patient, client) = (served.connect(), served.connect());
    send_packet(&patient, bell.words());
    let caller = bell.caller();
    for _ in 0..3 {
        for (words, why) in [
            ("panic", "the handler's own panic"),
            ("panic early", "there is no future yet"),
        ] {
            send_packet(&client, words);
            let told = served.wait_for_words("event packet-failed ");
            assert_eq!(told, format!("panicked: {why}"));
        }
        send_packet(&client, b"fail");
        assert_eq!(
            served.wait_for_words("event packet-failed "),
            "failed: cook the kitchen: the oven is cold"
        );
        exchange(&client, b"as before");
    }
    send(&caller, b"unharmed");
    assert_eq!(receive_some(&patient), b"unharmed");
}

fn no_more_is_sent_back_than_a_packet_may_have(model: Model) {
    let mut served = serve(model, "frugal");
    let client = served.connect();
    for _ in 0..2 {
        send_packet(&client, b"some");
        assert_eq!(receive_some(&client), b"one");
        assert_eq!(receive_some(&client), b"2");
        let why = served.wait_for_words("event packet-failed ");
        let words = "an answer of 3 bytes, where 1 are allowed, is not sent";
        assert!(why.contains(words), "{why}");
    }
}

fn who_is_not_admitted_gets_no_answer(model: Model) {
    let mut served = serve(model, "frugal");
    let client = served.connect();
    send_packet(&client, b"keep out");
    send_packet(&client, b"panic at the door");
    let why = served.wait_for_words("event packet-failed ");
    assert_eq!(why, "panicked: the door's own panic");
    send_packet(&client, b"some");
    assert_eq!(receive_some(&client), b"one");
}

fn packets_beyond_the_limit_are_dropped_and_told(model: Model) {
    let spec = Spec::new(model, "moody").with("endpoint", "udp://127.0.0.1:0");
    let mut served = Served::of(&spec.with("packets", 2));
    let bell = Bell::new();
    let client = served.connect();
    let callers = [0; 2].map(|_| {
        send_packet(&client, bell.words());
        bell.caller()
    });
    send_packet(&client, b"one more");
    let why = served.wait_for_words("event packet-failed ");
    assert_eq!(why, "failed: 2 packets are being answered, which is the limit");
    for caller in &callers {
        send(caller, b"now");
        assert_eq!(receive_some(&client), b"now");
    }
}

fn stopping_lets_the_packets_under_way_be_answered(model: Model) {
    let spec = Spec::new(model, "moody").with("endpoint", format_args!("udp://{}:0", own_address()));
    let mut served = Served::of(&spec.with("drain", 1_000_000));
    let bell = Bell::new();
    let client = served.connect();
    send_packet(&client, bell.words());
    let caller = bell.caller();
    served.stop();
    send(&caller, b"the last");
    assert_eq!(receive_some(&client), b"the last");
    served.join();
    // Its address is free again.
    drop(connect(served.endpoint()));
    std::net::UdpSocket::bind(served.endpoint().to_string().trim_start_matches("udp://"))
        .expect("nobody has it any more");
}

fn stopping_gives_up_a_packet_at_the_deadline(model: Model) {
    let spec = Spec::new(model, "moody").with("endpoint", "udp://127.0.0.1:0");
    let mut served = Served::of(&spec.with("drain", 100));
    let bell = Bell::new();
    let client = served.connect();
    send_packet(&client, bell.words());
    let _caller = bell.caller();
    served.stop();
    served.join();
}

fn a_server_that_waits_for_packets_stops_at_once(model: Model) {
    for endpoint in ["udp://127.0.0.1:0", "udp://[::1]:0"] {
        let spec = Spec::new(model, "moody").with("endpoint", endpoint);
        let idle = |served: &mut Served| drop(served.connect());
        let answered = |served: &mut Served| exchange(&served.connect(), b"hello");
        let answered_late = |served: &mut Served| {
            let (bell, client) = (Bell::new(), served.connect());
            send_packet(&client, bell.words());
            send(&bell.caller(), b"now");
            assert_eq!(receive_some(&client), b"now");
        };
        for before in [idle, answered, answered_late] {
            for end in [Served::stop, Served::cut] {
                let mut served = Served::of(&spec.clone().with("drain", 1_000_000));
                before(&mut served);
                end(&mut served);
                served.join();
                assert_eq!(served.count("event packet-failed "), 0, "nobody has sent one");
            }
        }
    }
}

fn a_flood_of_packets_does_not_keep_a_server_from_stopping(model: Model) {
    let mut served = serve(model, "echo");
    let clients = [0; 4].map(|_| served.connect());
    for client in &clients {
        exchange(client, b"the flood begins");
    }
    for client in clients {
        // Until the server's machine says that nobody is there any more.
        std::thread::spawn(move || while client.send(b"more").is_ok() {});
    }
    served.stop();
    served.join();
}
