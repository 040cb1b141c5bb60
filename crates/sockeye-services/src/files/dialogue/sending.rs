//! The requests that bring bytes: uploads that go on, and small files.

use super::{Dialogue, Event, MOST_LIVE, ON, Step, first, read};
use crate::files::batch;
use crate::files::pending::{Plan, this_boot};
use crate::files::place::Place;
use crate::files::trouble::{self, Outcome};
use crate::files::upload::{Beginning, Live};
use crate::files::wire::Waited;
use sockeye::Result;
use sockeye_proto::files::{
    Abandon, Begun, Code, Commit, Data, Failure, Head, MAX_INLINE, MAX_INTEGER, MAX_PIECE, Nothing, Upload,
    UploadName,
};
use std::time::Duration;

impl Dialogue<'_> {
    pub(super) async fn begin(&mut self, place: &Place, frame: &[u8]) -> Outcome<Begun> {
        let upload = self.read_upload(frame)?;
        let path = trouble::path_below(&upload.path)?;
        let name = upload.upload.ok_or_else(|| {
            let why = "an upload has a name in `upload`, or its bytes follow it";
            Failure::new(Code::BadRequest, why)
        })?;
        self.live.retain(|live| live.name() != name); // begun again on this very connection
        self.fenced.retain(|fenced| *fenced != name);
        if self.live.len() >= MOST_LIVE {
            let why = format!("{MOST_LIVE} uploads go on over this connection already; commit one first");
            return Err(Failure::new(Code::Busy, why));
        }
        let plan = Plan {
            path: upload.path,
            size: upload.size,
            mtime: upload.mtime,
            hash: upload.hash,
            clobber: upload.clobber,
            sync: upload.sync,
            committed: None,
            boot: this_boot().filter(|_| !upload.sync).map(str::to_owned),
        };
        Ok(match Live::begin(place, name, path, plan).await? {
            Beginning::Finished(receipt) => Begun {
                upload: Some(name),
                offset: Some(receipt.size),
                receipt: Some(receipt),
            },
            Beginning::Live(live) => {
                let offset = live.offset();
                self.live.push(live);
                Begun {
                    upload: Some(name),
                    offset: Some(offset),
                    receipt: None,
                }
            }
        })
    }

    fn read_upload(&self, frame: &[u8]) -> Outcome<Upload> {
        let upload: Upload = read(frame)?;
        if upload.size > MAX_INTEGER {
            return Err(Failure::new(Code::BadRequest, "`size` is beyond 2^53 - 1"));
        }
        if !upload.sync && !self.files.no_sync {
            let why = "this listener forces everything to the disk; only `no-sync=true` lets clients decide";
            return Err(Failure::new(Code::Denied, why));
        }
        Ok(upload)
    }

    /// Which of the live uploads is meant.
    fn live(&mut self, name: UploadName) -> Outcome<usize> {
        self.let_go();
        if self.fenced.contains(&name) {
            return Err(Failure::new(
                Code::Fenced,
                "another connection has taken this upload over",
            ));
        }
        let found = self.live.iter().position(|live| live.name() == name);
        found.ok_or_else(|| {
            let why = "no such upload goes on over this connection; send `upload` first";
            Failure::new(Code::NotFound, why)
        })
    }

    /// The next bytes of an upload. They are read to their end whatever comes of them.
    pub(super) async fn data(&mut self, head: &Head, frame: &[u8]) -> Step {
        let mut left = head.follows.unwrap_or(0);
        let mut outcome = read::<Data>(frame).and_then(|data| {
            let at = self.live(data.upload)?;
            check_piece(&self.live[at], &data)?;
            Ok(data.upload)
        });
        let mut waited = Duration::ZERO;
        while left > 0 {
            let Ok(name) = outcome else {
                self.wire.drop_bytes(left).await?;
                break;
            };
            if let Err(failure) = self.take(name, &mut left, &mut waited).await? {
                // What is on the disk is good; what was on its way is not known to be.
                self.live.retain(|live| live.name() != name);
                outcome = Err(failure);
            }
        }
        let progress = outcome.and_then(|name| self.live(name).map(|at| self.live[at].progress()));
        self.answer(head, progress).await
    }

    async fn take(&mut self, name: UploadName, left: &mut u64, waited: &mut Duration) -> Result<Outcome<()>> {
        self.wire.watched = true;
        let Some(live) = self.live.iter_mut().find(|live| live.name() == name) else {
            return Ok(Err(Failure::new(Code::NotFound, "the upload is gone")));
        };
        Ok(match live.take(&mut self.wire, *left, waited).await? {
            Waited::For(Ok(count)) => {
                *left -= count;
                live.failure().map_or(Ok(()), Err)
            }
            Waited::For(Err(failure)) => Err(failure),
            Waited::Look => self.live(name).map(drop),
        })
    }

    pub(super) async fn commit(&mut self, place: &Place, frame: &[u8]) -> Outcome<Begun> {
        let wanted: Commit = read(frame)?;
        let at = self.live(wanted.upload)?;
        self.live[at].check_commit(wanted.hash)?;
        let receipt = self.live.swap_remove(at).commit(place, wanted.hash).await?;
        Ok(Begun {
            receipt: Some(receipt),
            ..Begun::default()
        })
    }

    pub(super) async fn abandon(&mut self, place: &Place, frame: &[u8]) -> Outcome<Nothing> {
        let Abandon { upload } = read(frame)?;
        let live = match self.live(upload) {
            Ok(at) => self.live.swap_remove(at),
            Err(failure) if failure.code == Code::Fenced => return Err(failure),
            Err(_) => Live::found(place, upload).await?,
        };
        live.abandon(place).await.map(|()| Nothing {})
    }

    /// A small file, whose bytes follow at once. Its answer comes with those of its batch.
    pub(super) async fn small_file(&mut self, head: &Head, frame: &[u8]) -> Step {
        let mut left = head.follows.unwrap_or(0);
        let upload = self.read_upload(frame).and_then(|upload| {
            let path = trouble::path_below(&upload.path)?;
            match upload.size == left && left <= MAX_INLINE {
                true => Ok((upload, path)),
                false => Err(Failure::new(
                    Code::BadRequest,
                    format!("`follows` must be `size`, and {MAX_INLINE} at the most"),
                )),
            }
        });
        let begun = match (self.place().await, upload) {
            (Ok(place), Ok((upload, path))) => {
                let begun = self.small.begin(&place, &path, &upload).await;
                begun.map(|begun| (place, upload, path, begun))
            }
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        };
        let (place, upload, path, mut arriving) = match begun {
            Ok((place, upload, path, batch::Beginning::Arriving(arriving))) => {
                (place, upload, path, arriving)
            }
            Ok((_, _, _, batch::Beginning::Already(receipt))) => {
                self.small_passed_over(left).await?;
                self.small.is_there(head.id, receipt);
                return self.commit_if_full().await;
            }
            Err(failure) => return self.small_failed(head, left, failure).await,
        };
        while left > 0 {
            if let Err(error) = self.small_bytes_here().await {
                self.small.undo(&place, arriving);
                return Err(error);
            }
            let bytes = self.wire.here(left);
            let (count, taken) = (bytes.len(), arriving.take(bytes));
            self.wire.taken(count);
            left -= count as u64;
            if let Err(failure) = taken {
                self.small.undo(&place, arriving);
                return self.small_failed(head, left, failure).await;
            }
        }
        self.small.end(head.id, &place, arriving, path, &upload);
        self.commit_if_full().await
    }

    /// Bytes that nobody wants.
    async fn small_passed_over(&mut self, mut left: u64) -> Result<()> {
        while left > 0 {
            self.small_bytes_here().await?;
            let count = self.wire.here(left).len();
            self.wire.taken(count);
            left -= count as u64;
        }
        Ok(())
    }

    async fn small_failed(&mut self, head: &Head, left: u64, failure: Failure) -> Step {
        self.small_passed_over(left).await?;
        if self.place.is_none() {
            return self.answer::<()>(head, Err(failure)).await;
        }
        self.small.fail(head.id, failure);
        self.commit_if_full().await
    }

    /// Waits until some of a small file's bytes are here. Those before it are committed while there is nothing to read.
    async fn small_bytes_here(&mut self) -> Result<()> {
        let mut waited = Duration::ZERO;
        while self.wire.here(1).is_empty() {
            match self.next_small_bytes(&mut waited).await? {
                Event::Came(Waited::For(())) => {}
                Event::Came(Waited::Look) => self.let_go(),
                Event::Committed(answers) => self.answer_small(answers).await?,
            }
        }
        Ok(())
    }

    async fn next_small_bytes(&mut self, waited: &mut Duration) -> Result<Event<Waited<()>>> {
        let at_once = self.wire.more(false, waited).await?;
        if !self.wire.here(1).is_empty() {
            return Ok(Event::Came(at_once));
        }
        if let Some(place) = &self.place {
            self.small.start(place).await;
        }
        self.wire.flush().await?;
        let small = &mut self.small;
        first(self.wire.more(true, waited), small, self.place.as_deref()).await
    }

    async fn commit_if_full(&mut self) -> Step {
        if self.small.is_full()
            && let Some(place) = self.place.clone()
        {
            let answers = self.small.make_way(&place).await;
            self.answer_small(answers).await?;
        }
        Ok(ON)
    }
}

fn check_piece(live: &Live, data: &Data) -> Outcome<()> {
    let why = match () {
        _ if data.offset != live.offset() => {
            format!("the next byte is {}, not {}", live.offset(), data.offset)
        }
        _ if data.follows > live.left() => format!("only {} bytes have still to come", live.left()),
        _ if data.follows > MAX_PIECE => format!("a piece has {MAX_PIECE} bytes at the most"),
        _ => return Ok(()),
    };
    Err(Failure::new(Code::BadOffset, why))
}
