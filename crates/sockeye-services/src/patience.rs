//! Waiting for somebody who will let go soon, and who can't say when.

use sockeye::Result;
use std::time::Duration;

/// How long something is tried again and again, and how often.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration, pause: Duration) -> Self {
        Patience { left: limit, pause }
    }

    /// Waits for the next try; false when there is to be none.
    ///
    /// # Errors
    /// Where there is nobody to wait with: see [`sockeye::time::sleep`].
    pub(crate) async fn again(&mut self) -> Result<bool> {
        if self.left.is_zero() {
            return Ok(false);
        }
        self.left = self.left.saturating_sub(self.pause);
        sockeye::time::sleep(self.pause).await.map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_to_an_end() {
        let tick = Duration::from_nanos(1);
        for (ticks, tries) in [(0, 0), (3, 3)] {
            let mut patience = Patience::new(tick * ticks, tick);
            let counted = sockeye::block_on(async {
                let mut counted = 0;
                while patience.again().await.expect("a driver") {
                    counted += 1;
                }
                counted
            });
            assert_eq!(counted.expect("it runs"), tries);
        }
    }
}
