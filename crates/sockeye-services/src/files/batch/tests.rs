//! Folders that weren't there, and how files come to be in them.

use super::arriving::{Arriving, Whole};
use super::coming::Coming;
use super::commit::{Answers, Batch};
use super::{ENOUGH, Small, WORTH, Waiting};
use crate::files::place::Place;
use crate::files::place::tests::place;
use crate::files::trouble::Outcome;
use sockeye::block_on;
use sockeye_proto::files::{Code, Mtime, Path, Receipt, Upload};
use std::fs;
use std::path::PathBuf;

/// Whether files are forced to the disk.
const WAYS: [bool; 2] = [true, false];

struct Served {
    folder: tempfile::TempDir,
    place: Place,
}

impl Served {
    fn new(limit: Option<u64>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, limit);
        Served { folder, place }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("files/everybody").join(path)
    }

    fn pending(&self) -> Vec<String> {
        let pending = fs::read_dir(self.folder.path().join("files/uploads/*everybody")).expect("a folder");
        let names = pending.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        });
        names.filter(|name| name != "holds").collect()
    }

    /// These, written out of sight; their bytes are their paths.
    fn written(&self, paths: &[&str], sync: bool) -> Batch {
        let mut coming = Coming::default();
        for (id, path) in (1..).zip(paths) {
            coming.push(self.waiting(id, path, sync));
        }
        let taken = coming.take(coming.len());
        let written = Batch::new(&self.place).write(self.place.clone(), taken, sync);
        block_on(written).expect("a model")
    }

    fn waiting(&self, id: u64, path: &str, sync: bool) -> Waiting {
        let about = upload(path, sync);
        let arriving = self.arriving(path);
        let new = arriving.finish(&self.place, Path::parse(path).expect("a path"), &about);
        (Some(id), new.map(Whole::New))
    }

    fn arriving(&self, path: &str) -> Arriving {
        let mut arriving = Arriving::new(&self.place, path.len() as u64).expect("a file");
        arriving.take(path.as_bytes()).expect("it is in memory");
        arriving
    }

    fn commit(&self, batch: Batch) -> Vec<Outcome<Receipt>> {
        let committed = block_on(batch.commit(self.place.clone(), false)).expect("a model");
        let (ids, outcomes): (Vec<_>, Vec<_>) = committed.answers.into_iter().unzip();
        assert!(
            ids.iter().copied().eq((1..=ids.len() as u64).map(Some)),
            "{ids:?}"
        );
        let kept = outcomes.iter().flatten().map(|receipt| receipt.size as i64);
        assert_eq!(committed.growth, kept.sum::<i64>(), "each byte is counted once");
        outcomes
    }

    fn is_there(&self, path: &str) -> bool {
        fs::read_to_string(self.at(path)).is_ok_and(|bytes| bytes == path)
    }
}

fn upload(path: &str, sync: bool) -> Upload {
    Upload {
        upload: None,
        path: path.to_owned(),
        size: path.len() as u64,
        mtime: Mtime(7),
        hash: None,
        clobber: false,
        sync,
        follows: Some(path.len() as u64),
    }
}

fn codes(outcomes: &[Outcome<Receipt>]) -> Vec<Option<Code>> {
    let code = |outcome: &Outcome<Receipt>| outcome.as_ref().err().map(|failure| failure.code);
    outcomes.iter().map(code).collect()
}

#[test]
fn missing_folders_are_out_of_sight_until_all_in_them_is_complete() {
    for sync in WAYS {
        let served = Served::new(None);
        let paths = ["a/1", "a/b/c/1", "a/2", "x/y/1", "a/b/c/2"];
        let batch = served.written(&paths, sync);
        assert_eq!(
            fs::read_dir(served.at("")).expect("a folder").count(),
            0,
            "sync {sync}"
        );
        assert_eq!(served.pending().len(), 3, "a folder for each that is missing");
        let outcomes = served.commit(batch);
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.as_ref().is_ok_and(|receipt| receipt.durable == sync))
        );
        assert!(paths.iter().all(|path| served.is_there(path)), "sync {sync}");
        assert_eq!(served.pending(), Vec::<String>::new());
        let naming = block_on(served.place.naming_within(Some(0)))
            .expect("a model")
            .expect("a turn");
        assert_eq!(naming.spare, 1000 - 5 - 5, "files and folders are counted");
    }
}

