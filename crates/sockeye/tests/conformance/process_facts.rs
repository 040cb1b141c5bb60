//! What the kernel says of a process and of those that it has forked.

use crate::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::time::Instant;

/// Counted over a process and all its descendants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// The process itself among them, and those that have ended and wait to be reaped.
    pub(crate) processes: usize,
}

/// The process and its descendants, nearest first.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut at = 0;
    while at < all.len() {
        for task in entries(&format!("/proc/{}/task", all[at])) {
            let children = fs::read_to_string(format!("/proc/{}/task/{task}/children", all[at]));
            all.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    all
}

/// A process may end while it is looked at; then it has none.
fn entries(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

pub(crate) fn facts(root: u32) -> Facts {
    let family = family(root);
    let sum = |folder: &str| {
        let count = |pid: &u32| entries(&format!("/proc/{pid}/{folder}")).len();
        family.iter().map(count).sum()
    };
    Facts {
        descriptors: sum("fd"),
        threads: sum("task"),
        processes: family.len(),
    }
}

/// Bytes of memory that the process and its descendants have written to and share with nobody, in RAM now. What is only
/// read, such as the program itself, becomes theirs alone when other tests end.
pub(crate) fn memory(root: u32) -> u64 {
    let own = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let lines = rollup.lines().filter(|line| line.starts_with("Private_Dirty:"));
        let kilobytes = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kilobytes.sum::<u64>() << 10
    };
    family(root).iter().map(own).sum()
}

/// Nanoseconds that the process' and its descendants' threads have run for.
pub(crate) fn cpu_time(root: u32) -> u64 {
    let mut nanoseconds = 0;
    for pid in family(root) {
        for task in entries(&format!("/proc/{pid}/task")) {
            let line = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).unwrap_or_default();
            let ran = line.split_whitespace().next();
            nanoseconds += ran.and_then(|ran| ran.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    nanoseconds
}

/// Ends a process without a word.
pub(crate) fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    kill_process(pid, Signal::KILL).expect("it is there");
}

/// Whether a process has let go of all that it had: it is gone, or waits to be reaped by whoever has inherited it.
pub(crate) fn is_over(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything.
    let state = status.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// Ends these processes and waits until they have let go of all that they had.
pub(crate) fn end(family: &[u32]) {
    for pid in family {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    eventually("ended", || family.iter().all(|pid| is_over(*pid)), |over| *over);
}

/// Asks again and again, where nothing tells when the answer changes; the last answer is in the message if it never
/// does.
pub(crate) fn eventually<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if good(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "never {what}: {answer:?}");
        std::thread::yield_now();
    }
}
