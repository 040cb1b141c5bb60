//! `sockeye files put --legacy`: to the tutorial's own server.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use sockeye_services::files::client::{Failure, Kept, Outcome, Source, Watch, legacy, walk};

use super::Access;
use super::put::{Args, SENDING, ended};
use super::teller::Teller;
use crate::exit::{self, Usage};

/// Sends each file over a connection of its own. The server says nothing, so that "sent" is all that can be said.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let access = Access::of(&args.there)?;
    let Some(user) = access.user() else {
        return Err(Usage::new("the old server wants to know whose file it is: --user NAME").into());
    };
    let mut files = Vec::new();
    for local in &args.locals {
        files.extend(walk::meant(local)?);
    }
    let teller = Teller::new(SENDING, args.there.json);
    sockeye::block_on(async {
        for local in files {
            let result = send(&access, user, &local, &teller).await;
            let path = local.file_name().map(|name| name.to_string_lossy().into_owned());
            let path = path.unwrap_or_default();
            teller.done(Outcome { path, local, result });
        }
    })?;
    let code = ended(&teller);
    if !args.there.json {
        exit::tell("this server answers nothing: whether it keeps what was sent, only a look there can say");
    }
    Ok(code)
}

async fn send(access: &Access, user: &str, local: &Path, teller: &Teller) -> Result<Kept, Failure> {
    let source = Source::named(local)?;
    let name = local
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let mut conn = access.dial().await?;
    teller.connected();
    legacy::upload(&mut conn, user, name, &source, teller).await?;
    Ok(Kept {
        folder: false,
        size: source.identity.size,
        hash: String::new(),
        from: 0,
        durable: false,
    })
}
