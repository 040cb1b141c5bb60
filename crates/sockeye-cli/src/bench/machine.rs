//! The machine's facts: a figure without them means nothing.

use super::{cores, proc};
use serde::Serialize;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where and when it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    /// Cores that this process may use.
    pub(super) cores: usize,
    pub(super) memory_bytes: u64,
    pub(super) kernel: String,
    /// Of the last minute, before anything was measured.
    pub(super) load_average: f64,
    /// UTC, RFC 3339.
    pub(super) date: String,
    pub(super) version: &'static str,
    pub(super) command: String,
}

pub(super) fn facts() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Machine {
        cpu: cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: cores::allowed().len(),
        memory_bytes: proc::kibibytes(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) * 1024,
        kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        load_average: read("/proc/loadavg")
            .split(' ')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0),
        date: date(since),
        version: env!("CARGO_PKG_VERSION"),
        command: command(std::env::args()),
    }
}

/// x86 says `model name`; some ARM machines say nothing.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let name = line.split_once(':')?.1;
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The command line, with quotes where a shell wants them; the program without its folder.
fn command(args: impl Iterator<Item = String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/=+@%".contains(c);
    let quoted = args.enumerate().map(|(index, word)| match index {
        0 => word.rsplit('/').next().unwrap_or_default().to_owned(),
        _ if !word.is_empty() && word.chars().all(plain) => word,
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// `2026-07-05 12:34 UTC`: the civil calendar, in eras of 400 years that begin in March.
fn date(since: Duration) -> String {
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let shifted = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("{year}-{month:02}-{day_of_month:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_command_that_a_shell_reads_back() {
        let words = ["/usr/bin/sockeye", "bench", "--against", "it's {port}", ""];
        let text = command(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(text, r"sockeye bench --against 'it'\''s {port}' ''");
    }

    #[test]
    fn the_cpu_s_name() {
        let text = "processor\t: 0\nmodel name\t: Fast  CPU @ 2GHz\n";
        assert_eq!(cpu_model(text).as_deref(), Some("Fast CPU @ 2GHz"));
        assert_eq!(cpu_model("Processor: x"), None);
    }
}
