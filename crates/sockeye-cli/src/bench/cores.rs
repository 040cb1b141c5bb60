//! Which cores the servers and the load run on: apart, so that neither takes time from the other.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of the servers, and those of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cores {
    pub(super) server: Vec<usize>,
    pub(super) load: Vec<usize>,
}

impl Cores {
    /// Shares out the cores that this process may use: one for each worker of the server, one for each thread of the
    /// load, as far as there are so many. `None` where there is only one.
    pub(super) fn share_out(workers: usize, threads: usize) -> Option<Self> {
        Self::split(&allowed(), workers, threads)
    }

    fn split(allowed: &[usize], workers: usize, threads: usize) -> Option<Self> {
        let (server, rest) = allowed.split_at(workers.min(allowed.len().checked_sub(1)?));
        if server.is_empty() {
            return None;
        }
        let load = &rest[..threads.clamp(1, rest.len())];
        Some(Cores {
            server: server.to_vec(),
            load: load.to_vec(),
        })
    }
}

/// The cores that this thread may use.
pub(super) fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Keeps this thread to some cores; threads and processes that it starts inherit it. Where the system forbids it, all
/// goes on unpinned.
pub(super) fn pin(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::debug!(%error, ?cores, "cores can't be chosen");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_first_and_the_load_always_has_a_core() {
        let split = |cores: &[usize], workers, threads| {
            Cores::split(cores, workers, threads).map(|cores| (cores.server, cores.load))
        };
        assert_eq!(split(&[0], 1, 1), None);
        assert_eq!(split(&[], 1, 1), None);
        assert_eq!(split(&[2, 5], 1, 1), Some((vec![2], vec![5])));
        assert_eq!(split(&[0, 1], 4, 4), Some((vec![0], vec![1])));
        assert_eq!(split(&[0, 1, 2, 3], 2, 1), Some((vec![0, 1], vec![2])));
        assert_eq!(split(&[0, 1, 2, 3], 1, 9), Some((vec![0], vec![1, 2, 3])));
    }
}
