//! What is there, and what changes it without a transfer: `ls`, `stat`, `quota`, `verify`, `rm`, `mv`, `mkdir`, `login`.

use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Result;
use serde::Serialize;
use sockeye_proto::daytime::Civil;
use sockeye_proto::files::{Entry, Kind, Mtime, Usage, Verified};
use sockeye_services::files::client::walk::join;
use sockeye_services::files::client::{Client, Failure};

use super::put::leave;
use super::teller::error;
use super::{Access, There};
use crate::exit;
use crate::terminal::{harmless, json_line, lines, print};

#[derive(Debug, clap::Args)]
pub(super) struct Ls {
    #[command(flatten)]
    there: There,
    /// Folders and files there, `*`, `?` and `[…]` in a name standing for all that match; everything if none is named
    #[arg(value_name = "REMOTE")]
    paths: Vec<String>,
    /// Everything below, too
    #[arg(long, short)]
    recursive: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rm {
    #[command(flatten)]
    there: There,
    /// Files and empty folders there; `*`, `?` and `[…]` in a name stand for all that match
    #[arg(required = true, value_name = "REMOTE")]
    paths: Vec<String>,
    /// Folders with all that is in them
    #[arg(long, short)]
    recursive: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Mv {
    #[command(flatten)]
    there: There,
    /// A file or folder there
    from: String,
    /// The path that it gets; a folder for it if it ends in `/`
    to: String,
    /// Replace a file that is there
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Mkdir {
    #[command(flatten)]
    there: There,
    /// Folders to be made there
    #[arg(required = true, value_name = "REMOTE")]
    paths: Vec<String>,
    /// Those above them, too; and they may be there already
    #[arg(long, short)]
    parents: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Paths {
    #[command(flatten)]
    there: There,
    /// Files or folders there; `*`, `?` and `[…]` in a name stand for all that match
    #[arg(required = true, value_name = "REMOTE")]
    paths: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Plain {
    #[command(flatten)]
    there: There,
}

/// Does something as a user of the service; what fails is told, and makes it a failure.
fn done(
    there: &There,
    job: impl AsyncFnOnce(&mut Client, &mut Told) -> Result<(), Failure>,
) -> Result<ExitCode> {
    let mut client = Access::of(there)?.client(there.retries, Rc::new(()))?;
    let mut told = Told {
        json: there.json,
        failed: false,
    };
    sockeye::block_on(async {
        match job(&mut client, &mut told).await {
            Ok(()) => leave(client).await,
            Err(failure) => {
                told.failed(&failure);
                client.close().await;
            }
        }
    })?;
    Ok(match told.failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// What is said.
pub(super) struct Told {
    pub(super) json: bool,
    pub(super) failed: bool,
}

impl Told {
    fn failed(&mut self, failure: &Failure) {
        self.failed = true;
        match self.json {
            true => _ = print(&json_line(&error(failure))),
            false => exit::tell(&format!("sockeye: {failure}")),
        }
    }

    /// A fact for programs, or a line for people.
    fn say(&self, fact: &impl Serialize, line: &str) {
        match self.json {
            true => print(&json_line(fact)),
            false => print(&(lines(line) + "\n")),
        };
    }
}

/// For each path that these names mean; the others go on where one fails.
async fn each(
    client: &mut Client,
    told: &mut Told,
    names: &[String],
    mut job: impl AsyncFnMut(&mut Client, &mut Told, &str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for name in names {
        let paths = match client.meant(name).await {
            Ok(paths) => paths,
            Err(failure @ Failure::Lost(_)) => return Err(failure),
            Err(failure) => {
                told.failed(&failure);
                continue;
            }
        };
        for path in paths {
            match job(client, told, &path).await {
                Err(failure @ Failure::Lost(_)) => return Err(failure),
                Err(failure) => told.failed(&failure),
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

pub(super) fn ls(args: &Ls) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        list(client, told, &args.paths, args.recursive).await
    })
}

/// Tells of files, then lists folders: each below its name where there is more than one thing to tell of, as ls(1) does.
pub(super) async fn list(
    client: &mut Client,
    told: &mut Told,
    names: &[String],
    recursive: bool,
) -> Result<(), Failure> {
    let root = [String::new()];
    let names = if names.is_empty() { &root } else { names };
    let (mut folders, mut others) = (Vec::new(), false);
    each(client, told, names, async |client, told, path| {
        let entry = client.with(async |session| session.stat(path).await).await?;
        match entry.kind {
            Kind::Folder => folders.push(path.to_owned()),
            Kind::File => {
                others = true;
                told.say(&entry, &line(&entry));
            }
        }
        Ok(())
    })
    .await?;
    let headed = others || folders.len() > 1;
    for folder in folders {
        if headed && !told.json {
            let gap = if others { "\n" } else { "" };
            print(&format!("{gap}/{}:\n", harmless(&folder)));
            others = true;
        }
        match list_folder(client, told, &folder, recursive).await {
            Err(failure @ Failure::Lost(_)) => return Err(failure),
            Err(failure) => told.failed(&failure),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Something in a folder, for programs.
#[derive(Serialize)]
struct Within<'a> {
    folder: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

async fn list_folder(
    client: &mut Client,
    told: &mut Told,
    folder: &str,
    recursive: bool,
) -> Result<(), Failure> {
    each_entry(client, told, folder, recursive, async |_, told, entry| {
        told.say(&Within { folder, entry }, &line(entry));
        Ok(())
    })
    .await
}

/// For everything in a folder; the others go on where one fails.
async fn each_entry(
    client: &mut Client,
    told: &mut Told,
    folder: &str,
    recursive: bool,
    mut job: impl AsyncFnMut(&mut Client, &mut Told, &Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        // Each page is told once, even if the connection breaks in between.
        let page = client
            .with(async |session| session.page(folder, after.as_deref(), recursive).await)
            .await?;
        for entry in &page.entries {
            match job(client, told, entry).await {
                Err(failure @ Failure::Lost(_)) => return Err(failure),
                Err(failure) => told.failed(&failure),
                Ok(()) => {}
            }
        }
        after = page.entries.last().map(|entry| entry.path.clone());
        if !page.more {
            return Ok(());
        }
    }
}

fn line(entry: &Entry) -> String {
    let (size, end) = match (entry.kind, entry.size) {
        (Kind::File, Some(size)) => (size.to_string(), ""),
        (Kind::File, None) => ("?".to_owned(), ""),
        (Kind::Folder, _) => ("-".to_owned(), "/"),
    };
    format!("{size:>14}  {}  {}{end}", when(entry.mtime), entry.path)
}

/// `2026-11-21 09:43` in UTC.
fn when(Mtime(mtime): Mtime) -> String {
    let at = Civil::at(mtime.div_euclid(1_000_000_000), 0);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}",
        at.year, at.month, at.day, at.hour, at.minute
    )
}

pub(super) fn rm(args: &Rm) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        each(client, told, &args.paths, async |client, told, path| {
            client
                .with(async |session| session.remove(path, args.recursive).await)
                .await?;
            if told.json {
                told.say(&serde_json::json!({"event": "removed", "path": path}), "");
            }
            Ok(())
        })
        .await
    })
}

pub(super) fn mv(args: &Mv) -> Result<ExitCode> {
    let from = args.from.trim_matches('/');
    let to = match args.to.ends_with('/') {
        true => {
            let name = from.rsplit('/').next().unwrap_or_default();
            join(args.to.trim_matches('/'), name)
        }
        false => args.to.trim_start_matches('/').to_owned(),
    };
    done(&args.there, async |client, told| {
        client
            .with(async |session| session.rename(from, &to, args.force).await)
            .await?;
        if told.json {
            told.say(&serde_json::json!({"event": "moved", "path": from, "to": to}), "");
        }
        Ok(())
    })
}

pub(super) fn mkdir(args: &Mkdir) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        for path in &args.paths {
            let path = path.trim_matches('/');
            match client
                .with(async |session| session.mkdir(path, args.parents).await)
                .await
            {
                Err(failure @ Failure::Lost(_)) => return Err(failure),
                Err(failure) => told.failed(&failure),
                Ok(()) => {}
            }
        }
        Ok(())
    })
}

pub(super) fn stat(args: &Paths) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        each(client, told, &args.paths, async |client, told, path| {
            let entry = client.with(async |session| session.stat(path).await).await?;
            let hash = entry
                .hash
                .map_or_else(|| "not recorded".to_owned(), |hash| hash.to_string());
            let lines = match entry.kind {
                Kind::Folder => line(&entry),
                Kind::File => format!("{}\n{:>14}  {hash}", line(&entry), "blake3"),
            };
            told.say(&entry, &lines);
            Ok(())
        })
        .await
    })
}

pub(super) fn quota(args: &Plain) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        let usage = client.with(async |session| session.quota().await).await?;
        told.say(&usage, &quota_line(&usage));
        Ok(())
    })
}

