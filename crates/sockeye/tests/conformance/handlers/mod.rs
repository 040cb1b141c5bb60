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
        "echo" => server.start(Echo),
        "whole" => server.start(Whole),
        "farewell" => server.start(Farewell),
        "moody" => server.start(moody::Moody),
        "stages" => server.start(moody::Stages),
        "channel" => server.start(waiting::FromAnotherThread),
        "ticker" => server.start(waiting::Ticker),
        "relay" => server.start(waiting::Relay { to: argument }),
        "banquet" => server.start(sending::Banquet::of(&argument)),
        "file" => server.start(sending::FromFile {
            path: argument.into(),
        }),
        kind @ ("to-file" | "to-locked-file") => server.start(sending::ToFile {
            path: argument.into(),
            writable: kind == "to-file",
        }),
        "framed" => server.start(sending::Framed),
        "lines" => server.start(sending::Lines),
        other => Err(unknown(other)),
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
struct Echo;

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
