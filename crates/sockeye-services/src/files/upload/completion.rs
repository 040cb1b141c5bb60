//! An upload of which all has come: its hash is proved, and it gets its name.

use super::{Files, discard, of_part};
use crate::files::pending::{Pending, Plan, durable_units, offset_after};
use crate::files::place::{Complete, Naming, Place, Temporary, now};
use crate::files::trouble::{self, Outcome};
use crate::files::{record, units};
use rustix::fs;
use sockeye_proto::files::{Code, Failure, Hash, Receipt, UploadName};

/// An upload without its name, and whether its reservation ended instead.
pub(super) fn completed(
    place: &Place,
    name: UploadName,
    files: &Files,
    hash: Option<Hash>,
) -> (Outcome<Complete>, bool) {
    let completed = complete(place, name, files, hash);
    let over = completed
        .as_ref()
        .is_err_and(|failure| failure.code == Code::Mismatch);
    if over && let Err(failure) = discard(&place.pending, name) {
        return (Err(failure), false);
    }
    (completed, over)
}

/// The end of an upload: its outcome, whether its reservation ended, and how much more is kept.
pub(super) fn named(
    place: &Place,
    name: UploadName,
    complete: Complete,
    sync: bool,
    naming: Naming,
) -> (Outcome<Receipt>, bool, i64) {
    let (receipts, growth) = place.publish(&[complete], sync, naming);
    let receipt = receipts.into_iter().next();
    let receipt = receipt.unwrap_or_else(|| Err(Failure::new(Code::Io, "nothing came of it")));
    let named = matches!(place.pending.has_part(name), Ok(false));
    if named {
        place.pending.tidy(name);
    }
    (receipt, named, growth)
}

/// Proves the hash and makes the part what the file is to be, but for its name.
fn complete(place: &Place, name: UploadName, files: &Files, declared: Option<Hash>) -> Outcome<Complete> {
    let plan = &files.plan;
    let values = durable_units(&files.units, plan.size).map_err(of_part)?;
    if values.len() as u64 != units::count(plan.size) {
        let why = format!(
            "only {} of {} bytes have come",
            offset_after(values.len(), plan.size),
            plan.size
        );
        return Err(Failure::new(Code::BadOffset, why));
    }
    let hash = units::whole(&values);
    let mut wanted = [declared, plan.hash].into_iter().flatten();
    if let Some(other) = wanted.find(|wanted| *wanted != hash) {
        let why = format!("what came has the hash {hash}, and {other} was declared; the upload is discarded");
        return Err(Failure::new(Code::Mismatch, why));
    }
    let path = trouble::path_below(&plan.path)?;
    record::write(&files.part, plan.mtime, &hash).map_err(of_part)?;
    if plan.sync {
        fs::fsync(&files.part).map_err(of_part)?;
    }
    let committed = Plan {
        committed: Some((hash, now())),
        ..plan.clone()
    };
    place.pending.keep(name, &committed).map_err(of_part)?;
    Ok(Complete {
        path,
        temporary: Temporary::Called(Pending::part_name(name)),
        size: plan.size,
        mtime: plan.mtime,
        hash,
        clobber: plan.clobber,
    })
}
