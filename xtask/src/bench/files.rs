//! Files there and back, beside the usual tools, in interleaved rounds: one of 2 GiB, and 10,000 of 4 KiB.
//!
//! Every tool has its source in memory and its destination on the same disk, has nothing of others' to wait for there, and
//! finds memory that the machine really has. Small files go to a [file system of their own](fresh) each time, where that can be made. What has arrived is compared byte by byte after each measurement, outside of
//! its time. A tool that isn't installed is left out.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::results::{Run, figure, ratio, read};
use super::{peers, report};
use crate::options::Options;
use crate::step;

mod fresh;
mod memory;
mod places;

use fresh::Fresh;
use places::{Daemons, Old, Places};

/// The word for it after `--what`, and in docs/performance.md.
pub(super) const WHAT: &str = "files";

/// A tool and what it is compared with.
struct Tool {
    case: &'static str,
    name: &'static str,
    /// The program that must be there.
    needs: &'static str,
    /// A line for a shell; `{big}`, `{small}`, `{dst}` and the like are replaced.
    line: &'static str,
    /// Whether what has arrived is in the folder of our service.
    ours: bool,
}

const fn tool(case: &'static str, name: &'static str, needs: &'static str, line: &'static str) -> Tool {
    let ours = false;
    Tool {
        case,
        name,
        needs,
        line,
        ours,
    }
}

const fn own(case: &'static str, name: &'static str, line: &'static str, ours: bool) -> Tool {
    let needs = "sh";
    Tool {
        case,
        name,
        needs,
        line,
        ours,
    }
}

/// The first of a case is what the others are compared with.
const TOOLS: &[Tool] = &[
    own(
        "put",
        "sockeye",
        "{sockeye} files put --force --no-sync {plain} {big} --to big",
        true,
    ),
    tool(
        "put",
        "c-sendfile>splice",
        "{pump}",
        "({pump} recv-splice 22102 > {dst}/big) & {wait} {pump} send-file 22102 {big}; wait",
    ),
    tool(
        "put",
        "vsftpd (curl)",
        "vsftpd",
        "curl -sS -T {big} ftp://127.0.0.1:22021/dst/big",
    ),
    tool(
        "put",
        "nginx (curl)",
        "nginx",
        "curl -sS -T {big} http://127.0.0.1:22080/dst/big",
    ),
    own(
        "put, fsync",
        "sockeye",
        "{sockeye} files put --force {plain} {big} --to big",
        true,
    ),
    tool(
        "put, fsync",
        "c-sendfile>splice, sync",
        "{pump}",
        "({pump} recv-splice 22102 > {dst}/big) & {wait} {pump} send-file 22102 {big}; wait; sync {dst}/big",
    ),
    own(
        "get",
        "sockeye",
        "{sockeye} files get --no-sync {plain} source --to {dst}/big",
        false,
    ),
    tool(
        "get",
        "c-sendfile>splice",
        "{pump}",
        "({pump} recv-splice 22102 > {dst}/big) & {wait} {pump} send-file 22102 {big}; wait",
    ),
    tool(
        "get",
        "vsftpd (curl)",
        "vsftpd",
        "curl -sS -o {dst}/big ftp://127.0.0.1:22021/big",
    ),
    tool(
        "get",
        "nginx (curl)",
        "nginx",
        "curl -sS -o {dst}/big http://127.0.0.1:22080/big",
    ),
    own(
        "put, TLS",
        "sockeye",
        "{sockeye} files put --force --no-sync {tls} {big} --to big",
        true,
    ),
    tool(
        "put, TLS",
        "sftp aes128-gcm",
        "sshd",
        "echo 'put {big} {dst}/big' | sftp {ssh} -c aes128-gcm@openssh.com -q -b - -P 22022 root@127.0.0.1",
    ),
    own(
        SMALL,
        "sockeye",
        "{sockeye} files put --no-sync {plain} {small} --to small",
        true,
    ),
    tool(
        SMALL,
        "tar, nc, tar",
        "nc.openbsd",
        "(nc.openbsd -l 127.0.0.1 22103 | tar -C {dst} -xf -) & {wait} tar -C {data} -cf - small | nc.openbsd -N 127.0.0.1 22103; wait",
    ),
    own(
        SMALL_SYNC,
        "sockeye",
        "{sockeye} files put {plain} {small} --to small",
        true,
    ),
    tool(
        SMALL_SYNC,
        "tar, nc, tar, sync",
        "nc.openbsd",
        "(nc.openbsd -l 127.0.0.1 22103 | tar -C {dst} -xf -) & {wait} tar -C {data} -cf - small | nc.openbsd -N 127.0.0.1 22103; wait; sync -f {dst}/small",
    ),
];

/// The cases of many small files.
const SMALL: &str = "put small";
const SMALL_SYNC: &str = "put small, fsync";

/// What `{wait}` takes, until the other end listens; not counted.
const WAIT: f64 = 0.1;

/// To be called before anything is done: this program may begin anew.
pub(super) fn prepare_mounts() -> Result<()> {
    fresh::own_mounts().map(drop)
}