fn quota_line(usage: &Usage) -> String {
    let Usage {
        used,
        reserved,
        limit,
    } = *usage;
    let limit = limit.map_or_else(
        || "any number may be".to_owned(),
        |limit| format!("{limit} may be"),
    );
    match reserved {
        0 => format!("{used} bytes are kept, {limit}"),
        some => format!("{used} bytes are kept, {some} more are reserved for uploads under way, {limit}"),
    }
}

pub(super) fn verify(args: &Paths) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        each(client, told, &args.paths, async |client, told, path| {
            let entry = client.with(async |session| session.stat(path).await).await?;
            match entry.kind {
                Kind::File => verify_file(client, told, path).await,
                Kind::Folder => verify_folder(client, told, path).await,
            }
        })
        .await
    })
}

async fn verify_file(client: &mut Client, told: &mut Told, path: &str) -> Result<(), Failure> {
    let found = client.with(async |session| session.verify(path).await).await?;
    told.failed |= found.matches == Some(false);
    told.say(&Checked { path, found }, &verified_line(path, &found));
    Ok(())
}

/// Each file in it, and below.
async fn verify_folder(client: &mut Client, told: &mut Told, folder: &str) -> Result<(), Failure> {
    each_entry(
        client,
        told,
        folder,
        true,
        async |client, told, entry| match entry.kind {
            Kind::File => verify_file(client, told, &join(folder, &entry.path)).await,
            Kind::Folder => Ok(()),
        },
    )
    .await
}

#[derive(Serialize)]
struct Checked<'a> {
    path: &'a str,
    #[serde(flatten)]
    found: Verified,
}

fn verified_line(path: &str, found: &Verified) -> String {
    let verdict = match found.matches {
        Some(true) => "as it was uploaded",
        Some(false) => "DAMAGED: not what was uploaded",
        None => "readable; what was uploaded isn't recorded",
    };
    format!("{path}: {verdict}\n  {} bytes, blake3 {}", found.size, found.hash)
}

pub(super) fn login(args: &Plain) -> Result<ExitCode> {
    done(&args.there, async |client, told| {
        // Connecting is what logs in.
        let hello = client.with(async |session| session.hello().await).await?;
        told.say(&hello, &format!("{} lets you in", harmless(&hello.server)));
        Ok(())
    })
}
