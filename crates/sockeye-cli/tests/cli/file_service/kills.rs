//! A server that is killed in the middle of its work, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use sockeye::Model;
use sockeye_proto::files::UNIT;

use super::{Client, OPEN, hash};
use crate::dice::Dice;
use crate::serve::Serving;
use crate::sockeye::{Background, kills, sockeye};

/// A round ends after some of so many answers.
const LONGEST: u64 = 100;
/// Small files that are sent without waiting.
const BURST: usize = 12;
const PIECE: usize = 4 << 20;
/// Noise that is repeated, with a number in each.
const BLOCK: usize = 8 << 10;

/// What is to be in the file of this path, whenever it is there.
fn content(path: &str) -> Vec<u8> {
    let mut dice = Dice::of(path.bytes().fold(88_172_645_463_325_252, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into()) | 1
    }));
    let size = match path.starts_with("big") {
        true => UNIT as usize + PIECE + dice.below(100_000) as usize,
        false => dice.below(6000) as usize,
    };
    let noise: Vec<u8> = (0..BLOCK / 8)
        .flat_map(|_| dice.below(u64::MAX).to_le_bytes())
        .collect();
    let mut bytes = Vec::with_capacity(size + BLOCK);
    while bytes.len() < size {
        let at = bytes.len();
        bytes.extend_from_slice(&noise);
        bytes[at..at + 8].copy_from_slice(&at.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A client, and what it was told.
#[derive(Default)]
struct Worker {
    number: usize,
    next: usize,
    kept: BTreeSet<String>,
    removed: BTreeSet<String>,
    /// The big file that is under way.
    bytes: Vec<u8>,
    /// Asked for and not answered.
    unsure: BTreeSet<String>,
}

impl Worker {
    fn work_until_killed(&mut self, address: &str, told: &Sender<()>) -> Option<()> {
        let mut client = Client::at(address)?;
        loop {
            match self.number {
                0 => self.upload_big(&mut client, told)?,
                1 => self.remove_one(&mut client, told)?,
                _ => self.send_burst(&mut client, told)?,
            }
        }
    }

    fn send_burst(&mut self, client: &mut Client, told: &Sender<()>) -> Option<()> {
        let mut sent = BTreeMap::new();
        // What a killed server has written is there whether it was forced to the disk or not.
        let sync = (self.next / BURST).is_multiple_of(2);
        for _ in 0..BURST {
            // Every other burst's folders are new ones.
            let folder = format!("w{}/{}/{}", self.number, self.next / BURST / 2, self.next % 3);
            let path = format!("{folder}/f{}", self.next);
            self.next += 1;
            self.unsure.insert(path.clone());
            sent.insert(client.send_small(&path, &content(&path), sync)?, path);
        }
        for _ in 0..BURST {
            let (id, outcome) = client.answer()?;
            outcome.expect("a receipt");
            let path = sent.remove(&id).expect("an id of ours");
            self.unsure.remove(&path);
            self.kept.insert(path);
            let _ = told.send(()); // the killer may have heard enough
        }
        Some(())
    }

    fn remove_one(&mut self, client: &mut Client, told: &Sender<()>) -> Option<()> {
        self.send_burst(client, told)?;
        let path = self.kept.pop_first()?;
        self.unsure.insert(path.clone());
        client.ask("remove", json!({"path": path}))?.expect("it is there");
        self.unsure.remove(&path);
        self.removed.insert(path);
        let _ = told.send(());
        Some(())
    }

    /// One upload is gone on with from kill to kill until it is complete.
    fn upload_big(&mut self, client: &mut Client, told: &Sender<()>) -> Option<()> {
        let path = format!("big{}", self.next);
        let name = format!("{:032x}", self.next);
        if self.bytes.is_empty() {
            self.bytes = content(&path);
        }
        let bytes = &self.bytes;
        self.unsure.insert(path.clone());
        let plan = json!({
            "upload": name, "path": path, "size": bytes.len(), "mtime": "7", "hash": hash(bytes)
        });
        let begun = client.ask("upload", plan)?.expect("it goes on");
        let from = begun["offset"].as_u64().expect("an offset") as usize;
        if begun.get("receipt").is_none() {
            let mut at = from;
            for piece in bytes[from..].chunks(PIECE) {
                client.send(
                    "data",
                    json!({"upload": name, "offset": at, "follows": piece.len()}),
                )?;
                client.raw(piece)?;
                client.answer()?.1.expect("taken");
                at += piece.len();
                let _ = told.send(());
            }
            client.ask("commit", json!({"upload": name}))?.expect("a receipt");
        }
        self.unsure.remove(&path);
        self.kept.insert(path);
        self.next += 1;
        self.bytes.clear();
        let _ = told.send(());
        Some(())
    }
}

#[test]
fn no_acknowledged_upload_is_lost_by_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::new();
    let mut workers: Vec<Worker> = (0..4)
        .map(|number| Worker {
            number,
            ..Worker::default()
        })
        .collect();
    for round in 0..kills() {
        let serving = start(folder.path(), Model::ALL[round % Model::ALL.len()]);
        let (told, answered) = channel();
        let answers = 1 + dice.below(LONGEST);
        let address = serving.address(0);
        thread::scope(|scope| {
            for worker in &mut workers {
                let told = told.clone();
                scope.spawn(move || worker.work_until_killed(address, &told));
            }
            drop(told);
            for _ in 0..answers {
                answered.recv().expect("an answer");
            }
            kill_process_group(Pid::from_child(&serving.program.child), Signal::KILL).expect("it is there");
        });
    }
    let serving = start(folder.path(), Model::default());
    let mut client = Client::at(serving.address(0)).expect("a server");
    let root = folder.path().join("files/everybody");
    let used = check_files(&root, &workers);
    let quota = client
        .ask("quota", json!({}))
        .expect("an answer")
        .expect("a quota");
    assert_eq!(quota["used"], used, "{quota}");

    // The one upload that may be under way goes on, and nothing stays reserved.
    let (told, _) = channel();
    workers[0].upload_big(&mut client, &told).expect("no more kills");
    let quota = client
        .ask("quota", json!({}))
        .expect("an answer")
        .expect("a quota");
    assert_eq!(quota["reserved"], 0);
    let used = check_files(&root, &workers);
    assert_eq!(quota["used"], used);
    let left = fs::read_dir(folder.path().join("files/uploads/*everybody")).expect("a folder");
    for entry in left {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        assert!(
            name.ends_with(".json") || name.ends_with(".lock") || name == "holds",
            "{name} is left"
        );
    }
    let kept: usize = workers.iter().map(|worker| worker.kept.len()).sum();
    let removed: usize = workers.iter().map(|worker| worker.removed.len()).sum();
    eprintln!(
        "torture: files: {} kills; {kept} acknowledged uploads are there whole, {removed} removed files are gone; nothing \
         partial, no byte of the quota leaked",
        kills()
    );
}

/// What was acknowledged is there, and what is there is complete; says how many bytes that is.
fn check_files(root: &Path, workers: &[Worker]) -> u64 {
    let (mut found, mut folders, mut sum) = (BTreeSet::new(), vec![root.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a kind").is_dir() {
                folders.push(entry.path());
                continue;
            }
            let at = entry.path();
            let path = at
                .strip_prefix(root)
                .expect("below it")
                .to_str()
                .expect("a name")
                .to_owned();
            let bytes = fs::read(&at).expect("a file");
            assert!(bytes == content(&path), "{path} is not what was sent");
            sum += bytes.len() as u64;
            found.insert(path);
        }
    }
    for worker in workers {
        assert!(!worker.kept.is_empty(), "nothing was done");
        let lost: Vec<_> = worker.kept.difference(&found).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let back: Vec<_> = worker.removed.intersection(&found).collect();
        assert!(back.is_empty(), "removed, and back: {back:?}");
        found.retain(|path| !worker.kept.contains(path) && !worker.unsure.contains(path));
    }
    assert!(found.is_empty(), "nobody has sent {found:?}");
    sum
}

/// A server in a process group of its own, so that the processes that it forks die with it.
fn start(folder: &Path, model: Model) -> Serving {
    let data = folder.to_string_lossy();
    let mut command = sockeye(&["serve", "--data", &data, "--model", model.name(), OPEN]);
    command.process_group(0);
    Serving::of(Background::start(command), 1)
}
