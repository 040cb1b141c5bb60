//! The handlers that the behaviours are seen on.

use crate::server_process::say;
use crate::spec::Spec;
use sockeye::{Connection, Handler, Result, Running, Server};

/// Starts the handler that the spec names.
pub(crate) fn start(spec: &Spec, server: Server) -> Result<Running> {
    match spec.text("handler").unwrap_or_default() {
        "echo" => server.start(Echo),
        other => {
            say(format_args!("failed: there is no handler {other}"));
            std::process::exit(2)
        }
    }
}

/// Sends each chunk back, until the peer ends.
struct Echo;

impl Handler for Echo {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        echo(conn).await
    }
}

pub(crate) async fn echo(conn: &mut Connection) -> Result<()> {
    loop {
        let chunk = conn.recv().await?;
        if chunk.is_empty() {
            return Ok(());
        }
        conn.send(chunk).await?;
    }
}