#[test]
fn a_folder_that_somebody_made_meanwhile_takes_its_files_one_by_one() {
    for sync in WAYS {
        let served = Served::new(None);
        let batch = served.written(&["a/b/1", "a/b/2", "a/b/3"], sync);
        fs::create_dir_all(served.at("a/b")).expect("folders");
        fs::write(served.at("a/b/2"), "another").expect("a file");
        let outcomes = served.commit(batch);
        assert_eq!(codes(&outcomes), [None, Some(Code::Exists), None]);
        assert!(served.is_there("a/b/1") && served.is_there("a/b/3"));
        assert_eq!(fs::read(served.at("a/b/2")).expect("a file"), b"another");
        assert_eq!(served.pending(), Vec::<String>::new());
        // As well as where it is a file.
        let batch = served.written(&["c/1", "d"], sync);
        fs::write(served.at("c"), "no folder").expect("a file");
        assert_eq!(codes(&served.commit(batch)), [Some(Code::NotFolder), None]);
        assert_eq!(served.pending(), Vec::<String>::new());
    }
}

#[test]
fn what_comes_twice_is_met_by_what_came_first() {
    for sync in WAYS {
        let served = Served::new(None);
        let mut coming = Coming::default();
        let about = Upload {
            clobber: true,
            ..upload("a/1", sync)
        };
        for (id, bytes) in [(1, "a/1"), (2, "new"), (3, "a/1")] {
            let path = Path::parse("a/1").expect("a path");
            let about = Upload {
                clobber: bytes == "new",
                ..about.clone()
            };
            let new = served.arriving(bytes).finish(&served.place, path, &about);
            coming.push((Some(id), new.map(Whole::New)));
        }
        let taken = coming.take(3);
        let batch =
            block_on(Batch::new(&served.place).write(served.place.clone(), taken, sync)).expect("a model");
        let committed = block_on(batch.commit(served.place.clone(), false)).expect("a model");
        let outcomes: Vec<_> = committed
            .answers
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect();
        assert_eq!(codes(&outcomes), [None, None, Some(Code::Exists)]);
        assert_eq!(committed.growth, 3);
        assert_eq!(fs::read(served.at("a/1")).expect("a file"), b"new");
        assert_eq!(served.pending(), Vec::<String>::new());
    }
}

#[test]
fn there_are_as_many_files_and_folders_as_there_may_be() {
    for sync in WAYS {
        let served = Served::new(Some(1));
        let naming = block_on(served.place.naming()).expect("a model").expect("a turn");
        served.place.note_entries(naming.spare as i64 - 4);
        drop(naming);
        let batch = served.written(&["a/b/1", "a/b/2", "a/b/3"], sync);
        let outcomes = served.commit(batch);
        assert_eq!(codes(&outcomes), [None, None, Some(Code::Quota)], "sync {sync}");
        assert!(served.is_there("a/b/2") && !served.at("a/b/3").exists());
        assert_eq!(served.pending(), Vec::<String>::new());
    }
}

#[test]
fn a_cut_in_the_middle_of_a_folder_leaves_nothing() {
    for sync in WAYS {
        let served = Served::new(Some(1_000_000));
        let place = &served.place;
        let answers = block_on(async {
            let mut small = Small::default();
            let mut answers = Answers::new();
            for number in 0..ENOUGH as u64 * 3 {
                // A folder that ends, and one that doesn't.
                let path = match number < ENOUGH as u64 {
                    true => format!("whole/{number}"),
                    false => format!("cut/{number}"),
                };
                let (path, about) = (Path::parse(&path).expect("a path"), upload(&path, sync));
                let super::Beginning::Arriving(mut arriving) = small.begin(place, &path, &about).await?
                else {
                    panic!("it isn't there");
                };
                arriving.take(about.path.as_bytes())?;
                small.end(Some(number), place, arriving, path, &about);
                answers.extend(small.look(place).await.into_iter().flatten());
                answers.append(&mut small.make_way(place).await);
            }
            while answers.len() < ENOUGH {
                answers.append(&mut std::future::poll_fn(|cx| small.poll(place, cx)).await);
            }
            small.abandon(place).await;
            Ok::<_, sockeye_proto::files::Failure>(answers)
        });
        let answers = answers.expect("a model").expect("no failure");
        assert_eq!(answers.len(), ENOUGH, "a folder that ended has its name");
        assert!(served.is_there("whole/0") && !served.at("cut").exists());
        assert_eq!(served.pending(), Vec::<String>::new());
        let usage = block_on(place.usage()).expect("a model").expect("the books");
        let kept: u64 = answers
            .iter()
            .flat_map(|(_, outcome)| outcome)
            .map(|receipt| receipt.size)
            .sum();
        assert_eq!((usage.used, usage.reserved), (kept, 0));
    }
}

