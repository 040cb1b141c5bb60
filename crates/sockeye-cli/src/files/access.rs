//! Connecting, and saying who we are.

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::json;
use sockeye::{Class, Connection, Error};
use sockeye_proto::files::Code;
use sockeye_services::auth;
use sockeye_services::files::client::{Client, Failure, Session, Watch, Who, notes};

use super::{There, WANTED};
use crate::credentials::Credentials;
use crate::discovered::{Destination, readable};
use crate::exit::{self, Usage};
use crate::terminal::{json_line, print};

#[derive(Debug, clap::Args)]
pub(super) struct Register {
    #[command(flatten)]
    there: There,
    /// The file of an invitation's code, where one is needed; nobody else may read it
    #[arg(long, value_name = "FILE")]
    invitation_file: Option<PathBuf>,
}

/// A way to a service.
#[derive(Clone)]
pub(super) struct Access {
    there: Destination,
    who: Rc<Credentials>,
    /// It is a person's who chooses from the menu, and writes no options.
    in_menu: bool,
}

impl Access {
    pub(super) fn of(there: &There) -> Result<Self> {
        there.access.check()?;
        Self::new(there.endpoint.find(WANTED)?, there.access.clone())
    }

    pub(super) fn new(there: Destination, who: Credentials) -> Result<Self> {
        who.check()?;
        who.check_for(&there.endpoint)?;
        Ok(Access {
            there,
            who: Rc::new(who),
            in_menu: false,
        })
    }

    pub(super) fn in_menu(self) -> Self {
        let in_menu = true;
        Access { in_menu, ..self }
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.who.user()
    }

    /// A connection on which nothing has been said.
    pub(super) async fn dial(&self) -> Result<Connection, Failure> {
        self.who.dial(&self.there).await.map_err(failure)
    }

    async fn session(&self) -> Result<Session, Failure> {
        let mut conn = self.dial().await?;
        if let Err(error) = self.who.prove(&mut conn).await {
            let _ = conn.close().await; // nothing depends on it
            return Err(failure(error));
        }
        let mut session = Session::over(conn);
        if self.who.prove_nothing() {
            self.let_in(&mut session).await?;
        }
        Ok(session)
    }

    /// Whether the service takes those who don't say who they are; asked before they send it anything.
    async fn let_in(&self, session: &mut Session) -> Result<(), Failure> {
        let greeting = session.hello().await?;
        if greeting.user.is_some() || greeting.mechanisms.is_empty() {
            return Ok(());
        }
        let advice = match (self.in_menu, greeting.register.as_str()) {
            (true, "closed") => "choose 1 (login) first",
            (true, _) => "choose 1 (login) or 2 (register) first",
            (false, "open") => "say who with --user NAME; `sockeye files register` makes an account",
            (false, "invite") => {
                "say who with --user NAME; `sockeye files register` makes an account for who has an invitation"
            }
            (false, _) => "say who with --user NAME",
        };
        Err(Failure::Refused {
            operate: "log in",
            path: String::new(),
            code: Code::Denied,
            message: format!(
                "{} serves users alone: {advice}",
                readable(&self.there.known_as())
            ),
        })
    }

    /// A user of the service, who connects when there is something to do.
    pub(super) fn client(&self, retries: usize, watch: Rc<dyn Watch>) -> Result<Client> {
        let who = Who {
            endpoint: self.there.known_as(),
            user: self.user().unwrap_or_default().to_owned(),
            notes: notes::folder()?,
        };
        let access = self.clone();
        let connect = move || {
            let access = access.clone();
            Box::pin(async move { access.session().await }) as _
        };
        let retries = u32::try_from(retries).unwrap_or(u32::MAX);
        Ok(Client::new(who, retries, watch, Box::new(connect)))
    }

    /// Makes an account of this name.
    pub(super) async fn register(&self, invitation: Option<&str>) -> Result<()> {
        let user = self
            .user()
            .ok_or_else(|| Usage::new("say what it is to be called: --user NAME"))?;
        let password = self.who.new_password()?;
        let register = async |conn: &mut Connection| {
            Ok(auth::client::register(conn, user, &password, invitation).await?)
        };
        self.who.over(&self.there, register).await?;
        self.who.remember(password);
        Ok(())
    }
}

/// Whether connecting failed on the way, which another try may mend, or because somebody said no.
fn failure(error: anyhow::Error) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) if error.io_kind().is_some() => Failure::Lost(error),
        Ok(error) => Failure::Ours(error),
        Err(other) => Failure::Ours(Error::new("connect", Class::General, exit::words(&other))),
    }
}

pub(super) fn register(args: &Register) -> Result<ExitCode> {
    let access = Access::of(&args.there)?;
    let code = args
        .invitation_file
        .as_deref()
        .map(auth::read_secret)
        .transpose()?;
    let code = code.as_ref().map(|code| std::str::from_utf8(code)).transpose();
    let code = code.context("the invitation's code is no UTF-8")?;
    let user = access.user().unwrap_or_default();
    match (sockeye::block_on(access.register(code))?, args.there.json) {
        (Ok(()), true) => _ = print(&json_line(&json!({"event": "registered", "user": user}))),
        (Ok(()), false) => exit::tell(&format!("{user} has an account now")),
        (Err(error), true) if !error.chain().any(|cause| cause.is::<Usage>()) => {
            let message = exit::words(&error);
            print(&json_line(
                &json!({"event": "error", "error": {"code": null, "message": message}}),
            ));
            return Ok(ExitCode::FAILURE);
        }
        (Err(error), _) => return Err(error),
    }
    Ok(ExitCode::SUCCESS)
}
