//! Somebody in between, who hands on so many bytes and then no more.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::sockeye::PATIENCE;

#[derive(Default)]
struct Way {
    /// Where connections go.
    to: String,
    /// After so many bytes to the service, or from it, the next connection stands still.
    limits: [Option<u64>; 2],
}

pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    way: Arc<Mutex<Way>>,
    held: Receiver<TcpStream>,
}

impl Proxy {
    pub(crate) fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let endpoint = format!("tcp://{}", listener.local_addr().expect("bound"));
        let way = Arc::new(Mutex::new(Way {
            to: address.to_owned(),
            limits: [None; 2],
        }));
        let (teller, held) = channel();
        let own = way.clone();
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let (to, [there, back]) = {
                    let mut way = own.lock().expect("nobody panics");
                    (way.to.clone(), std::mem::take(&mut way.limits))
                };
                // Nobody may be there just now.
                if let Ok(far) = TcpStream::connect(to) {
                    let (back_from, back_to) = (
                        far.try_clone().expect("a socket"),
                        near.try_clone().expect("a socket"),
                    );
                    let (one, other) = (teller.clone(), teller.clone());
                    thread::spawn(move || copy(back_from, back_to, back, &one));
                    thread::spawn(move || copy(near, far, there, &other));
                }
            }
        });
        Proxy { endpoint, way, held }
    }

    /// The next connection stands still after so many bytes to the service.
    pub(crate) fn hold_after(&self, bytes: u64) {
        self.way.lock().expect("nobody panics").limits[0] = Some(bytes);
    }

    /// The next connection stands still after so many bytes from the service.
    pub(crate) fn hold_back_after(&self, bytes: u64) {
        self.way.lock().expect("nobody panics").limits[1] = Some(bytes);
    }

    /// From now on connections go there.
    pub(crate) fn lead_to(&self, address: &str) {
        address.clone_into(&mut self.way.lock().expect("nobody panics").to);
    }

    /// Waits until a connection stands still; it is cut when this is dropped.
    pub(crate) fn held(&self) -> TcpStream {
        self.held
            .recv_timeout(PATIENCE)
            .expect("a connection that stands still")
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, limit: Option<u64>, held: &Sender<TcpStream>) {
    let mut buffer = vec![0; 64 << 10];
    let mut left = limit.unwrap_or(u64::MAX);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let ours = (count as u64).min(left) as usize;
        if to.write_all(&buffer[..ours]).is_err() {
            break;
        }
        left -= ours as u64;
        if left == 0 {
            // The other end of `to` sees an end only when the test lets go of it.
            let _ = held.send(to); // the test may be over
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Both); // it may be gone
    let _ = from.shutdown(Shutdown::Both);
}