/// Measures, and writes the table.
pub(super) fn measure(options: &Options, facts: &str) -> Result<()> {
    let rounds: usize = options
        .value("--rounds")
        .unwrap_or("5")
        .parse()
        .context("--rounds")?;
    let places = Places::make(&peers::target().join("peers"), &peers::sockeye())?;
    let _old = Old(&places);
    let _fence = memory::Fence::new();
    let fresh = fresh::own_mounts()?;
    let daemons = Daemons::start(&places)?;
    prepare(&places, &daemons)?;
    let results = places.work.join("results");
    fs::create_dir_all(&results)?;
    let mut kept = fs::File::create(results.join("files.jsonl"))?;
    let mut lines = String::new();
    for round in 0..rounds {
        for tool in in_turn(round) {
            let needs = filled(tool.needs, &places, &daemons);
            if !step::installed(&needs) {
                println!("left out: {} ({needs} is not installed)", tool.name);
                continue;
            }
            let line = match fresh && is_small(tool) {
                true => on_fresh(tool, round, &places)?,
                false => one(tool, round, &places, &daemons)?,
            };
            println!("{line}");
            writeln!(kept, "{line}")?;
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    drop(daemons);
    let table = table(&read(&lines)?);
    println!("\n{table}");
    let where_small = match fresh {
        true => "an ext4 made anew for each run, with defaults",
        false => "the folder of everything else",
    };
    report::write(
        WHAT,
        &format!("{facts} Small files go to {where_small}.\n\n{table}"),
    )
}

/// The tools of a round: turned around each time, for each finds the disk and the memory as the one before has left them.
fn in_turn(round: usize) -> Vec<&'static Tool> {
    let mut tools: Vec<&Tool> = TOOLS.iter().collect();
    if round % 2 == 1 {
        tools.reverse();
    }
    tools
}

fn is_small(tool: &Tool) -> bool {
    [SMALL, SMALL_SYNC].contains(&tool.case)
}

/// One tool on a file system that nobody has written to.
fn on_fresh(tool: &Tool, round: usize, places: &Places) -> Result<String> {
    let fresh = Fresh::mount(places.data.join("fresh"))?;
    let places = places.on(fresh.at())?;
    let daemons = Daemons::service(&places)?;
    one(tool, round, &places, &daemons)
}

fn filled(line: &str, places: &Places, daemons: &Daemons) -> String {
    let path = |path: &Path| path.display().to_string();
    let ssh = format!(
        "-F none -i {0}/key -o UserKnownHostsFile={0}/known -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        path(&places.data)
    );
    let words = [
        ("{sockeye}", path(&places.sockeye)),
        ("{pump}", path(&places.work.join("bin/pump"))),
        ("{big}", path(&places.big)),
        ("{small}", path(&places.small)),
        ("{dst}", path(&places.destination)),
        ("{data}", path(&places.data)),
        ("{plain}", daemons.plain.clone()),
        ("{tls}", daemons.tls.clone()),
        ("{ssh}", ssh),
        ("{wait}", format!("sleep {WAIT};")),
    ];
    words
        .iter()
        .fold(line.to_owned(), |line, (word, value)| line.replace(word, value))
}

/// A line for a shell, run to its end.
fn shell(line: &str, places: &Places) -> Result<()> {
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Notes and pins of these transfers are nobody else's.
    command.env("XDG_STATE_HOME", places.data.join("state"));
    command.env("XDG_CONFIG_HOME", places.data.join("config"));
    let output = command.output().with_context(|| format!("start `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` failed: {said}");
    Ok(())
}

/// What is fetched is there before.
fn prepare(places: &Places, daemons: &Daemons) -> Result<()> {
    let line = "{sockeye} files put --force {plain} {big} --to source";
    shell(&filled(line, places, daemons), places)
}

fn one(tool: &Tool, round: usize, places: &Places, daemons: &Daemons) -> Result<String> {
    places.clear()?;
    shell("sync", places)?; // what others have written is not this one's to wait for
    memory::fill();
    let line = filled(tool.line, places, daemons);
    let begun = Instant::now();
    let done = shell(&line, places);
    let mut seconds = begun.elapsed().as_secs_f64();
    if tool.line.contains("{wait}") {
        seconds -= WAIT;
    }
    if let Err(error) = &done {
        eprintln!("{error:#}");
    }
    let small = is_small(tool);
    let place = match tool.ours {
        true => places.kept.clone(),
        false => places.destination.clone(),
    };
    let compare = match small {
        true => format!("diff -rq {{small}} {}/small", place.display()),
        false => format!("cmp -s {{big}} {}/big", place.display()),
    };
    let same = done.is_ok() && shell(&filled(&compare, places, daemons), places).is_ok();
    let amount = if small {
        places::FILES as f64
    } else {
        places::BIG as f64 / 1e6
    };
    let row = json!({
        "server": tool.name, "case": tool.case, "round": round, "secs": seconds, "rate": amount / seconds,
        "errors": u64::from(!same),
    });
    Ok(row.to_string())
}

fn table(runs: &[Run]) -> String {
    let mut table = String::from(
        "| what | tool | MB/s, or files/s | Sockeye's rate to its | errors |\n|---|---|---|---|---|\n",
    );
    for tool in TOOLS {
        let Some(rate) = figure(runs, tool.name, tool.case, "rate") else {
            continue;
        };
        let errors = figure(runs, tool.name, tool.case, "errors").map_or(0.0, |errors| errors.max);
        let ratio = match tool.name {
            "sockeye" => "-".to_owned(),
            other => report::spread(ratio(runs, "sockeye", other, tool.case, "rate"), 2),
        };
        let rate = report::spread(Some(rate), 0);
        let _ = writeln!(
            table,
            "| {} | {} | {rate} | {ratio} | {errors} |",
            tool.case, tool.name
        ); // a String takes it
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_tool_that_was_measured() {
        let runs = read(
            r#"{"server":"sockeye","case":"put","round":0,"rate":1000.0,"errors":0}
               {"server":"nginx (curl)","case":"put","round":0,"rate":500.0,"errors":1}"#,
        )
        .unwrap();
        let table = table(&runs);
        assert!(
            table.contains("| put | nginx (curl) | 500 (500..500) | 2.00 (2.00..2.00) | 1 |"),
            "{table}"
        );
        assert_eq!(table.lines().count(), 4, "{table}");
    }
}
