//! A file on its way to the client.

use super::place::Place;
use super::record;
use super::tree::mtime_of;
use super::trouble::{self, Outcome};
use super::wire::Wire;
use sockeye::{Class, Error, Result};
use sockeye_proto::files::{Code, Condition, Download, Downloaded, Failure, Mtime};
use std::fs::File;

/// Answers with the bytes behind the answer.
pub(super) async fn send(
    place: &Place,
    wire: &mut Wire<'_>,
    id: Option<u64>,
    wanted: Download,
) -> Result<()> {
    let found = place.work(move |place| find(place, &wanted)).await;
    let (file, answer) = match found {
        Ok(found) => found,
        Err(failure) => return wire.answer::<()>(id, Err(failure)).await,
    };
    let Downloaded { offset, follows, .. } = answer;
    wire.answer(id, Ok(answer)).await?;
    wire.flush().await?;
    let sent = wire.conn.send_file(&file, offset, follows).await?;
    match sent == follows {
        true => Ok(()),
        false => {
            let why =
                format!("the file was cut while it was sent: {sent} of {follows} bytes were left of it");
            Err(Error::new("send file", Class::General, why).at(wire.conn.peer()))
        }
    }
}

fn find(place: &Place, wanted: &Download) -> Outcome<(File, Downloaded)> {
    let path = trouble::path_below(&wanted.path)?;
    let (file, stat) = place
        .root
        .file(&path)
        .map_err(|error| trouble::at(&path, error))?;
    let size = stat.st_size as u64;
    let answer = Downloaded {
        path: path.to_string(),
        size,
        mtime: Mtime(mtime_of(&stat)),
        hash: record::of(&file),
        offset: wanted.offset,
        follows: size
            .saturating_sub(wanted.offset)
            .min(wanted.length.unwrap_or(u64::MAX)),
    };
    if wanted
        .condition
        .as_ref()
        .is_some_and(|known| !holds(known, &answer))
    {
        return Err(Failure::new(
            Code::Changed,
            format!("`{path}` is another file now"),
        ));
    }
    if wanted.offset > size {
        return Err(Failure::new(
            Code::BadOffset,
            format!("`{path}` has {size} bytes only"),
        ));
    }
    Ok((file, answer))
}

/// Whether the file is still what the client knows of it.
fn holds(known: &Condition, now: &Downloaded) -> bool {
    known.size.is_none_or(|size| size == now.size)
        && known.mtime.is_none_or(|mtime| mtime == now.mtime)
        && known.hash.is_none_or(|hash| Some(hash) == now.hash)
}
