//! The file service as a process of its own: killed, out of disk, out of descriptors, beset by strangers.

mod broken;
mod children;
mod disk;
mod kills;
mod strangers;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use sockeye_proto::files::{Hash, UNIT};
use sockeye_proto::frames::{Decoder, decode, encode};
use sockeye_services::files::units::{Unit, whole};

/// Everybody is the same user.
pub(crate) const OPEN: &str = "files@tcp://127.0.0.1:0?auth=none&no-sync=true";

/// Whether clients want their files to be on the disk: those that need not be take another way there.
pub(crate) const WAYS: [bool; 2] = [true, false];

/// A client of raw frames. What breaks the connection is told as nothing.
pub(crate) struct Client {
    stream: TcpStream,
    decoder: Decoder,
    held: Vec<u8>,
    id: u64,
}

impl Client {
    pub(crate) fn at(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).expect("an option");
        Some(Client {
            stream,
            decoder: Decoder::new(),
            held: Vec::new(),
            id: 0,
        })
    }

    pub(crate) fn send(&mut self, operate: &str, mut about: Value) -> Option<()> {
        self.id += 1;
        about["id"] = self.id.into();
        about["operate"] = operate.into();
        self.raw(&encode(&about).expect("a frame"))
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    /// The next answer: its id, and `ok` or the code of the error.
    pub(crate) fn answer(&mut self) -> Option<(u64, Result<Value, String>)> {
        loop {
            let taken = self.decoder.push(&self.held);
            self.held.drain(..taken);
            if let Some(frame) = self.decoder.next().expect("a good frame") {
                let answer: Value = decode(&frame).expect("JSON");
                let outcome = match answer.get("ok") {
                    Some(ok) => Ok(ok.clone()),
                    None => {
                        let error = &answer["error"];
                        assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()));
                        Err(error["code"].as_str().expect("a code").to_owned())
                    }
                };
                return Some((answer["id"].as_u64().expect("an id"), outcome));
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.held.extend(&bytes[..count]),
            }
        }
    }

    pub(crate) fn ask(&mut self, operate: &str, about: Value) -> Option<Result<Value, String>> {
        self.send(operate, about)?;
        self.answer().map(|(_, outcome)| outcome)
    }

    /// Sends a small file, and doesn't wait for its answer.
    pub(crate) fn send_small(&mut self, path: &str, bytes: &[u8], sync: bool) -> Option<u64> {
        let about = json!({
            "path": path, "size": bytes.len(), "mtime": "7", "hash": hash(bytes), "follows": bytes.len(), "sync": sync
        });
        self.send("upload", about)?;
        self.raw(bytes)?;
        Some(self.id)
    }
}

pub(crate) fn hash(bytes: &[u8]) -> Hash {
    let size = bytes.len() as u64;
    let units = bytes.chunks(UNIT as usize).enumerate().map(|(number, bytes)| {
        let mut unit = Unit::new(number as u64, size);
        unit.update(bytes);
        unit.finish()
    });
    whole(&units.collect::<Vec<_>>())
}
