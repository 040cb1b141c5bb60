//! What a connection has reserved for its small files, and what its books have still to be told.

use crate::files::place::Place;
use crate::files::trouble::Outcome;
use sockeye_proto::files::Code;

/// What is reserved ahead when a second file comes: twice as much each time, from
const FIRST_AHEAD: u64 = 1 << 20;
/// to so much. It saves a commit of the books for each file.
const MOST_AHEAD: u64 = 8 << 20;

#[derive(Default)]
pub(super) struct Room {
    /// What is reserved and no file has taken yet.
    spare: u64,
    /// What the books haven't been told of batches: until then what was reserved for them counts.
    freed: u64,
    growth: i64,
    /// What was known when it was last asked for.
    known: Option<Known>,
}

#[derive(Clone, Copy)]
struct Known {
    /// How much more could be reserved; nothing where there is no limit.
    left: Option<u64>,
    /// How much to reserve next.
    ahead: u64,
}

impl Room {
    /// Room for one more file.
    pub(super) async fn take(&mut self, place: &Place, size: u64) -> Outcome<()> {
        if self.spare < size {
            self.reserve(place, size - self.spare).await?;
        }
        self.spare -= size;
        Ok(())
    }

    /// Reserves ahead when a second file comes and there is plenty of room; near the limit exactly what is needed.
    async fn reserve(&mut self, place: &Place, needed: u64) -> Outcome<()> {
        self.settle(place).await;
        let ahead = match self.known {
            None => 0,
            Some(Known { left, ahead }) => left.map_or(ahead, |left| ahead.min(left / 16)),
        };
        let wanted = ahead.max(needed);
        let (reserved, left) = match place.reserve(wanted).await {
            // Others have reserved since, and what is needed may be there all the same.
            Err(failure) if failure.code == Code::Quota && wanted > needed => {
                self.known = None;
                (needed, place.reserve(needed).await?)
            }
            outcome => (wanted, outcome?),
        };
        self.spare += reserved;
        self.known = Some(Known {
            left,
            ahead: match self.known {
                None => FIRST_AHEAD,
                Some(Known { ahead, .. }) => (2 * ahead).min(MOST_AHEAD),
            },
        });
        Ok(())
    }

    /// Whether there was no limit when it was last asked for.
    pub(super) fn is_boundless(&self) -> bool {
        self.known.is_some_and(|known| known.left.is_none())
    }

    /// What a file had taken is free for another.
    pub(super) fn put_back(&mut self, size: u64) {
        self.spare += size;
    }

    /// What came of a batch.
    pub(super) fn note(&mut self, freed: u64, growth: i64) {
        self.freed += freed;
        self.growth += growth;
    }

    /// Gives back what was reserved ahead: nothing more comes for now.
    pub(super) async fn give_back(&mut self, place: &Place) {
        self.known = None;
        self.freed += std::mem::take(&mut self.spare);
        self.settle(place).await;
    }

    /// Tells the books what came of the batches: once for many, since each time takes a while of the disk's.
    async fn settle(&mut self, place: &Place) {
        let (freed, growth) = (std::mem::take(&mut self.freed), std::mem::take(&mut self.growth));
        place.settle(freed, growth).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::place::tests::place;

    #[test]
    fn what_others_have_reserved_since_is_no_reason_to_refuse_what_fits() {
        const LIMIT: u64 = 6_400 << 10;
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, Some(LIMIT));
        let done = sockeye::block_on(async {
            let (mut ours, mut theirs) = (Room::default(), Room::default());
            ours.take(&place, 1000).await?;
            theirs.take(&place, LIMIT - 1000 - 3000).await?;
            for _ in 0..3 {
                ours.take(&place, 1000).await?;
            }
            let refused = ours.take(&place, 1).await.expect_err("it is full");
            assert_eq!(refused.code, Code::Quota);
            theirs.put_back(1);
            theirs.give_back(&place).await;
            ours.take(&place, 1).await
        });
        done.expect("a model").expect("there is room");
    }

    #[test]
    fn what_is_reserved_ahead_grows_with_what_comes_and_is_little() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, None);
        let done = sockeye::block_on(async {
            let (mut room, mut asked, mut before) = (Room::default(), 0, 0);
            for count in 1..=10_000 {
                room.take(&place, 4096).await?;
                let reserved = count * 4096 + room.spare;
                asked += u64::from(reserved != before);
                before = reserved;
                assert!(
                    room.spare <= MOST_AHEAD.min(2 * FIRST_AHEAD + count * 4096),
                    "{count}"
                );
            }
            room.give_back(&place).await;
            Ok::<_, sockeye_proto::files::Failure>(asked)
        });
        let asked = done.expect("a model").expect("there is no limit");
        assert!(asked <= 10, "{asked} commits of the books");
    }
}
