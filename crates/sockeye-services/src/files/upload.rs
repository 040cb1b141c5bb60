//! An upload that goes on over this connection.
//!
//! Bytes go into the part as they come. Each unit that is complete is forced to the disk in the background while the next one
//! comes, and then noted: from then on it need not be sent again. It is hashed as it comes, or, if it went past this program's
//! memory, read again, at once or in the background.

mod completion;

use super::pending::{Claim, Pending, Plan, durable_units, offset_after};
use super::place::Place;
use super::tree::{Quiet, write_at};
use super::trouble::{self, Outcome};
use super::units::{self, Passing};
use super::wire::{Waited, Wire};
use crate::background::{Begun, Party, begun, off_loop_for};
use completion::{completed, named};
use rustix::fs;
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Path, Receipt, Received, UNIT, UploadName};
use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::yield_now;

/// Units that may be under way to the disk while more is received: one may be hashed while another is forced.
const AHEAD: usize = 2;

/// How much is read again to be hashed before the other connections of this thread have their turn: a few milliseconds' work with its
/// receiving.
const TURN: u64 = 4 << 20;

/// What the background has to know; its claim ends with the last of it.
#[derive(Debug)]
struct Files {
    part: File,
    units: File,
    plan: Plan,
    claim: Claim,
    /// Whether a unit has failed. Held while one is forced and noted: the system tells an error once for each open file, so
    /// of two that are forced at once either may be told of the other's. After one error no unit is known to be there.
    failed: Mutex<bool>,
}

pub(super) struct Live {
    name: UploadName,
    party: Party,
    files: Arc<Files>,
    /// Where the next byte goes.
    offset: u64,
    passing: Passing,
    /// How much was read again in this turn.
    read: u64,
    /// Units that are on the disk.
    done: usize,
    /// Units that are on their way there, the oldest first.
    ahead: VecDeque<Begun<sockeye::Result<Result<(), Errno>>>>,
    failed: Option<Failure>,
}

/// What `upload` comes to.
pub(super) enum Beginning {
    Live(Live),
    Finished(Receipt),
}

/// What is known once the claim is there.
enum Planned {
    Plan(Plan),
    Finished(Receipt),
}

impl Live {
    /// Begins an upload or goes on with it.
    pub(super) async fn begin(
        place: &Place,
        name: UploadName,
        path: Path,
        wanted: Plan,
    ) -> Outcome<Beginning> {
        place.hold().await?;
        let claim = place.pending.claim(name).await?;
        let plan = match Self::planned(place, name, path, wanted).await {
            Ok(Planned::Plan(plan)) => plan,
            Ok(Planned::Finished(receipt)) => {
                place.pending.release(name, claim);
                return Ok(Beginning::Finished(receipt));
            }
            Err(failure) => {
                place.pending.release(name, claim);
                return Err(failure);
            }
        };
        let opened = place.work(move |place| open(place, name, plan, claim)).await?;
        Ok(Beginning::Live(Live::of(place, name, opened)))
    }

    /// What there is to go on with, by whoever has the claim.
    async fn planned(place: &Place, name: UploadName, path: Path, wanted: Plan) -> Outcome<Planned> {
        let known = place.work(move |place| known(place, name)).await?;
        Ok(Planned::Plan(match known {
            Some((plan, has_part)) => {
                if !is_same(&plan, &wanted) {
                    let why = "the source is not what it was when this upload began; begin a new one";
                    return Err(Failure::new(Code::Changed, why));
                }
                match (plan.committed, has_part) {
                    (Some((hash, time)), false) => {
                        if plan.sync {
                            let forced = move |place: &Place| place.force_name(&path).map_err(of_part);
                            place.work(forced).await?;
                        }
                        return Ok(Planned::Finished(receipt(&plan, hash, time)));
                    }
                    _ => plan,
                }
            }
            None => {
                if let Some(receipt) = Self::begin_anew(place, name, path, &wanted).await? {
                    return Ok(Planned::Finished(receipt));
                }
                wanted
            }
        }))
    }

    /// Reserves room and makes the files, unless the very file is there.
    async fn begin_anew(
        place: &Place,
        name: UploadName,
        path: Path,
        wanted: &Plan,
    ) -> Outcome<Option<Receipt>> {
        let (size, hash, clobber, sync) = (wanted.size, wanted.hash, wanted.clobber, wanted.sync);
        let already = place.work(move |place| {
            let already = hash.and_then(|hash| place.already(&path, size, hash, sync));
            if already.is_none() {
                place.check_free(&path, clobber)?;
            }
            Ok(already)
        });
        if let Some(receipt) = already.await? {
            return Ok(Some(receipt));
        }
        place.reserve(size).await?;
        let begun = async {
            let (plan, quiet) = (wanted.clone(), place.quiet().await?);
            place
                .work_first(move |place| make(place, name, &plan, quiet))
                .await
        };
        if let Err(failure) = begun.await {
            place.settle(size, 0).await;
            return Err(failure);
        }
        Ok(None)
    }

