//! `sockeye user register`: an account at a server, made by its user.

use std::path::PathBuf;

use anyhow::{Context, Result};
use sockeye::Connection;
use sockeye_services::auth::{check_password, client, read_secret};

use crate::credentials::Credentials;
use crate::discovered::{Place, Wanted};
use crate::exit::{Usage, tell};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the server is, such as tls://example.org:9000, or the name that it announces: @kitchen/files
    endpoint: Place,
    /// The file of an invitation's code, where one is needed; nobody else may read it
    #[arg(long, value_name = "FILE")]
    invitation_file: Option<PathBuf>,
    #[command(flatten)]
    credentials: Credentials,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let user = args.credentials.user();
    let user = user.ok_or_else(|| Usage::new("say which name to register: --user NAME"))?;
    let code = match &args.invitation_file {
        Some(path) => Some(read_secret(path)?),
        None => None,
    };
    let code = code.as_ref().map(|code| std::str::from_utf8(code));
    let code = code.transpose().context("the invitation's code is no UTF-8")?;
    args.credentials.check()?;
    let there = args.endpoint.find(Wanted::default())?;
    let register = async |conn: &mut Connection| {
        let password = args.credentials.new_password()?;
        check_password(&password)?;
        Ok(client::register(conn, user, &password, code).await?)
    };
    args.credentials.over(&there, register).await?;
    tell(&format!("{user} is registered at {}", there.endpoint));
    Ok(())
}
