//! A server of the file service, and a client that sends frames of its own making.

use super::tunnel;
use serde_json::{Value, json};
use sockeye::{Endpoint, Model, Running, Server};
use sockeye_proto::frames::{Decoder, decode, encode};
use sockeye_services::catalog;
use sockeye_services::data::Data;
use sockeye_services::files::FileService;
use sockeye_services::settings::Settings;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Every model that this process may have: `process` wants a process without threads.
pub(crate) fn models() -> impl Iterator<Item = Model> {
    Model::ALL.into_iter().filter(|model| model.shares_memory())
}

/// A server that ends with the test.
pub(crate) struct Served {
    pub(crate) running: Option<Running>,
    pub(crate) endpoint: Endpoint,
    pub(crate) data: PathBuf,
    _folder: Option<TempDir>,
}

impl Served {
    /// A file of everybody's.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.data.join("files/everybody").join(path)
    }

    /// What is left of uploads, and of who was in the middle of something.
    pub(crate) fn pending(&self) -> Vec<String> {
        self.pending_of("*everybody")
    }

    /// Another account's.
    pub(crate) fn pending_of(&self, account: &str) -> Vec<String> {
        let names = |folder: &str| {
            let folder = std::fs::read_dir(self.data.join("files/uploads").join(account).join(folder));
            let names = folder
                .into_iter()
                .flatten()
                .map(|entry| entry.expect("an entry").file_name());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        let mut left = names("");
        left.retain(|name| name != "holds");
        left.extend(names("holds"));
        left
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().cut();
            running.join().expect("the server ends well");
        }
    }
}

pub(crate) fn serve(model: Model, settings: Settings) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_owned();
    let mut served = serve_in(&data, model, settings);
    served._folder = Some(folder);
    served
}

/// One that is met over TLS, though its clients needn't know.
pub(crate) fn serve_secured(model: Model, settings: Settings) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let mut served = serve_at("tls://127.0.0.1:0", folder.path(), model, settings);
    served.endpoint = tunnel::to(served.endpoint.clone());
    served._folder = Some(folder);
    served
}

pub(crate) fn serve_in(folder: &Path, model: Model, settings: Settings) -> Served {
    serve_at("tcp://127.0.0.1:0", folder, model, settings)
}

fn serve_at(endpoint: &str, folder: &Path, model: Model, mut settings: Settings) -> Served {
    let data = Data::at(folder);
    data.open().expect("a data folder");
    settings.data = Some(data);
    let server = Server::bind(endpoint).expect("bind").model(model);
    let service = catalog::named("files").expect("the service");
    let starter = (service.make)(&settings).expect("settings that make sense");
    let running = starter.start(server).expect("start");
    Served {
        endpoint: running.endpoint(),
        running: Some(running),
        data: folder.to_owned(),
        _folder: None,
    }
}

/// One that gives strangers this time for each of their words.
pub(crate) fn serve_patiently(patience: Duration, mut settings: Settings) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::at(folder.path());
    data.open().expect("a data folder");
    settings.data = Some(data);
    let service = FileService::from_settings(&settings).expect("settings that make sense");
    let server = Server::bind("tcp://127.0.0.1:0").expect("bind");
    let running = server.start(service.patience(patience)).expect("start");
    Served {
        endpoint: running.endpoint(),
        running: Some(running),
        data: folder.path().to_owned(),
        _folder: Some(folder),
    }
}

/// A client of raw frames.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    decoder: Decoder,
    held: Vec<u8>,
    id: u64,
}

impl Client {
    pub(crate) fn of(served: &Served) -> Self {
        Self::at(&served.endpoint)
    }

    pub(crate) fn at(endpoint: &Endpoint) -> Self {
        let at = endpoint.host_port().expect("an IP address").to_string();
        let stream = TcpStream::connect(at).expect("connect");
        stream.set_nodelay(true).expect("a socket's option");
        Client {
            stream,
            decoder: Decoder::new(),
            held: Vec::new(),
            id: 0,
        }
    }

    /// Another hand on the same connection, to send while this one reads.
    pub(crate) fn twin(&self) -> Client {
        Client {
            stream: self.stream.try_clone().expect("a socket"),
            decoder: Decoder::new(),
            held: Vec::new(),
            id: self.id,
        }
    }

    /// Sends a request with the next id.
    pub(crate) fn send(&mut self, operate: &str, mut about: Value) -> u64 {
        self.id += 1;
        about["id"] = self.id.into();
        about["operate"] = operate.into();
        self.raw(&encode(&about).expect("a frame"));
        self.id
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// The next frame; nothing at the end of the stream.
    pub(crate) fn frame(&mut self) -> Option<Value> {
        loop {
            let taken = self.decoder.push(&self.held);
            self.held.drain(..taken);
            if let Some(frame) = self.decoder.next().expect("a good frame") {
                return Some(decode(&frame).expect("JSON"));
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.held.extend(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("receive: {error}"),
            }
        }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        let missing = count.saturating_sub(bytes.len());
        self.held = bytes.split_off(bytes.len().min(count));
        let at = bytes.len();
        bytes.resize(at + missing, 0);
        self.stream.read_exact(&mut bytes[at..]).expect("bytes");
        bytes
    }

    /// The answer to the last request.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Result<Value, String> {
        let answer = self.frame().expect("an answer");
        assert_eq!(answer["id"], self.id, "{answer}");
        outcome(&answer)
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, operate: &str, about: Value) -> Result<Value, String> {
        self.send(operate, about);
        self.answer()
    }

    /// What must go well.
    #[track_caller]
    pub(crate) fn get(&mut self, operate: &str, about: Value) -> Value {
        self.ask(operate, about).expect("it goes well")
    }

    /// A small file, with its bytes.
    pub(crate) fn send_small(&mut self, path: &str, bytes: &[u8], more: Value) -> u64 {
        let mut about = json!({
            "path": path, "size": bytes.len(), "mtime": "1000000007", "hash": hash(bytes), "clobber": false,
            "follows": bytes.len()
        });
        merge(&mut about, more);
        let id = self.send("upload", about);
        self.raw(bytes);
        id
    }

    #[track_caller]
    pub(crate) fn small(&mut self, path: &str, bytes: &[u8]) -> Result<Value, String> {
        self.send_small(path, bytes, json!({}));
        self.answer()
    }

    pub(crate) fn data(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<Value, String> {
        self.send(
            "data",
            json!({"upload": name, "offset": offset, "follows": bytes.len()}),
        );
        self.raw(bytes);
        self.answer()
    }

    pub(crate) fn download(&mut self, about: Value) -> Result<(Value, Vec<u8>), String> {
        let answer = self.ask("download", about)?;
        let bytes = self.bytes(answer["follows"].as_u64().expect("a number") as usize);
        Ok((answer, bytes))
    }
}

/// `ok`, or the code of the error.
pub(crate) fn outcome(answer: &Value) -> Result<Value, String> {
    match answer.get("ok") {
        Some(ok) => Ok(ok.clone()),
        None => Err(answer["error"]["code"].as_str().expect("a code").to_owned()),
    }
}

pub(crate) fn merge(into: &mut Value, more: Value) {
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        into[name] = value;
    }
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Bytes that look like nothing else.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// What an upload is declared as.
pub(crate) fn plan(name: &str, path: &str, bytes: &[u8]) -> Value {
    json!({
        "upload": name, "path": path, "size": bytes.len(), "mtime": "1000000007", "hash": hash(bytes),
        "clobber": false
    })
}

pub(crate) fn name(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}