    /// An upload that nobody has begun on this connection, to be forgotten.
    pub(super) async fn found(place: &Place, name: UploadName) -> Outcome<Self> {
        let missing = || Failure::new(Code::NotFound, "there is no such upload");
        let look = move |place: &Place| match known(place, name)? {
            Some((plan, true)) => Ok(plan),
            _ => Err(missing()),
        };
        place.work(look).await?; // before there is a lock for it
        place.hold().await?;
        let claim = place.pending.claim(name).await?;
        let plan = match place.work(look).await {
            Ok(plan) => plan,
            Err(failure) => {
                place.pending.release(name, claim);
                return Err(failure);
            }
        };
        let opened = place.work(move |place| open(place, name, plan, claim)).await?;
        Ok(Live::of(place, name, opened))
    }

    fn of(place: &Place, name: UploadName, (files, done): (Files, usize)) -> Self {
        Live {
            name,
            party: place.party.clone(),
            offset: offset_after(done, files.plan.size),
            passing: Passing::new(files.plan.size),
            read: 0,
            files: Arc::new(files),
            done,
            ahead: VecDeque::new(),
            failed: None,
        }
    }

    pub(super) fn name(&self) -> UploadName {
        self.name
    }

    /// Whether no other connection has come for it.
    pub(super) fn is_ours(&self) -> bool {
        self.files.claim.is_ours()
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn left(&self) -> u64 {
        self.files.plan.size - self.offset
    }

    pub(super) fn progress(&self) -> Received {
        Received {
            offset: self.offset,
            durable: offset_after(self.done, self.files.plan.size),
        }
    }

    /// Takes some of the next bytes from the connection, `most` at the most.
    pub(super) async fn take(
        &mut self,
        wire: &mut Wire<'_>,
        most: u64,
        waited: &mut Duration,
    ) -> sockeye::Result<Waited<Outcome<u64>>> {
        let room = (UNIT - self.offset % UNIT).min(self.left()).min(most);
        let (at, passing) = (self.offset, &mut self.passing);
        let came = wire
            .bytes_into((&self.files.part, at), room, waited, |bytes| {
                passing.update(at, bytes);
            })
            .await?;
        let Waited::For(Ok(count)) = came else {
            return Ok(came);
        };
        if units::hashes_itself(wire.conn.peer()) {
            self.read += self.passing.written(&self.files.part, at, count);
            if self.read >= TURN {
                self.read = 0;
                yield_now().await;
            }
        }
        self.offset += count;
        let pushed = match self.offset.is_multiple_of(UNIT) || self.left() == 0 {
            true => self.push().await,
            false => Ok(()),
        };
        // Bytes that came are no longer due, even if the disk won't have them.
        if let Err(failure) = pushed {
            self.failed = Some(failure);
        }
        Ok(Waited::For(Ok(count)))
    }

    /// Why the upload can't go on over this connection, if it can't.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        self.failed.take()
    }

    /// Has the unit that is complete forced to the disk.
    async fn push(&mut self) -> Outcome<()> {
        while self.ahead.len() >= AHEAD {
            self.pull().await?;
        }
        let (files, party) = (self.files.clone(), self.party.clone());
        let number = (self.offset - 1) / UNIT;
        let passed = self.passing.finish(self.offset);
        let work = async move { off_loop_for(&party, move || keep_unit(&files, number, passed)).await };
        let work = begun(work).await;
        self.ahead.push_back(work);
        Ok(())
    }

    /// Waits for the oldest unit.
    async fn pull(&mut self) -> Outcome<()> {
        match self.ahead.pop_front() {
            Some(work) => {
                let done = work.await;
                self.note(done)
            }
            None => Ok(()),
        }
    }

    fn note(&mut self, done: sockeye::Result<Result<(), Errno>>) -> Outcome<()> {
        done.map_err(trouble::busy)?.map_err(of_part)?;
        self.done += 1;
        Ok(())
    }

    /// Waits until all that came is on the disk.
    async fn drain(&mut self) -> Outcome<()> {
        while !self.ahead.is_empty() {
            self.pull().await?;
        }
        Ok(())
    }

    /// Whether a commit that declares this hash can be tried; one that is refused here ends nothing.
    pub(super) fn check_commit(&self, declared: Option<Hash>) -> Outcome<()> {
        let left = self.left();
        if left > 0 {
            let why = format!("{left} bytes have still to come");
            return Err(Failure::new(Code::BadOffset, why));
        }
        match declared.or(self.files.plan.hash) {
            Some(_) => Ok(()),
            None => {
                let why = "`hash` must be in `upload` or in `commit`";
                Err(Failure::new(Code::BadRequest, why))
            }
        }
    }

