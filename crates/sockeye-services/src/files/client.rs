//! The other side of the service of files: what sends files there and fetches them, safely and fast.
//!
//! | file | what it holds |
//! |---|---|
//! | `session` | one connection: requests out and answers in at the same time |
//! | [`requests`] | the requests that are one question and one answer |
//! | [`put`] | files and folders to the service |
//! | `upload`, `notes` | one large file, in pieces, to go on with after anything |
//! | `pipeline` | many small files without a wait for each |
//! | [`get`] | files and folders from the service |
//! | `download`, `small` | one large file, many small ones |
//! | [`legacy`] | an upload to the service's ancestor, which answers nothing |
//! | [`walk`], `meant`, [`wildcard`] | what a person means by a name, here and there |
//! | `source`, `place` | files and folders of this machine |
//! | `hashing` | BLAKE3 in units |
//! | `watch`, `failure` | what is told while it goes on, and what went wrong |

mod download;
mod failure;
pub mod get;
mod hashing;
pub mod legacy;
mod meant;
pub mod notes;
mod pipeline;
mod place;
pub mod put;
pub mod requests;
mod session;
mod small;
mod source;
mod upload;
pub mod walk;
mod watch;
pub mod wildcard;

pub use failure::Failure;
pub use place::Folder;
pub use session::Session;
pub use source::{Identity, Source};
pub use watch::{Kept, Outcome, Watch};

use sockeye::time;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// The pause before the first new try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: who comes back is met soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A way to a service: connects, and says who we are. It is gone again after the connection broke.
pub type Connect = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Session, Failure>>>>>;

/// A user of a service, whose connection is made again when it breaks.
pub struct Client {
    connect: Connect,
    session: Option<Session>,
    watch: Rc<dyn Watch>,
    /// Where the service is, and who is known to it: what notes of transfers are kept apart by.
    pub(crate) who: Who,
    retries: u32,
    /// There has been a connection: where it was, it may be again.
    met: bool,
}

/// Where transfers go, in words.
#[derive(Debug, Clone)]
pub struct Who {
    /// The service's endpoint.
    pub endpoint: String,
    /// The user's name there.
    pub user: String,
    /// The folder for notes of transfers that aren't over; see [`notes::folder`].
    pub notes: PathBuf,
}

impl Client {
    /// One that hasn't connected yet. `retries` is how often it tries again without anything achieved in between.
    pub fn new(who: Who, retries: u32, watch: Rc<dyn Watch>, connect: Connect) -> Self {
        Client {
            connect,
            session: None,
            watch,
            who,
            retries,
            met: false,
        }
    }

    /// Does something over a connection: again over another one if that breaks, after a pause.
    ///
    /// # Errors
    /// What the last try ended with.
    pub async fn with<T>(
        &mut self,
        mut job: impl AsyncFnMut(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (mut tries, mut pause) = (0, FIRST_PAUSE);
        loop {
            let done = match self.connected().await {
                Ok(session) => job(session).await,
                Err(failure) => Err(failure),
            };
            let failure = match done {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let advanced = self
                .session
                .as_mut()
                .is_some_and(|session| std::mem::take(&mut session.advanced));
            if matches!(failure, Failure::Lost(_))
                || self.session.as_ref().is_some_and(|session| session.midway)
            {
                self.session = None;
            }
            if advanced {
                (tries, pause) = (0, FIRST_PAUSE);
            }
            if !failure.may_pass() || !self.met || tries >= self.retries {
                return Err(failure);
            }
            self.watch.again(&failure, pause);
            time::sleep(pause).await.map_err(Failure::Ours)?;
            (tries, pause) = (tries + 1, (pause * 2).min(LONGEST_PAUSE));
        }
    }

    async fn connected(&mut self) -> Result<&mut Session, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let session = (self.connect)().await?;
                self.watch.connected();
                session
            }
        };
        self.met = true;
        Ok(self.session.insert(session))
    }

    /// Takes leave of the service, if there is a connection.
    ///
    /// # Errors
    /// When the connection breaks before that is heard.
    pub async fn leave(mut self) -> Result<(), Failure> {
        let heard = match &mut self.session {
            Some(session) => session.exit().await,
            None => Ok(()),
        };
        self.close().await;
        heard
    }

    /// Closes the connection, if there is one, without another question: the service needs no more to know that it is over.
    pub async fn close(self) {
        if let Some(session) = self.session {
            let _ = session.conn.close().await; // nothing depends on it
        }
    }
}
