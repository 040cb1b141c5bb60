//! What keeps services over UDP from being used against others, under every model.

use crate::network::{HOSTS, forge, inside};
use crate::serving::{PATIENCE, ask, datagrams, each_model, plain, serve};
use sockeye::{Model, Packet, PacketHandler, Result, Running, Server};
use sockeye_proto::chargen::MAX_DATAGRAM;
use sockeye_services::echo::Echo;
use sockeye_services::settings::Settings;
use sockeye_services::shield::{Answers, IN_A_ROW, MAX_RATE, Peers, Policy, Ports, RATE, Shield, Shielded};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const RATE_COUNT: usize = RATE as usize;

/// Echoes, and tells of each datagram that got so far.
struct Told(Sender<()>);

impl PacketHandler for Told {
    async fn handle(&self, packet: Packet) -> Result<()> {
        let _ = self.0.send(()); // the test may have heard enough
        PacketHandler::handle(&Echo, packet).await
    }
}

/// An echo behind a shield whose clock stands still.
struct Shut {
    running: Running,
    answered: Receiver<()>,
}

impl Shut {
    fn at(address: SocketAddr, model: Model, policy: &Policy) -> Self {
        let server = Server::bind(&format!("udp://{address}"))
            .expect("bind")
            .model(model);
        let port = server.endpoint().port().expect("a bound port");
        let (teller, answered) = channel();
        let shield = Shield::new(Answers::Everything, policy, port);
        let handler = Shielded::new(Told(teller), shield).clock(Arc::new(|| Duration::ZERO));
        let running = server.start_packets(handler).expect("start");
        Shut { running, answered }
    }

    fn address(&self) -> SocketAddr {
        let endpoint = self.running.endpoint();
        let at = endpoint.host_port().expect("UDP").to_string();
        at.parse().expect("a bound address")
    }

    /// Waits until so many were answered.
    fn answers(&self, count: usize) {
        for number in 0..count {
            let told = self.answered.recv_timeout(PATIENCE);
            told.unwrap_or_else(|_| panic!("only {number} of {count} answers"));
        }
    }

    /// A peer that nobody forges is answered, and nobody else has been meanwhile.
    fn answers_only(&self, peer: &UdpSocket) {
        peer.connect(self.address()).expect("connect");
        assert_eq!(ask(peer, "still there?"), b"still there?");
        self.answers(1);
        assert!(self.answered.try_recv().is_err(), "somebody else was answered");
    }
}

fn at(host: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(HOSTS[host]), 0)
}

fn client(address: SocketAddr) -> UdpSocket {
    UdpSocket::bind(address).expect("bind")
}

#[test]
fn a_loop_of_two_echoes_dies_out() {
    inside("shield::a_loop_of_two_echoes_dies_out", || {
        let (peer, policy) = (client(at(2)), Policy::default());
        each_model(|model| {
            let one = Shut::at(at(0), model, &policy);
            let mut other = Shut::at(at(1), model, &policy);
            while other.address().port() == one.address().port() {
                other = Shut::at(at(1), model, &policy);
            }
            forge(one.address(), other.address(), b"ping");
            // Each answers the other's answers until its second is used up; then the only datagram there is gets none.
            other.answers(RATE_COUNT);
            one.answers(RATE_COUNT);
            one.answers_only(&peer);
            other.answers_only(&peer);
        });
    });
}

#[test]
fn a_loop_that_no_rate_ends_dies_out_for_want_of_a_pause() {
    inside(
        "shield::a_loop_that_no_rate_ends_dies_out_for_want_of_a_pause",
        || {
            let (peer, others) = (client(at(2)), IN_A_ROW as usize - 1);
            let policy = Policy {
                rate: Some(MAX_RATE),
                ..Policy::default()
            };
            for model in [Model::default(), Model::Thread] {
                let one = Shut::at(at(0), model, &policy);
                let mut other = Shut::at(at(1), model, &policy);
                while other.address().port() == one.address().port() {
                    other = Shut::at(at(1), model, &policy);
                }
                forge(one.address(), other.address(), b"ping");
                // By a clock that stands still there is no pause, however busy this machine is.
                other.answers(others);
                one.answers(others);
                one.answers_only(&peer);
                other.answers_only(&peer);
            }
        },
    );
}

#[test]
fn services_of_one_kind_at_the_same_port_never_begin_to_loop() {
    inside(
        "shield::services_of_one_kind_at_the_same_port_never_begin_to_loop",
        || {
            each_model(|model| {
                // On loopback, where no rate would end it, and beyond.
                for [one, other, third] in [
                    ["127.0.0.1:0", "127.0.0.2", "127.0.0.3:0"],
                    ["10.77.0.1:0", "10.77.0.2", "10.77.0.3:0"],
                ] {
                    let policy = Policy::default();
                    let one = Shut::at(one.parse().expect(one), model, &policy);
                    let there = SocketAddr::new(other.parse().expect(other), one.address().port());
                    let other = Shut::at(there, model, &policy);
                    forge(one.address(), other.address(), b"ping");
                    forge(other.address(), other.address(), b"to itself");
                    let peer = client(third.parse().expect(third));
                    other.answers_only(&peer);
                    one.answers_only(&peer);
                }
            });
        },
    );
}

