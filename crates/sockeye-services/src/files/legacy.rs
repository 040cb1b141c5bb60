//! The old client: two frames, the bytes, and nothing read.

use super::login::in_time;
use super::place::{Complete, Owner, Place, Temporary};
use super::trouble::{self, Outcome};
use super::wire::{Next, Waited, Wire};
use super::{Anonymous, Files, record, tree};
use crate::background::Party;
use rustix::fs;
use sockeye::{Class, Error, Result};
use sockeye_proto::files::{Failure, Hash, LegacyFile, MAX_INTEGER, Path};
use sockeye_proto::frames;
use std::fs::File;
use std::time::Duration;

/// What must come of a file in the time that a login may take, and what is reserved for it: no more than is about to come. That
/// is 17 KiB a second: a telephone's line is not given up, and who trickles holds neither a connection nor much room.
const STRETCH: u64 = 1 << 20;

/// Takes an upload into `anonymous/USER/FILENAME`. What is refused is read all the same, to its end or to that of the time
/// for a login: nobody knows who it is that sends.
pub(super) async fn upload(
    files: &Files,
    anonymous: &Anonymous,
    wire: &mut Wire<'_>,
    user: &str,
) -> Result<()> {
    let Some(wanted) = in_time(files.patience, second_frame(wire)).await?? else {
        return Ok(());
    };
    let refused = |failure: Failure| {
        tracing::info!(user = user.escape_debug().to_string(), %failure, "an old client's upload is refused");
        Error::new("upload", Class::General, failure)
    };
    let size = wanted.filesize;
    let party = Owner::Anonymous.party(wire.conn.peer());
    let begun = begin(files, anonymous, party, user, &wanted.filename).await;
    let (place, path) = match begun {
        Ok(begun) => begun,
        Err(failure) => {
            let refusal = refused(failure); // logged before a wait that may fail
            in_time(files.patience, wire.drop_bytes(size)).await??;
            return Err(refusal);
        }
    };
    let temporary = format!("old-{:x}", place.tag);
    let mut reserved = 0;
    let received = receive(&place, wire, &temporary, (size, &mut reserved), files.patience).await;
    let published = match received {
        Ok(Ok((file, hash))) => {
            let complete = Complete {
                path,
                temporary: Temporary::Called(temporary.clone()),
                size,
                mtime: super::place::now(),
                hash,
                clobber: true,
            };
            publish(&place, complete, file).await
        }
        Ok(Err(failure)) => Err(failure),
        Err(error) => {
            place.pending.unlink(&temporary);
            place.settle(reserved, 0).await;
            place.rest();
            return Err(error);
        }
    };
    place.pending.unlink(&temporary); // there is none when all went well
    let (outcome, growth) = published.unwrap_or_else(|failure| (Err(failure), 0));
    place.settle(reserved, growth).await;
    place.rest();
    outcome.map_err(refused)
}

async fn second_frame(wire: &mut Wire<'_>) -> Result<Option<LegacyFile>> {
    let mut waited = Duration::ZERO;
    let bad = |why: String| Err(Error::new("upload", Class::General, why));
    match wire.frame(true, &mut waited).await? {
        Waited::For(Ok(Next::Frame(frame))) => match frames::decode::<LegacyFile>(&frame) {
            Ok(wanted) if wanted.filesize <= MAX_INTEGER => Ok(Some(wanted)),
            Ok(_) => bad("no file has such a size".to_owned()),
            Err(error) => bad(error.to_string()),
        },
        Waited::For(Err(error)) => bad(error.to_string()),
        Waited::For(Ok(_)) | Waited::Look => Ok(None),
    }
}

async fn begin(
    files: &Files,
    anonymous: &Anonymous,
    party: Party,
    user: &str,
    name: &str,
) -> Outcome<(Place, Path)> {
    let folder = Path::name(user).map_err(|why| trouble::bad_name(user, why))?;
    let path = folder.join(name).map_err(|why| trouble::bad_name(name, why))?;
    let place = Place::of(&Owner::Anonymous, party, &files.books()?, anonymous.quota).await?;
    place.hold().await?; // who counts removes what nobody knows, and that is what its temporary file will be
    Ok((place, path))
}

/// The file, complete, and its hash; or why it can't be kept, when all was read. Each stretch of it must come in time, and has
/// its room reserved before; what is reserved is told even if it fails.
async fn receive(
    place: &Place,
    wire: &mut Wire<'_>,
    temporary: &str,
    (size, reserved): (u64, &mut u64),
    patience: Duration,
) -> Result<Outcome<(File, Hash)>> {
    let mut file = place.pending.temporary(temporary).map_err(of_file);
    let mut hasher = blake3::Hasher::new();
    let (mut at, mut waited) = (0, Duration::ZERO);
    while at < size {
        let end = (at + STRETCH).min(size);
        if file.is_ok() {
            match place.reserve(end - at).await {
                Ok(_) => *reserved += end - at,
                Err(failure) => file = Err(failure),
            }
        }
        if file.is_err() {
            // Others need not wait for the rest to have this room.
            place.settle(std::mem::take(reserved), 0).await;
            place.pending.unlink(temporary);
        }
        let stretch = async {
            while at < end {
                let Waited::For(chunk) = wire.bytes(end - at, &mut waited).await? else {
                    continue;
                };
                if let Ok(open) = &file {
                    hasher.update(&chunk);
                    if let Err(error) = tree::write_at(open, &chunk, at) {
                        file = Err(of_file(error));
                    }
                }
                at += chunk.len() as u64;
            }
            Ok::<_, Error>(())
        };
        in_time(patience, stretch).await??;
    }
    Ok(file.map(|file| (file, Hash(*hasher.finalize().as_bytes()))))
}

fn of_file(error: rustix::io::Errno) -> Failure {
    trouble::of("write the file", error)
}

/// Forces the file to the disk and gives it its name; says how much more is kept, too.
async fn publish(place: &Place, complete: Complete, file: File) -> Outcome<(Outcome<()>, i64)> {
    let (mtime, hash) = (complete.mtime, complete.hash);
    let forced = place.work(move |_| {
        let forced = record::write(&file, mtime, &hash).and_then(|()| fs::fsync(&file));
        forced.map_err(of_file)
    });
    forced.await?;
    let naming = place.naming().await?;
    let named = move |place: &Place| {
        let (outcomes, growth) = place.publish(&[complete], true, naming);
        Ok((
            outcomes.into_iter().try_for_each(|outcome| outcome.map(drop)),
            growth,
        ))
    };
    place.work_first(named).await
}
