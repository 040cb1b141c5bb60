//! `sockeye user quota`: how much one user may keep, whatever the listeners say of all.

use anyhow::Result;
use serde_json::json;
use sockeye::{format_size, parse_size};
use sockeye_services::store::Store;

use super::ensure_there;
use crate::terminal::print;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose it is
    name: String,
    /// How much it is to be, such as 5GiB; none: what the listener's `quota=` says
    #[arg(value_name = "SIZE|none", value_parser = limit)]
    limit: Option<Limit>,
    /// Print it as an object
    #[arg(long, conflicts_with = "limit")]
    json: bool,
}

#[derive(Clone, Copy, Debug)]
struct Limit(Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let size = parse_size(text).map_err(|error| error.to_string())?;
    match i64::try_from(size) {
        Ok(_) => Ok(Limit(Some(size))),
        Err(_) => Err("no disk has so much".to_owned()),
    }
}

pub(super) async fn run(args: &Args, store: &dyn Store) -> Result<()> {
    ensure_there(&args.name, store).await?;
    if let Some(Limit(limit)) = args.limit {
        return Ok(store.set_limit(&args.name, limit).await?);
    }
    let usage = store.usage(&args.name).await?;
    let limit = match usage.limit {
        Some(limit) => format!("may keep {}", format_size(limit)),
        None => "has no quota of their own".to_owned(),
    };
    // What is kept was counted by the last server, and nobody else changes it.
    let line = match args.json {
        true => {
            let (used, reserved) = (usage.used, usage.reserved);
            json!({"name": args.name, "quota": usage.limit, "used": used, "reserved": reserved}).to_string()
        }
        false => format!("{} {limit}, and keeps {}", args.name, format_size(usage.used)),
    };
    print(&format!("{line}\n"));
    Ok(())
}
