//! What lies in the folder while nobody is at work on it: how much of it there may be, and when it goes.

use super::{Claim, HOLDS, Pending, Plan, file_name};
use crate::files::tree::{Amount, delete_all};
use rustix::fs::{self, AtFlags, Dir, OFlags};
use rustix::io::{Errno, Result};
use sockeye_proto::files::UploadName;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

/// Unfinished uploads of one user: enough for every file of a folder at once, few enough to look through.
const MOST: usize = 1000;
/// Receipts of one user: few enough to look through. Beyond that the oldest go before their day is over.
const MOST_RECEIPTS: usize = 10_000;
/// Receipts that go at once when there are too many, so that not each upload has to find the oldest one.
const RECEIPTS_AT_ONCE: usize = 1000;
/// How long an upload may lie untouched.
const UPLOADS_LAST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a receipt can be had once more.
const RECEIPTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

impl Pending {
    /// Whether one more upload may begin. Receipts don't count: they only make way for newer ones.
    pub(in crate::files) fn has_room(&self) -> Result<bool> {
        let names = self.names()?;
        let of = |ending: &str| -> HashSet<UploadName> {
            let stems = names.iter().filter_map(|name| name.strip_suffix(ending));
            stems.filter_map(|stem| stem.parse().ok()).collect()
        };
        let unfinished = of(".part");
        let receipts: Vec<UploadName> = of(".json").difference(&unfinished).copied().collect();
        if receipts.len() >= MOST_RECEIPTS {
            self.drop_oldest(receipts, RECEIPTS_AT_ONCE)?;
        }
        Ok(unfinished.len() < MOST)
    }