    /// Compares the hash, and gives the file its name.
    pub(super) async fn commit(mut self, place: &Place, hash: Option<Hash>) -> Outcome<Receipt> {
        self.drain().await?;
        place.hold().await?;
        let (name, files) = (self.name, self.files.clone());
        let (size, sync) = (files.plan.size, files.plan.sync);
        let completed = place.work(move |place| Ok(completed(place, name, &files, hash)));
        let (completed, freed) = completed.await?;
        place.settle(if freed { size } else { 0 }, 0).await;
        let complete = completed?;
        let naming = place.naming().await?;
        let (outcome, freed, growth) = place
            .work_first(move |place| Ok(named(place, name, complete, sync, naming)))
            .await?;
        place.settle(if freed { size } else { 0 }, growth).await;
        outcome
    }

    /// Forgets it all.
    pub(super) async fn abandon(mut self, place: &Place) -> Outcome<()> {
        let _ = self.drain().await; // whatever came of it
        place.hold().await?;
        let name = self.name;
        let discarded = place.work(move |place| discard(&place.pending, name)).await;
        if discarded.is_ok() {
            place.settle(self.files.plan.size, 0).await;
        }
        discarded
    }
}

fn of_part(error: Errno) -> Failure {
    trouble::of("write the upload", error)
}

fn discard(pending: &Pending, name: UploadName) -> Outcome<()> {
    pending
        .discard(name)
        .map_err(|error| trouble::of("discard the upload", error))
}

fn receipt(plan: &Plan, hash: Hash, time: sockeye_proto::files::Mtime) -> Receipt {
    Receipt {
        path: plan.path.clone(),
        size: plan.size,
        hash,
        mtime: plan.mtime,
        time,
        durable: plan.sync,
    }
}

/// What the disk has of an upload; what makes no sense is nothing.
fn known(place: &Place, name: UploadName) -> Outcome<Option<(Plan, bool)>> {
    let failed = |error| trouble::of("look for the upload", error);
    let Some(plan) = place.pending.plan(name).map_err(failed)? else {
        return Ok(None);
    };
    let has_part = place.pending.has_part(name).map_err(failed)?;
    if !has_part && plan.committed.is_none() {
        return Ok(None); // it is written over, or goes as a receipt does; its lock is ours just now
    }
    Ok(Some((plan, has_part)))
}

fn is_same(known: &Plan, wanted: &Plan) -> bool {
    let hash = known.hash.or(known.committed.map(|(hash, _)| hash));
    let hashes_agree = match (hash, wanted.hash) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let shape = |plan: &Plan| (plan.path.clone(), plan.size, plan.mtime);
    hashes_agree && shape(known) == shape(wanted)
}

/// Makes the files of a new upload, if it isn't one too many: nobody else makes one meanwhile.
fn make(place: &Place, name: UploadName, plan: &Plan, quiet: Quiet) -> Outcome<()> {
    let pending = &place.pending;
    if !pending
        .has_room()
        .map_err(|error| trouble::of("count uploads", error))?
    {
        let why = "you have 1,000 unfinished uploads; finish or abandon some";
        return Err(Failure::new(Code::Busy, why));
    }
    let made = pending.begin(name);
    drop(quiet);
    made.and_then(|()| pending.keep(name, plan)).map_err(|error| {
        let _ = pending.discard(name); // it has failed already
        trouble::of("begin the upload", error)
    })
}

/// Opens what the disk has of an upload; says how many of its units are there.
fn open(place: &Place, name: UploadName, plan: Plan, claim: Claim) -> Outcome<(Files, usize)> {
    let failed = |error| trouble::of("open the upload", error);
    let (part, units) = place.pending.files(name).map_err(failed)?;
    let done = durable_units(&units, plan.size).map_err(failed)?.len();
    place.pending.touch(name).map_err(failed)?;
    let files = Files {
        part,
        units,
        plan,
        claim,
        failed: Mutex::new(false),
    };
    Ok((files, done))
}

/// Forces a unit that is written to the disk, and notes that; one that isn't hashed is hashed before.
fn keep_unit(files: &Files, number: u64, passed: Option<units::Value>) -> Result<(), Errno> {
    let value = units::of_written(&files.part, number, files.plan.size, passed);
    let value = value.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let value = value.ok_or(Errno::IO)?; // somebody has cut it
    let mut failed = files.failed.lock().map_err(|_| Errno::IO)?;
    if *failed {
        return Err(Errno::IO);
    }
    let noted = note_unit(files, number, &value);
    *failed = noted.is_err();
    noted
}

/// Forces what was written to the disk, and says there that this unit is.
fn note_unit(files: &Files, number: u64, value: &units::Value) -> Result<(), Errno> {
    let sync = files.plan.sync;
    if sync {
        fs::fdatasync(&files.part)?;
    }
    write_at(&files.units, value, number * 32)?;
    match sync {
        true => fs::fdatasync(&files.units),
        false => Ok(()),
    }
}
