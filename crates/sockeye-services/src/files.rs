//! `files`: a folder for each user, to put files into and to get them from.
//!
//! `docs/protocols/files.md` specifies the dialogue; [`sockeye_proto::files`] has its words. What is acknowledged is on
//! the disk, under its name, complete, and with the hash that was declared.
//!
//! | file | what it does |
//! |---|---|
//! | `dialogue` | the requests of one client, in their order; `login` who it is; `wire` its frames and bytes |
//! | `upload` | an upload in units, hashed and made durable while it comes; `pending` what the disk has of it |
//! | `batch` | many small files that get their names together; `budget` how much of them may be held |
//! | `place` | a user's root and page in the books; how a complete file gets its name |
//! | `tree` | a folder by descriptors only: nothing leads out of it |
//! | `requests`, `download` | what is asked of files that are there |
//! | `sweep` | the end of uploads that everybody has forgotten |
//! | `legacy` | the old client, that reads no answer |
//! | [`units`] | the hash of a file by its units |
//! | [`client`] | the other side |

mod batch;
mod budget;
pub mod client;
mod dialogue;
mod download;
mod legacy;
mod login;
mod pending;
mod place;
mod record;
mod requests;
mod sweep;
mod tree;
mod trouble;
pub mod units;
mod upload;
mod wire;

use crate::auth;
use crate::catalog::{Service, Starter};
use crate::settings::{Setting, Settings, wrong};
use crate::store::Store;
use login::Access;
use sockeye::{Class, Connection, Error, Handler, Result};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Its row in the [catalog](crate::catalog).
pub const SERVICE: Service = Service {
    name: "files",
    port: 9000,
    schemes: &["tcp"],
    keeps: true,
    login: auth::Login::Own,
    about: "keeps files: upload, download, list; resumes, verifies, counts",
    try_stream: "sockeye files {endpoint}",
    try_packets: "{nc}",
    settings: &[SETTINGS],
    make: |settings| Ok(Starter::of_streams(FileService::from_settings(settings)?)),
};

const SETTINGS: &[Setting] = &[
    Setting {
        name: "quota",
        value: "SIZE",
        about: "how much each user may keep; without it there is no limit",
        repeats: false,
    },
    Setting {
        name: "anonymous",
        value: "true|false",
        about: "old clients may upload without a login, into a folder of their own",
        repeats: false,
    },
    Setting {
        name: "anonymous-quota",
        value: "SIZE",
        about: "how much all old clients together may keep; 1GiB",
        repeats: false,
    },
    Setting {
        name: "no-sync",
        value: "true|false",
        about: "clients may ask that nothing be forced to the disk",
        repeats: false,
    },
];

/// What all old clients together may keep, unless the listener says otherwise: nobody knows who they are.
const ANONYMOUS_QUOTA: u64 = 1 << 30;

/// The service.
pub struct FileService(Arc<Files>);

/// What all connections of a listener have in common.
struct Files {
    access: Access,
    data: crate::data::Data,
    books: OnceLock<Arc<Books>>,
    /// What each user may keep.
    quota: Option<u64>,
    anonymous: Option<Anonymous>,
    /// Clients may ask for less than durability.
    no_sync: bool,
    /// How long each word of somebody may take whom nobody knows.
    patience: Duration,
    /// See [`Books::server`].
    server: i64,
}

/// What old clients may do.
struct Anonymous {
    quota: Option<u64>,
}

/// Where files are, and where they are counted.
struct Books {
    folder: PathBuf,
    store: Arc<dyn Store>,
    /// The number of this server: what was counted by another is counted anew.
    server: i64,
}

/// One number for all listeners of a process, and those forked from it: they count together.
fn server_number() -> Result<i64> {
    static NUMBER: OnceLock<i64> = OnceLock::new();
    if let Some(number) = NUMBER.get() {
        return Ok(*number);
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new("draw a number", Class::General, error.to_string()))?;
    Ok(*NUMBER.get_or_init(|| i64::from_le_bytes(bytes)))
}

impl FileService {
    /// What the user has set.
    ///
    /// # Errors
    /// When there is no data folder, or a setting makes no sense.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let data = settings.data.clone().ok_or_else(|| {
            let why = "there is no data folder to keep files in";
            Error::new("serve files", Class::General, why).advise("name one with --data DIR")
        })?;
        let size = |name| match settings.value(name) {
            None => Ok(None),
            Some(text) => match sockeye::parse_size(text) {
                Ok(size) if i64::try_from(size).is_ok() => Ok(Some(size)),
                Ok(_) => Err(wrong(name, text, "no disk has so much")),
                Err(error) => Err(wrong(name, text, error.cause())),
            },
        };
        let anonymous = settings.parse::<bool>("anonymous")?.unwrap_or(false);
        let anonymous_quota = size("anonymous-quota")?.unwrap_or(ANONYMOUS_QUOTA);
        Ok(FileService(Arc::new(Files {
            access: Access::of(settings)?,
            data,
            books: OnceLock::new(),
            quota: size("quota")?,
            anonymous: anonymous.then_some(Anonymous {
                quota: Some(anonymous_quota),
            }),
            no_sync: settings.parse("no-sync")?.unwrap_or(false),
            patience: auth::LOGIN_TIME,
            server: server_number()?,
        })))
    }

    /// Gives strangers another time than [`LOGIN_TIME`](auth::LOGIN_TIME) for each of their words; only before it is served.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        if let Some(files) = Arc::get_mut(&mut self.0) {
            files.patience = limit;
        }
        self
    }
}

impl Files {
    fn books(&self) -> trouble::Outcome<Arc<Books>> {
        if let Some(books) = self.books.get() {
            return Ok(books.clone());
        }
        let books = Arc::new(Books {
            folder: self.data.folder().to_owned(),
            store: self.data.store().map_err(trouble::busy)?,
            server: self.server,
        });
        Ok(self.books.get_or_init(|| books).clone())
    }
}

impl Handler for FileService {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        // Boxed: it is large, and most of it is of no use to a connection that waits.
        let ended = Box::pin(dialogue::Dialogue::new(self.0.clone(), conn).run()).await;
        if let Ok(books) = self.0.books() {
            Box::pin(sweep::if_due(&books)).await;
        }
        ended
    }
}
