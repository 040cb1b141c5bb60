//! How long it rests after what others have done to it.

use std::time::Duration;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(10);
/// The longest one. Who has been announced for longer than that has had no setbacks.
const LONGEST: Duration = Duration::from_secs(600);
/// So often it takes another name for its host at once. Each has six digits by chance: twice is no chance.
const HOSTS: u32 = 2;

/// What others have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// They say more than can be heard.
    Flood,
    /// They say that the host's name is theirs.
    Host,
    /// Nothing gets announced.
    Silence,
}

/// Those in a row.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    hosts: u32,
    pauses: u32,
}

impl Setbacks {
    /// How long to rest after one, if at all, when it went well for so long.
    pub(super) fn pause(&mut self, cause: Cause, lasted: Duration) -> Option<Duration> {
        if lasted > LONGEST {
            *self = Self::default();
        }
        if cause == Cause::Host {
            self.hosts = self.hosts.saturating_add(1);
            if self.hosts <= HOSTS {
                return None;
            }
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.pauses));
        self.pauses = self.pauses.saturating_add(1);
        Some(pause.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_until_it_went_well() {
        let mut setbacks = Setbacks::default();
        let mut pause = |cause, lasted| {
            setbacks
                .pause(cause, Duration::from_secs(lasted))
                .map(|pause| pause.as_secs())
        };
        let hosts = [(); 4].map(|()| pause(Cause::Host, 1));
        assert_eq!(hosts, [None, None, Some(10), Some(20)]);
        let floods = [(); 6].map(|()| pause(Cause::Flood, 1));
        assert_eq!(floods, [40, 80, 160, 320, 600, 600].map(Some));
        for _ in 0..100 {
            assert_eq!(pause(Cause::Flood, 600), Some(600));
        }
        assert_eq!(pause(Cause::Flood, 601), Some(10));
        assert_eq!(pause(Cause::Host, 601), None);
    }
}
