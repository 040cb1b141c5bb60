//! `sockeye files put`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use sockeye_services::files::client::put::How;
use sockeye_services::files::client::walk::{self, Walk, join};
use sockeye_services::files::client::{Client, Failure};

use super::teller::{Teller, Verb};
use super::{Access, There, interrupt, legacy};
use crate::exit::{self, Usage};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) there: There,
    /// What to send; the last of several is the folder there, if it ends in `/`
    #[arg(required = true, value_name = "LOCAL|REMOTE/")]
    pub(super) locals: Vec<PathBuf>,
    /// The path there, or the folder there if it ends in `/`
    #[arg(long, value_name = "REMOTE")]
    to: Option<String>,
    /// Replace what is there
    #[arg(long, short)]
    force: bool,
    /// Don't have it forced to the disk: faster, and lost in a power failure
    #[arg(long)]
    no_sync: bool,
    /// To the tutorial's own server, which answers nothing; needs --user
    #[arg(long, conflicts_with_all = ["to", "force", "no_sync"])]
    legacy: bool,
}

pub(super) const SENDING: Verb = Verb {
    doing: "sending",
    done: "sent",
};

pub(super) fn run(args: Args) -> Result<ExitCode> {
    if args.legacy {
        return legacy::run(&args);
    }
    let walk = plan(args.locals, args.to)?;
    let how = How {
        clobber: args.force,
        sync: !args.no_sync,
    };
    let teller = Teller::new(SENDING, args.there.json);
    interrupt::watch(teller.bar())?;
    let mut client = Access::of(&args.there)?.client(args.there.retries, teller.clone())?;
    sockeye::block_on(async {
        match client.put(walk, how).await {
            Ok(()) => leave(client).await,
            Err(failure) => {
                teller.failed(&failure);
                client.close().await;
            }
        }
    })?;
    Ok(ended(&teller))
}

/// Says good-bye. What was to be done is done: whether that is heard is no matter.
pub(super) async fn leave(client: Client) {
    if let Err(failure) = client.leave().await {
        tracing::debug!(%failure, "the service has not heard the good-bye");
    }
}

/// The summary, and what comes of it.
pub(super) fn ended(teller: &Teller) -> ExitCode {
    match teller.finish() {
        true => ExitCode::SUCCESS,
        false => {
            if teller.cut.get() {
                exit::tell(&format!("to go on: {}", interrupt::command()));
            }
            ExitCode::FAILURE
        }
    }
}

/// What is sent, and where it goes.
pub(super) fn plan(mut locals: Vec<PathBuf>, to: Option<String>) -> Result<Walk> {
    let to = match to {
        Some(to) => to,
        None if locals.len() > 1 && locals.last().is_some_and(|last| ends_in_slash(last)) => {
            let last = locals.pop().unwrap_or_default();
            last.into_os_string()
                .into_string()
                .map_err(|_| Usage::new("a folder there has a name in UTF-8"))?
        }
        None => "/".to_owned(),
    };
    let mut meant = Vec::new();
    for local in &locals {
        let found = walk::meant(local).map_err(|failure| missing(failure, &locals))?;
        meant.extend(found);
    }
    let folder = to.trim_matches('/');
    if !to.ends_with('/') {
        let [one] = &meant[..] else {
            let why = format!("only one file can be sent to `{to}`; for a folder write `{to}/`");
            return Err(Usage::new(why).into());
        };
        return Ok(Walk::of(vec![(one.clone(), folder.to_owned())]));
    }
    let named = meant.into_iter().map(|local| {
        let remote = join(folder, &name_of(&local)?);
        Ok((local, remote))
    });
    Ok(Walk::of(named.collect::<Result<_>>()?))
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// What it is called there: its own name; nothing for `.` and the like, whose content goes into the folder itself.
fn name_of(local: &Path) -> Result<String> {
    match local.file_name() {
        None => Ok(String::new()),
        Some(name) => match name.to_str() {
            Some(name) => Ok(name.to_owned()),
            None => {
                let why = format!("{} has no name in UTF-8; give it one with --to", local.display());
                Err(Usage::new(why).into())
            }
        },
    }
}

/// A person who knows `cp` may have written a new name as the last one.
fn missing(failure: Failure, locals: &[PathBuf]) -> anyhow::Error {
    match locals {
        [_, .., last] if !last.exists() => anyhow::Error::new(failure).context(format!(
            "if `{0}` is a name there, write --to {0}",
            last.display()
        )),
        _ => failure.into(),
    }
}