#[test]
fn the_rest_of_a_folder_that_was_there_shows_nothing_of_the_next_one() {
    let served = Served::new(None);
    let place = &served.place;
    fs::create_dir(served.at("a")).expect("a folder");
    let done = block_on(async {
        let mut small = Small::default();
        for (folder, count) in [("a", WORTH), ("a", WORTH / 2), ("b", WORTH)] {
            for number in 0..count {
                let path = format!("{folder}/{count}-{number}");
                let about = upload(&path, false);
                let path = Path::parse(&path).expect("a path");
                small.begin(place, &path, &about).await?;
                small.end(Some(0), place, served.arriving(&about.path), path, &about);
            }
            if folder == "a" && count == WORTH {
                small.look(place).await;
                assert_eq!(
                    std::future::poll_fn(|cx| small.poll(place, cx)).await.len(),
                    WORTH
                );
            }
        }
        let rest = std::future::poll_fn(|cx| small.poll(place, cx)).await;
        assert_eq!(rest.len(), WORTH / 2);
        assert!(!served.at("b").exists(), "it has not come to its end");
        let last = small.finish(place).await;
        Ok::<_, sockeye_proto::files::Failure>(last.len())
    });
    assert_eq!(done.expect("a model").expect("no failure"), WORTH);
    assert!(served.is_there(&format!("b/{WORTH}-0")));
}

#[test]
fn what_a_killed_service_has_hidden_goes_when_it_is_counted() {
    let served = Served::new(Some(1000));
    block_on(served.place.hold())
        .expect("a model")
        .expect("nobody counts");
    let batch = served.written(&["a/1", "a/2"], true);
    let pending = served.folder.path().join("files/uploads/*everybody");
    // Whoever has filled it can't delete it any more.
    fs::rename(pending.join(&served.pending()[0]), pending.join("small-1-1")).expect("it is there");
    drop(batch);
    assert!(pending.join("small-1-1/2").exists());
    let Served {
        folder,
        place: killed,
    } = served;
    drop(killed);
    let place = place(&folder, Some(1000));
    let served = Served { folder, place };
    block_on(served.place.hold())
        .expect("a model")
        .expect("it is counted");
    assert_eq!(served.pending(), Vec::<String>::new());
    assert!(!served.at("a").exists());
}

impl Served {
    /// These, in one go.
    fn at_once(&self, files: &[(&str, &[u8])], sync: bool, clobber: bool) -> Vec<Outcome<Receipt>> {
        let mut coming = Coming::default();
        for (id, (path, bytes)) in (1..).zip(files) {
            let size = bytes.len() as u64;
            let about = Upload {
                clobber,
                size,
                ..upload(path, sync)
            };
            let mut arriving = Arriving::new(&self.place, size).expect("a file");
            arriving.take(bytes).expect("it is taken");
            let new = arriving.finish(&self.place, Path::parse(path).expect("a path"), &about);
            coming.push((Some(id), new.map(Whole::New)));
        }
        let taken = coming.take(coming.len());
        let written = Batch::new(&self.place).write(self.place.clone(), taken, sync);
        let committed = block_on(async { written.await.commit(self.place.clone(), false).await });
        let answers = committed.expect("a model").answers;
        answers.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

#[test]
fn the_last_of_a_name_is_there_whatever_way_each_goes() {
    let large = vec![b'1'; (64 << 10) + 1];
    let second: &[u8] = b"second";
    for (sync, clobber) in WAYS.into_iter().flat_map(|sync| [(sync, true), (sync, false)]) {
        let served = Served::new(None);
        let outcomes = served.at_once(&[("a/0", b"0"), ("a/1", &large), ("a/1", second)], sync, clobber);
        let (wanted, failed) = match clobber {
            true => (second, None),
            false => (&large[..], Some(Code::Exists)),
        };
        assert_eq!(codes(&outcomes), [None, None, failed], "sync {sync}");
        assert_eq!(fs::read(served.at("a/1")).expect("a file"), wanted);
        // By two that write at the same time.
        let served = Served::new(None);
        let names: Vec<String> = (0..WORTH).map(|number| format!("a/{number}")).collect();
        let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        (files[WORTH / 3], files[WORTH * 2 / 3]) = (("a/same", &b"first"[..]), ("a/same", second));
        let outcomes = served.at_once(&files, sync, clobber);
        let there = fs::read(served.at("a/same")).expect("a file");
        assert_eq!(codes(&outcomes)[WORTH * 2 / 3], failed, "sync {sync}");
        assert_eq!(there, if clobber { second } else { b"first" });
    }
}

#[test]
fn a_file_called_as_a_folder_before_it_is_none() {
    for sync in WAYS {
        let served = Served::new(None);
        let outcomes = served.at_once(&[("p/0", b"0"), ("p/a/1", b"1"), ("p/a", b"a")], sync, false);
        assert_eq!(
            codes(&outcomes),
            [None, None, Some(Code::IsFolder)],
            "sync {sync}"
        );
        assert_eq!(fs::read(served.at("p/a/1")).expect("a file"), b"1");
    }
}
