//! What processes cost, from `/proc`: see proc(5).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Ticks of the clock in `/proc/PID/stat` per second. The kernel shows 100 to programs on every common architecture,
/// whatever it counts in itself.
const TICKS: u64 = 100;

/// A process and the live processes that descend from it.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = stat(child) {
            children.entry(stat.parent).or_default().push(child);
        }
    }
    let (mut found, mut next) = (vec![pid], 0);
    while let Some(member) = found.get(next) {
        found.extend(children.remove(member).unwrap_or_default());
        next += 1;
    }
    found
}

/// CPU time that these processes have used, and those of their children that have ended and been waited for.
pub(super) fn cpu(family: &[u32]) -> Duration {
    family.iter().filter_map(|pid| cpu_of(*pid)).sum()
}

fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = stat(pid)?;
    let ticks = |count: u64| Duration::from_nanos(count * (1_000_000_000 / TICKS));
    // The scheduler counts the live threads in nanoseconds; the ticks hold those that have ended as well.
    Some(ticks(stat.own).max(scheduled(pid)) + ticks(stat.children))
}

fn scheduled(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let times = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|text| scheduled_time(&text)).sum()
}

fn scheduled_time(schedstat: &str) -> Option<Duration> {
    schedstat
        .split(' ')
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

/// CPU time that everything on this machine has used.
pub(super) fn machine() -> Duration {
    busy(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

/// The first line of `/proc/stat`: user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
fn busy(stat: &str) -> Duration {
    let fields = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8);
    let used = fields.enumerate().filter(|(index, _)| !matches!(index, 3 | 4));
    let ticks: u64 = used.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum();
    Duration::from_nanos(ticks * (1_000_000_000 / TICKS))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Ticks of the process, and of its ended children.
    own: u64,
    children: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 2, the name, may hold anything, spaces and brackets too: the fields are counted from its last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        own: number(14)? + number(15)?,
        children: number(16)? + number(17)?,
    })
}

/// Memory of these processes in bytes: what they wrote themselves (heaps, stacks, rings), with pages that a fork left
/// them in common split among them. Pages of files are left out: how many of the program's own are there depends on who
/// else runs it.
pub(super) fn memory(family: &[u32]) -> u64 {
    family.iter().map(|pid| memory_of(*pid)).sum()
}

fn memory_of(pid: u32) -> u64 {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let sum = |text: &str, keys: [&str; 2]| {
        let [first, second] = keys.map(|key| kibibytes(text, key));
        first.map(|size| size + second.unwrap_or(0))
    };
    sum(&read("smaps_rollup"), ["Pss_Anon:", "Pss_Shmem:"])
        .or_else(|| sum(&read("status"), ["RssAnon:", "RssShmem:"]))
        .map_or(0, |size| size * 1024)
}

/// The number of a line such as `Pss:      123 kB`.
pub(super) fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_with_an_odd_name() {
        let text = "77 (a) b (c) S 12 77 77 0 -1 4194304 100 200 0 0 30 4 500 6 20 0 1 0 999 1 2 3";
        let wanted = Stat {
            parent: 12,
            own: 34,
            children: 506,
        };
        assert_eq!(parse_stat(text), Some(wanted));
        assert_eq!(parse_stat("77 (a"), None);
        assert_eq!(parse_stat("77 (a) S 1"), None);
    }

    #[test]
    fn the_machine_s_time_without_the_idle() {
        let text = "cpu  100 10 50 99999 777 5 15 20 8 8\ncpu0 1 2 3\n";
        assert_eq!(busy(text), Duration::from_secs(2));
        assert_eq!(busy(""), Duration::ZERO);
    }

    #[test]
    fn scheduler_and_memory_lines() {
        assert_eq!(
            scheduled_time("123456789 55 3\n"),
            Some(Duration::from_nanos(123_456_789))
        );
        assert_eq!(scheduled_time(""), None);
        let rollup =
            "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:    5000 kB\nPss:    1234 kB\nPss_Anon: 9 kB\n";
        assert_eq!(kibibytes(rollup, "Pss:"), Some(1234));
        assert_eq!(kibibytes(rollup, "Pss_Anon:"), Some(9));
        assert_eq!(kibibytes(rollup, "VmRSS:"), None);
    }

    #[test]
    fn this_very_process() {
        let me = std::process::id();
        assert!(family(me).contains(&me));
        assert!(memory(&[me]) > 10_000);
    }
}
