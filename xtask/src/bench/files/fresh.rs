//! A file system without a past, for measurements of many small files: some remember for minutes what was removed.
//!
//! It is in a sparse file that has no name any more, mounted where only this program and those that it starts see it. So it is gone
//! with the last of them, in whatever way they end.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::step;

/// What it may grow to: a hundred times of what one run writes.
const SIZE: u64 = 4 << 30;
/// Says to the program that its mounts are its own.
const OWN: &str = "SOCKEYE_BENCH_MOUNTS";

/// Starts this program anew with mounts of its own, where that is allowed and hasn't been done: what follows runs there. Says whether file
/// systems can be made.
pub(super) fn own_mounts() -> Result<bool> {
    if env::var_os(OWN).is_some() {
        return Ok(true);
    }
    let alone = ["--mount", "--propagation", "private"];
    let tools = ["unshare", "mkfs.ext4", "mount", "losetup"];
    let can = tools.iter().all(|tool| step::installed(tool))
        && quietly(Command::new("unshare").args(alone).arg("true"))
        && quietly(Command::new("losetup").arg("--find"));
    if !can {
        return Ok(false);
    }
    let program = env::current_exe().context("which program is this?")?;
    let mut again = Command::new("unshare");
    again.args(alone).arg(program).args(env::args_os().skip(1));
    Err(again.env(OWN, "1").exec()).context("start again with mounts of its own")
}

fn quietly(command: &mut Command) -> bool {
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

/// A new ext4, mounted until it is dropped.
pub(super) struct Fresh {
    at: PathBuf,
}

impl Fresh {
    pub(super) fn mount(at: PathBuf) -> Result<Self> {
        fs::create_dir_all(&at)?;
        let image = at.with_extension("image");
        File::create(&image)?.set_len(SIZE)?;
        let made = run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        // The rest of its tables would be written in the background, in the time of whoever is measured.
        let mounted = made.and_then(|()| {
            let mut mount = Command::new("mount");
            run(mount.args(["-o", "loop,noinit_itable"]).arg(&image).arg(&at))
        });
        fs::remove_file(&image)?; // the mount holds it
        mounted.map(|()| Fresh { at })
    }

    pub(super) fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.at)) {
            eprintln!("{error:#}");
        }
        let _ = fs::remove_dir(&self.at); // an empty folder is no harm
    }
}

fn run(command: &mut Command) -> Result<()> {
    let line = step::line(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("start `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` failed: {said}");
    Ok(())
}