    /// Forgets so many of these receipts, the oldest.
    fn drop_oldest(&self, receipts: Vec<UploadName>, count: usize) -> Result<()> {
        let now = SystemTime::now();
        let mut aged = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            if let Some(untouched) = self.untouched(receipt, now)? {
                aged.push((untouched, receipt));
            }
        }
        aged.sort_by_key(|(untouched, _)| std::cmp::Reverse(*untouched));
        for (_, receipt) in aged.into_iter().take(count) {
            // Since it was listed it may have gone, and its name may be that of a new upload.
            if let Some(_claim) = self.idle(receipt)?
                && !self.has_part(receipt)?
            {
                self.discard(receipt)?;
            }
        }
        Ok(())
    }

    /// The right to an upload that nobody is at work on.
    fn idle(&self, name: UploadName) -> Result<Option<Claim>> {
        let lock = self.open(&file_name(name, "lock"), OFlags::RDWR | OFlags::CREATE)?;
        let claim = Claim { lock, mark: [0; 16] };
        Ok((claim.try_lock()? && !claim.is_gone()?).then_some(claim))
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for found in Dir::read_from(&self.0)? {
            if let Ok(name) = found?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// What all unfinished uploads have reserved, and the end of everything else that a killed service has left here.
    /// Nobody may be at work in this folder.
    pub(in crate::files) fn recover(&self) -> Result<u64> {
        let mut reserved = 0;
        let names = self.names()?;
        for name in &names {
            let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
            let Ok(upload) = stem.parse::<UploadName>() else {
                // It counts in no quota, and what can't be deleted now is tried again at the next start.
                if !matches!(name.as_str(), "." | ".." | HOLDS)
                    && let Err(error) = delete_all(&self.0, name, &mut Amount::default())
                {
                    tracing::warn!(name, %error, "what a request has left can't be deleted");
                }
                continue;
            };
            match (self.plan(upload)?.filter(Plan::holds), ending) {
                (None, _) => self.discard(upload)?,
                (Some(plan), "json") if self.has_part(upload)? => reserved += plan.size, // a thousand times 2^53 at the most
                (Some(_), "units" | "lock" | "new") if !self.has_part(upload)? => self.unlink(name),
                (Some(_), _) => {}
            }
        }
        Ok(reserved)
    }

    /// Forgets what nobody has touched for too long; says how many bytes of reservations ended.
    pub(in crate::files) fn sweep(&self, now: SystemTime) -> Result<u64> {
        let mut freed = 0;
        for name in self.names()? {
            let (stem, ending) = name.split_once('.').unwrap_or((&name, ""));
            let Ok(upload) = stem.parse() else {
                continue;
            };
            match ending {
                "json" => {}
                "lock" => {
                    self.drop_lock(upload)?;
                    continue;
                }
                _ => continue,
            }
            if self.is_expired(upload, now)? {
                freed += self.expire(upload, now)?;
            }
        }
        Ok(freed)
    }

    fn is_expired(&self, name: UploadName, now: SystemTime) -> Result<bool> {
        let lasts = match self.has_part(name)? {
            true => UPLOADS_LAST,
            false => RECEIPTS_LAST,
        };
        Ok(self
            .untouched(name, now)?
            .is_some_and(|untouched| untouched >= lasts))
    }

    /// Forgets an upload that looked as if nobody wanted it, unless somebody has been at work since; says how much of a
    /// reservation ended.
    fn expire(&self, name: UploadName, now: SystemTime) -> Result<u64> {
        let Some(_claim) = self.idle(name)? else {
            return Ok(0);
        };
        if !self.is_expired(name, now)? {
            return Ok(0);
        }
        let reserved = match self.has_part(name)? {
            true => self.plan(name)?.map_or(0, |plan| plan.size),
            false => 0,
        };
        self.discard(name)?;
        Ok(reserved)
    }

    /// Forgets the lock of an upload that isn't there: somebody was killed who waited for it.
    fn drop_lock(&self, name: UploadName) -> Result<()> {
        if !self.has_part(name)?
            && let Some(claim) = self.idle(name)?
            && !self.has_part(name)?
        {
            self.release(name, claim);
        }
        Ok(())
    }

    /// How long ago anything of an upload was written; nothing if it is gone.
    fn untouched(&self, name: UploadName, now: SystemTime) -> Result<Option<Duration>> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut last = None;
        for ending in ["json", "part"] {
            match fs::statat(&self.0, file_name(name, ending), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => last = last.max(Some(Duration::from_secs(stat.st_mtime.max(0) as u64))),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last.map(|last| now.saturating_sub(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::this_boot;
    use super::*;
    use sockeye_proto::files::{Hash, Mtime};
    use std::fs::File;

    fn pending(folder: &tempfile::TempDir) -> Pending {
        Pending::of(File::open(folder.path()).expect("a folder").into())
    }

    fn plan(size: u64) -> Plan {
        Plan {
            path: "file".to_owned(),
            size,
            mtime: Mtime(0),
            hash: None,
            clobber: false,
            sync: false,
            committed: None,
            boot: this_boot().map(str::to_owned),
        }
    }

    fn begin(pending: &Pending, name: UploadName, plan: &Plan) -> Result<()> {
        pending.begin(name).and_then(|()| pending.keep(name, plan))
    }

    #[test]
    fn what_nobody_touches_expires_and_what_somebody_has_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let [old, claimed, done] = [1, 2, 3].map(|number| UploadName([number; 16]));
        begin(&pending, old, &plan(10)).expect("files");
        begin(&pending, claimed, &plan(20)).expect("files");
        let committed = Some((Hash([0; 32]), Mtime(0)));
        pending
            .keep(
                done,
                &Plan {
                    committed,
                    ..plan(40)
                },
            )
            .expect("a plan");
        let claim = sockeye::block_on(pending.claim(claimed))
            .expect("a model")
            .expect("nobody has it");
        let now = SystemTime::now();
        assert_eq!(pending.sweep(now).expect("a folder"), 0);
        assert_eq!(pending.sweep(now + RECEIPTS_LAST * 2).expect("a folder"), 0);
        assert!(
            pending.plan(done).expect("a folder").is_none(),
            "receipts last a day"
        );
        assert!(pending.plan(old).expect("a folder").is_some());
        assert_eq!(pending.sweep(now + UPLOADS_LAST * 2).expect("a folder"), 10);
        assert!(pending.plan(old).expect("a folder").is_none());
        assert!(pending.plan(claimed).expect("a folder").is_some());
        drop(claim);
        assert_eq!(pending.sweep(now + UPLOADS_LAST * 2).expect("a folder"), 20);
    }

    #[test]
    fn what_was_committed_since_it_was_looked_at_is_neither_discarded_nor_freed() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let name = UploadName([1; 16]);
        begin(&pending, name, &plan(10)).expect("files");
        let later = SystemTime::now() + RECEIPTS_LAST * 2;
        let much_later = SystemTime::now() + UPLOADS_LAST * 2;
        assert!(pending.is_expired(name, much_later).expect("a folder"));
        // Somebody goes on with it, and another looks at what is there then.
        assert_eq!(pending.expire(name, later).expect("a folder"), 0);
        assert!(pending.plan(name).expect("a folder").is_some());
        pending.unlink(&file_name(name, "part")); // it has its name
        assert_eq!(pending.expire(name, much_later).expect("a folder"), 0);
        assert!(
            pending.plan(name).expect("a folder").is_none(),
            "the receipt expired"
        );
    }

    #[test]
    fn what_was_not_forced_to_the_disk_is_forgotten_after_another_start_of_the_system() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let before = Some("before".to_owned());
        let plans = [
            (plan(1), true),
            (
                Plan {
                    boot: before.clone(),
                    ..plan(2)
                },
                false,
            ),
            (
                Plan {
                    boot: None,
                    ..plan(4)
                },
                false,
            ),
            (
                Plan {
                    boot: before,
                    sync: true,
                    ..plan(8)
                },
                true,
            ),
        ];
        let name = |number: usize| UploadName([number as u8; 16]);
        for (number, (plan, _)) in plans.iter().enumerate() {
            begin(&pending, name(number), plan).expect("files");
        }
        assert_eq!(pending.recover().expect("a folder"), 1 + 8);
        for (number, (_, kept)) in plans.iter().enumerate() {
            let (plan, part) = (pending.plan(name(number)), pending.has_part(name(number)));
            assert_eq!(
                (plan.expect("a folder").is_some(), part),
                (*kept, Ok(*kept)),
                "{number}"
            );
        }
    }

    #[test]
    fn locks_of_nothing_go_and_those_that_somebody_has_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let [begun, waited, held] = [1, 2, 3].map(|number| UploadName([number; 16]));
        let claim = |name| {
            sockeye::block_on(pending.claim(name))
                .expect("a model")
                .expect("a claim")
        };
        begin(&pending, begun, &plan(1)).expect("files");
        drop((claim(begun), claim(waited)));
        let _held = claim(held);
        pending.sweep(SystemTime::now()).expect("a folder");
        let there = [begun, waited, held].map(|name| folder.path().join(file_name(name, "lock")).exists());
        assert_eq!(there, [true, false, true]);
    }

    #[test]
    fn only_unfinished_uploads_take_up_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let names: Vec<_> = (0..MOST as u128)
            .map(|number| UploadName(number.to_be_bytes()))
            .collect();
        let committed = Plan {
            committed: Some((Hash([0; 32]), Mtime(0))),
            ..plan(1)
        };
        for name in &names {
            pending.keep(*name, &committed).expect("a receipt");
        }
        assert!(pending.has_room().expect("a folder"), "receipts are no uploads");
        for name in &names {
            pending.temporary(&file_name(*name, "part")).expect("a part");
        }
        assert!(!pending.has_room().expect("a folder"));
    }

    #[test]
    fn the_oldest_receipts_make_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let names = [1, 2, 3, 4].map(|number| UploadName([number; 16]));
        for (age, name) in names.iter().enumerate() {
            begin(&pending, *name, &plan(1)).expect("files");
            let then = SystemTime::now() - Duration::from_secs(100 * age as u64);
            for ending in ["json", "part"] {
                let file = File::open(folder.path().join(file_name(*name, ending))).expect("a file");
                file.set_modified(then).expect("a time");
            }
        }
        // All but the oldest, which is an upload since it was listed.
        for name in &names[..3] {
            pending.unlink(&file_name(*name, "part"));
        }
        pending.drop_oldest(names.to_vec(), 2).expect("a folder");
        let kept = names.map(|name| pending.plan(name).expect("a folder").is_some());
        assert_eq!(kept, [true, true, false, true]);
    }

    #[test]
    fn only_what_a_plan_knows_of_survives_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let name = UploadName([1; 16]);
        begin(&pending, name, &plan(10)).expect("files");
        for left in ["small-1-1", &file_name(UploadName([2; 16]), "part"), "0.new"] {
            pending.temporary(left).expect("a file");
        }
        std::fs::create_dir_all(folder.path().join("trash-1-1/deep")).expect("folders");
        assert_eq!(pending.recover().expect("a folder"), 10);
        let mut names = pending.names().expect("a folder");
        names.sort();
        let kept = ["json", "part", "units"].map(|ending| file_name(name, ending));
        assert_eq!(names[2..], kept);
    }
}
