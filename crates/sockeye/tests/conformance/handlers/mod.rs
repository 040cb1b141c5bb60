//! The handlers that the behaviours are seen on, by the names that a [`Spec`] gives them.

mod moody;
mod packets;
mod sending;
mod waiting;

pub(crate) use sending::banquet;

use crate::server_process::say;
use crate::spec::Spec;
use sockeye::{Class, Connection, Error, Handler, Result, Running, Server};

/// Starts the handler that the spec names.
pub(crate) fn start(spec: &Spec, server: Server) -> Result<Running> {
    let argument = spec.text("argument").unwrap_or_default().to_owned();
    if server.endpoint().is_packet() {
        return packets::start(spec, server);
    }
    match spec.text("handler").unwrap_or_default() {
        "echo" => begin(spec, server, Echo),
        "whole" => begin(spec, server, Whole),
        "farewell" => begin(spec, server, Farewell),
        "moody" => begin(spec, server, moody::Moody),
        "stages" => begin(spec, server, moody::Stages),
        "channel" => begin(spec, server, waiting::FromAnotherThread),
        "ticker" => begin(spec, server, waiting::Ticker),
        "brink" => begin(spec, server, waiting::OnTheBrink),
        "relay" => begin(spec, server, waiting::Relay { to: argument }),
        "banquet" => begin(spec, server, sending::Banquet::of(&argument)),
        "file" => begin(
            spec,
            server,
            sending::FromFile {
                path: argument.into(),
            },
        ),
        kind @ ("to-file" | "to-locked-file") => begin(
            spec,
            server,
            sending::ToFile {
                path: argument.into(),
                writable: kind == "to-file",
            },
        ),
        "framed" => begin(spec, server, sending::Framed),
        "lines" => begin(spec, server, sending::Lines),
        other => Err(unknown(other)),
    }
}

/// In the background, or by this thread, as the spec says.
fn begin(spec: &Spec, server: Server, handler: impl Handler) -> Result<Running> {
    match spec.is_here() {
        true => server.start_here(handler),
        false => server.start(handler),
    }
}

fn unknown(name: &str) -> Error {
    Error::new(
        "start",
        Class::General,
        format!("the suite has no handler {name}"),
    )
}

/// Sends each chunk back, until the peer ends.
pub(crate) struct Echo;

impl Handler for Echo {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        echo(conn).await
    }
}

async fn echo(conn: &mut Connection) -> Result<()> {
    loop {
        let chunk = conn.recv().await?;
        if chunk.is_empty() {
            return Ok(());
        }
        conn.send(chunk).await?;
    }
}

/// Hears the peer out, and then sends all of it back.
struct Whole;

impl Handler for Whole {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let mut all = Vec::new();
        loop {
            let chunk = conn.recv().await?;
            if chunk.is_empty() {
                return conn.send(all).await;
            }
            all.extend_from_slice(&chunk);
        }
    }
}

/// Says its last word first, and then hears the peer out.
struct Farewell;

impl Handler for Farewell {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        conn.send("goodbye").await?;
        conn.close_write().await?;
        let mut heard = 0;
        loop {
            let chunk = conn.recv().await?;
            if chunk.is_empty() {
                say(format_args!("note heard {heard}"));
                return Ok(());
            }
            heard += chunk.len();
        }
    }
}
