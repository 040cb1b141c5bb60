//! The client of the service of files, beside a stand-in for the service that does what a test wants.

mod faults;
mod parts;
mod receipts;
mod standin;
mod transfers;
mod tunnel;

use sockeye::{Dialer, TlsClient};
use sockeye_services::files::client::get::Keep;
use sockeye_services::files::client::put::How;
use sockeye_services::files::client::walk::Walk;
use sockeye_services::files::client::{Client, Failure, Folder, Outcome, Session, Watch, Who};
use standin::Standin;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What was told of transfers.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) outcomes: RefCell<Vec<Outcome>>,
    pub(crate) again: Cell<usize>,
}

impl Watch for Heard {
    fn done(&self, outcome: Outcome) {
        self.outcomes.borrow_mut().push(outcome);
    }
    fn again(&self, _: &Failure, _: Duration) {
        self.again.set(self.again.get() + 1);
    }
}

impl Heard {
    /// What came of the only file.
    #[track_caller]
    pub(crate) fn only(&self) -> Outcome {
        let mut outcomes = self.outcomes.take();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.pop().expect("one")
    }

    #[track_caller]
    pub(crate) fn all_is_well(&self, count: usize) {
        let outcomes = self.outcomes.take();
        let failed: Vec<_> = outcomes
            .iter()
            .filter(|outcome| outcome.result.is_err())
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(outcomes.len(), count);
    }
}

/// A user's machine: folders of its own, and a client.
pub(crate) struct User {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) heard: Rc<Heard>,
    endpoint: String,
}

impl User {
    pub(crate) fn of(service: &Standin) -> Self {
        User {
            folder: tempfile::tempdir().expect("a folder"),
            heard: Rc::default(),
            endpoint: service.endpoint.clone(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with bytes that are nobody else's.
    pub(crate) fn file(&self, name: &str, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(size as u64).fill(&mut bytes);
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, &bytes).expect("written");
        bytes
    }

    /// A client as a fresh program has it.
    pub(crate) fn client(&self, retries: u32) -> Client {
        let who = Who {
            endpoint: self.endpoint.clone(),
            user: "ann".to_owned(),
            notes: self.path("notes"),
        };
        let endpoint = self.endpoint.clone();
        let connect = move || {
            let endpoint = endpoint.clone();
            Box::pin(async move {
                let dialer = TlsClient::unverified().map(|tls| Dialer::new().tls(tls));
                let conn = dialer.map_err(Failure::Lost)?.dial(&endpoint).await;
                Ok(Session::over(conn.map_err(Failure::Lost)?))
            }) as _
        };
        Client::new(who, retries, self.heard.clone(), Box::new(connect))
    }

    pub(crate) fn put(&self, named: &[(&str, &str)], retries: u32) -> Result<(), Failure> {
        self.put_how(named, retries, false)
    }

    pub(crate) fn put_how(&self, named: &[(&str, &str)], retries: u32, clobber: bool) -> Result<(), Failure> {
        self.put_as(named, retries, How { clobber, sync: true })
    }

    pub(crate) fn put_as(&self, named: &[(&str, &str)], retries: u32, how: How) -> Result<(), Failure> {
        let named = named
            .iter()
            .map(|(local, remote)| (self.path(local), (*remote).to_owned()));
        let walk = Walk::of(named.collect());
        sockeye::block_on(self.client(retries).put(walk, how)).expect("a model")
    }

    pub(crate) fn get(&self, path: &str, folder: &str, name: &str, retries: u32) -> Result<(), Failure> {
        let keep = Keep {
            clobber: false,
            sync: true,
        };
        self.get_as(path, folder, name, retries, keep)
    }

    pub(crate) fn get_as(
        &self,
        path: &str,
        folder: &str,
        name: &str,
        retries: u32,
        keep: Keep,
    ) -> Result<(), Failure> {
        let folder = Folder::named(&self.path(folder)).expect("a folder");
        sockeye::block_on(self.client(retries).get(path, &folder, name, keep)).expect("a model")
    }
}

/// The names of everything in a folder, hidden things too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().display().to_string())
        .collect();
    names.sort();
    names
}
