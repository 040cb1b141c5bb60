//! `sockeye user`: the accounts of a data folder, also beside a running server.

mod quota;
mod register;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use serde_json::json;
use sockeye::format_size;
use sockeye_services::auth::{invitation, invitation_hash, is_name, new_verifier};
use sockeye_services::data::Data;
use sockeye_services::store::{Account, Added, Store};

use crate::credentials::new_password;
use crate::exit::Usage;
use crate::terminal::print;

const EXAMPLES: &str = "\
Examples:
  sockeye user add anna            asks for the password
  sockeye user add bert --password-file secret.txt
  sockeye user disable bert        keeps him out
  sockeye user invite              a code for one registration
  sockeye user quota anna 5GiB     how much of files she may keep
  sockeye user list --json
An account at a server:
  sockeye user register tls://example.org:9000 --user anna";

/// Who may log in: add, list, disable, enable, give another password or a quota, invite
///
/// The accounts are those of the data folder that `sockeye serve` uses. The server may be running: a new password, or being
/// disabled, counts from the next login on, and for `files` and `shop` from the next request.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The data folder ($XDG_DATA_HOME/sockeye)
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an account
    Add(Change),
    /// List the accounts
    List {
        /// An object a line
        #[arg(long)]
        json: bool,
    },
    /// Keep a user out
    Disable {
        /// Whom
        name: String,
    },
    /// Let a user in again
    Enable {
        /// Whom
        name: String,
    },
    /// Give a user another password
    Passwd(Change),
    /// Show how much of files a user may keep, or set it
    Quota(quota::Args),
    /// Print a new code that is good for one registration
    Invite,
    /// Make an account at a server that lets one
    Register(Box<register::Args>),
}

#[derive(Debug, clap::Args)]
struct Change {
    /// Whose it is
    name: String,
    /// The file of the password, which nobody else may read; it is asked for on the terminal otherwise
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let is_named = args.data.is_some();
    if let Command::Add(Change { name, .. }) = &args.command
        && !is_name(name)
    {
        let rule = "a name has 1 to 64 letters, digits, dots, hyphens and underscores, and no dot first";
        return Err(Usage::new(format!("`{}`: {rule}", name.escape_debug())).into());
    }
    if let Command::Register(args) = args.command {
        if is_named {
            return Err(Usage::new("--data is of no use here: the account is made at the server").into());
        }
        sockeye::block_on(register::run(*args))??;
        return Ok(ExitCode::SUCCESS);
    }
    let data = Data::at(args.data.map_or_else(Data::usual, Ok)?);
    match &args.command {
        Command::Add(_) | Command::Invite => data.visit()?,
        _ if is_named => data.revisit()?,
        _ => data.visit()?,
    }
    let store = data.store()?;
    sockeye::block_on(perform(args.command, &*store))??;
    Ok(ExitCode::SUCCESS)
}

async fn perform(command: Command, store: &dyn Store) -> Result<()> {
    match command {
        Command::Add(change) => add(&change, store).await,
        Command::List { json } => list(json, store).await,
        Command::Disable { name } => changed(&name, store.set_disabled(&name, true).await?),
        Command::Enable { name } => changed(&name, store.set_disabled(&name, false).await?),
        Command::Passwd(change) => {
            ensure_there(&change.name, store).await?;
            let password = new_password(change.password_file.as_deref(), &change.name)?;
            let verifier = new_verifier(&password)?;
            changed(&change.name, store.set_verifier(&change.name, verifier).await?)
        }
        Command::Quota(args) => quota::run(&args, store).await,
        Command::Invite => {
            let code = invitation()?;
            let kept = store.add_invitation(invitation_hash(&code), now()).await?;
            ensure!(kept, "there are too many open invitations already");
            writeln!(std::io::stdout().lock(), "{code}").context("write to standard output")
        }
        Command::Register(args) => register::run(*args).await,
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn changed(name: &str, done: bool) -> Result<()> {
    ensure!(
        done,
        "there is no account {}; see `sockeye user list`",
        name.escape_debug()
    );
    Ok(())
}

async fn ensure_there(name: &str, store: &dyn Store) -> Result<()> {
    changed(name, store.account(name).await?.is_some())
}

async fn add(change: &Change, store: &dyn Store) -> Result<()> {
    let name = &change.name;
    let taken = || {
        format!(
            "there is an account {name} already; give it another password with `sockeye user passwd {name}`"
        )
    };
    ensure!(store.account(name).await?.is_none(), taken());
    let password = new_password(change.password_file.as_deref(), name)?;
    match store
        .add_account(name, new_verifier(&password)?, None, now())
        .await?
    {
        Added::Done => Ok(()),
        Added::Taken => bail!(
            "there is an account that differs from {name} in capital letters alone; choose another name"
        ),
        Added::Uninvited => bail!("the store wants an invitation"),
    }
}

async fn list(json: bool, store: &dyn Store) -> Result<()> {
    let accounts = store.accounts().await?;
    let limits: HashMap<String, u64> = store.limits().await?.into_iter().collect();
    let width = accounts.iter().map(|account| account.name.chars().count()).max();
    for account in accounts {
        let Account {
            name,
            disabled,
            created,
            ..
        } = &account;
        let quota = limits.get(name);
        let line = match json {
            true => {
                json!({"name": name, "disabled": disabled, "created": created, "quota": quota}).to_string()
            }
            false => {
                let state = if *disabled { "disabled" } else { "enabled" };
                let quota =
                    quota.map_or_else(String::new, |quota| format!("  quota {}", format_size(*quota)));
                format!("{name:width$}  {state}{quota}", width = width.unwrap_or_default())
            }
        };
        print(&format!("{line}\n"));
    }
    Ok(())
}
