//! `sockeye files get`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use sockeye_services::files::client::get::Keep;
use sockeye_services::files::client::{Client, Failure, Folder};

use super::put::{ended, leave};
use super::teller::{Teller, Verb};
use super::{Access, There, interrupt};
use crate::exit::Usage;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    there: There,
    /// What to fetch, `*` and `?` meaning what they mean to a shell; the last of several is the folder here, if it ends
    /// in `/`
    #[arg(required = true, value_name = "REMOTE|LOCAL/")]
    paths: Vec<String>,
    /// The path here, or the folder here if it ends in `/`
    #[arg(long, value_name = "LOCAL")]
    to: Option<PathBuf>,
    /// Replace what is here
    #[arg(long, short)]
    force: bool,
    /// Don't force it to the disk: faster, and lost in a power failure
    #[arg(long)]
    no_sync: bool,
}

pub(super) const FETCHING: Verb = Verb {
    doing: "fetching",
    done: "fetched",
};

/// Where things go.
pub(super) struct Target {
    folder: Folder,
    /// The name there, if it isn't the one that it has.
    name: Option<String>,
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let to = match args.to.take() {
        Some(to) => to,
        None if args.paths.len() > 1 && args.paths.last().is_some_and(|last| is_folder(last)) => {
            args.paths.pop().unwrap_or_default().into()
        }
        None => PathBuf::from("./"),
    };
    let target = Target::of(&to)?;
    let keep = Keep {
        clobber: args.force,
        sync: !args.no_sync,
    };
    let teller = Teller::new(FETCHING, args.there.json);
    interrupt::watch(teller.bar())?;
    let mut client = Access::of(&args.there)?.client(args.there.retries, teller.clone())?;
    sockeye::block_on(async {
        match fetch(&mut client, &args.paths, &target, keep).await {
            Ok(()) => leave(client).await,
            Err(failure) => {
                teller.failed(&failure);
                client.close().await;
            }
        }
    })?;
    Ok(ended(&teller))
}

fn is_folder(text: &str) -> bool {
    text.ends_with('/') || matches!(text, "." | "..") || text.ends_with("/.") || text.ends_with("/..")
}

impl Target {
    /// A folder if it is one, or is written so.
    pub(super) fn of(to: &Path) -> Result<Self> {
        if to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let folder = Folder::named(to)?;
            return Ok(Target { folder, name: None });
        }
        let name = to.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Usage::new(format!("{} is no name for a file", to.display())))?;
        let parent = match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = Folder::named(parent)?;
        Ok(Target {
            folder,
            name: Some(name.to_owned()),
        })
    }
}

/// Fetches what these names mean.
pub(super) async fn fetch(
    client: &mut Client,
    names: &[String],
    target: &Target,
    keep: Keep,
) -> Result<(), Failure> {
    let mut paths = Vec::new();
    for name in names {
        paths.extend(client.meant(name).await?);
    }
    for path in paths {
        let own = path.rsplit('/').next().unwrap_or_default();
        let name = target.name.as_deref().unwrap_or(own);
        client.get(&path, &target.folder, name, keep).await?;
    }
    Ok(())
}
