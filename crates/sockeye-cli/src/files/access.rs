//! Connecting, and saying who we are.

use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Result;
use sockeye::{Connection, Endpoint};
use sockeye_services::files::client::{Client, Failure, Session, Watch, Who, notes};

use super::There;

/// Who we are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// The account's name
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Register {
    #[command(flatten)]
    there: There,
    /// The invitation's code, where the service wants one
    #[arg(long, value_name = "CODE")]
    invitation: Option<String>,
}

/// A way to a service.
#[derive(Clone)]
pub(super) struct Access {
    endpoint: Endpoint,
    options: Options,
}

impl Access {
    pub(super) fn of(there: &There) -> Result<Self> {
        Ok(Access {
            endpoint: there.endpoint.clone(),
            options: there.access.clone(),
        })
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.options.user.as_deref()
    }

    /// A connection on which nothing has been said.
    pub(super) async fn dial(&self) -> Result<Connection, Failure> {
        sockeye::dial(&self.endpoint).await.map_err(Failure::Lost)
    }

    async fn session(&self) -> Result<Session, Failure> {
        Ok(Session::over(self.dial().await?))
    }

    /// A user of the service, who connects when there is something to do.
    pub(super) fn client(&self, retries: usize, watch: Rc<dyn Watch>) -> Result<Client> {
        let who = Who {
            endpoint: self.endpoint.to_string(),
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
}

pub(super) fn register(args: &Register) -> Result<ExitCode> {
    let _ = (&args.there, &args.invitation);
    anyhow::bail!("not yet")
}