#[test]
fn nobody_talks_to_itself_even_where_every_port_is_answered() {
    inside(
        "shield::nobody_talks_to_itself_even_where_every_port_is_answered",
        || {
            let policy = Policy {
                ports: Ports::Any,
                peers: Some(Peers::Any),
                ..Policy::default()
            };
            let peer = client("127.0.0.1:7".parse().expect("echo's port"));
            each_model(|model| {
                let one = Shut::at("127.0.0.1:0".parse().expect("loopback"), model, &policy);
                forge(one.address(), one.address(), b"to itself");
                one.answers_only(&peer);
            });
        },
    );
}

/// A peer elsewhere, whose port isn't by chance that of the service: one that is gets no answer.
fn connected(served: SocketAddr) -> UdpSocket {
    let mut peer = client(at(2));
    while peer.local_addr().expect("bound").port() == served.port() {
        peer = client(at(2));
    }
    peer.connect(served).expect("connect");
    peer
}

#[test]
fn ports_of_services_get_no_answer() {
    inside("shield::ports_of_services_get_no_answer", || {
        // Echo, daytime, quote of the day, chargen, time, DNS.
        let low = [7, 13, 17, 19, 37, 53].map(|port| client(SocketAddr::new(at(2).ip(), port)));
        each_model(|model| {
            for service in ["echo", "daytime", "chargen", "hello", "reply"] {
                for host in ["127.0.0.1", "10.77.0.1"] {
                    let served = serve(service, &format!("udp://{host}:0"), model, Settings::new());
                    for socket in &low {
                        socket.send_to(b"dog", served.address()).expect("send");
                    }
                    // Served after them, and so answered after them.
                    let peer = connected(served.address());
                    ask(&peer, "dog");
                }
            }
        });
        for socket in &low {
            socket.set_nonblocking(true).expect("an option");
            socket.recv(&mut [0; 512]).expect_err("a loop could have begun");
        }
    });
}

#[test]
fn a_source_has_its_rate_and_not_more() {
    inside("shield::a_source_has_its_rate_and_not_more", || {
        let policy = Policy {
            rate: Some(5),
            ..Policy::default()
        };
        each_model(|model| {
            let echo = Shut::at(at(0), model, &policy);
            let flood = client(at(1));
            for _ in 0..100 {
                flood.send_to(b"x", echo.address()).expect("send");
            }
            let peer = connected(echo.address());
            assert_eq!(ask(&peer, "?"), b"?");
            echo.answers(6);
            assert!(echo.answered.try_recv().is_err(), "more than the rate");
        });
    });
}

#[test]
fn an_answer_is_no_greater_than_its_question_allows() {
    inside("shield::an_answer_is_no_greater_than_its_question_allows", || {
        each_model(|model| {
            let beyond = |service: &str, settings: Settings| {
                let served = serve(service, &format!("udp://{}:0", HOSTS[0]), model, settings);
                let peer = connected(served.address());
                (served, peer)
            };
            let (_served, peer) = beyond("chargen", Settings::new());
            for _ in 0..20 {
                assert!(ask(&peer, "").len() <= 56);
                assert!(ask(&peer, [b'?'; 152]).len() <= MAX_DATAGRAM);
            }
            let (_served, peer) = beyond("daytime", Settings::new());
            assert!(ask(&peer, "").ends_with(b"\r\n"));

            let long = "0123456789".repeat(10);
            let rules = Settings::new().set("rule", format!("long => {long} ;; * => short"));
            let (served, peer) = beyond("reply", rules.clone());
            peer.send(b"long").expect("send"); // gets no answer
            assert_eq!(ask(&peer, "?"), b"short");
            let told = served.events.iter().find_map(|event| match event {
                sockeye::Event::PacketFailed { reason, .. } => Some(reason.to_string()),
                _ => None,
            });
            let told = told.expect("the operator is told");
            assert!(told.contains("100 bytes, where 68 are allowed"), "{told}");

            let mut unlimited = rules;
            unlimited.shield.factor = None;
            let (_served, peer) = beyond("reply", unlimited);
            assert_eq!(ask(&peer, "long"), long.as_bytes());
        });
    });
}

#[test]
fn this_machine_has_no_limits() {
    each_model(|model| {
        let served = plain("echo", "udp", model);
        let socket = datagrams(&served);
        for _ in 0..2 * RATE_COUNT {
            ask(&socket, "x");
        }
        let rules = Settings::new().set("rule", format!("* => {}", "long".repeat(100)));
        let served = serve("reply", "udp://127.0.0.1:0", model, rules);
        assert_eq!(ask(&datagrams(&served), "").len(), 400);
    });
}
