//! A visit to the shop.

use std::env;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use sockeye::{Class, Connection, Error, block_on, time};
use sockeye_proto::shop::{Command, Goods, is_refusal};
use sockeye_proto::text::Encoding;
use sockeye_services::shop::client::Client;
use sockeye_services::text::Manner;

use super::table;
use crate::credentials::Credentials;
use crate::discovered::Destination;
use crate::exit::tell;
use crate::terminal::lines;

/// How long an answer may take: a shop whose disk is busy may need seconds, one that needs more is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// A greeting comes at once but from a busy shop: after so long it is said what else there may be.
const USUAL: Duration = Duration::from_secs(2);
/// The longest line of a script: the usual limit of a message, beyond which the shop would hang up.
const MAX_LINE: u64 = 64 << 10;

pub(super) fn run(there: &Destination, encoding: Encoding, credentials: &Credentials) -> Result<ExitCode> {
    let manner = Manner {
        encoding,
        ..Manner::default()
    };
    let at_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let visit = async |conn: &mut Connection| {
        conn.set_read_timeout(Some(PATIENCE));
        credentials.prove(conn).await?;
        let mut client = Client::new(conn, manner);
        let greeting = greeting(&mut client, there, credentials).await?;
        match at_terminal {
            true => at_the_terminal(&mut client, encoding, &greeting).await,
            false => script(&mut client, encoding).await,
        }
    };
    block_on(credentials.over(there, visit))?
}

/// What the shop says first. One that wants a login, or TLS, says nothing before it is spoken to: no word of ours could tell it apart
/// from a slow one without being a purchase there, so that is said when it has been silent for longer than shops are.
async fn greeting(client: &mut Client<'_>, there: &Destination, credentials: &Credentials) -> Result<String> {
    let heard = match time::timeout(USUAL, client.hear()).await {
        Err(silence) if silence.class() == Class::Timeout => {
            tell(&format!(
                "{}: no greeting yet; {}",
                there.endpoint,
                advice(there, credentials)
            ));
            client.hear().await
        }
        heard => heard?,
    };
    match heard {
        Ok(Some(greeting)) => Ok(greeting),
        Ok(None) => {
            let error = Error::new(
                "enter the shop",
                Class::General,
                "it has hung up without a greeting",
            );
            Err(error
                .at(&there.endpoint)
                .advise(advice(there, credentials))
                .into())
        }
        Err(error) if error.class() == Class::Timeout => Err(error.advise(advice(there, credentials)).into()),
        Err(error) => Err(error.into()),
    }
}

/// Why a shop may be silent that is there.
fn advice(there: &Destination, credentials: &Credentials) -> String {
    let mut why = vec!["it may be busy".to_owned()];
    if credentials.prove_nothing() {
        why.push("a server that wants a login waits for it: --user NAME".to_owned());
    }
    if let ("tcp", Some(at)) = (there.endpoint.scheme(), there.endpoint.host_port()) {
        why.push(format!("one that speaks TLS waits for that: tls://{at}"));
    }
    why.join("; ")
}

/// Each line of standard input is a command, each answer a line of standard output.
async fn script(client: &mut Client<'_>, encoding: Encoding) -> Result<ExitCode> {
    let mut stdin = io::stdin().lock();
    let mut refused = false;
    while let Some(line) = next_line(&mut stdin)? {
        if let Some(why) = unsayable(encoding, &line) {
            bail!("ask for `{}`: {why}", line.escape_debug());
        }
        let answer = client.ask(&line).await?;
        let Some(answer) = answer else {
            bail!("ask for `{}`: the shop has hung up", line.escape_debug());
        };
        refused |= is_refusal(&answer);
        say(&answer)?;
        if is_farewell(&line) {
            break;
        }
    }
    Ok(if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The next line that has something in it.
fn next_line(stdin: &mut impl BufRead) -> Result<Option<String>> {
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut *stdin, MAX_LINE).read_until(b'\n', &mut line);
        if read.context("read standard input")? == 0 {
            return Ok(None);
        }
        if line.len() as u64 == MAX_LINE {
            bail!("read standard input: a line of over {MAX_LINE} bytes, and no command is that long");
        }
        let line = String::from_utf8(line).context("read standard input")?;
        if !line.trim().is_empty() {
            return Ok(Some(line.trim().to_owned()));
        }
    }
}

/// Why a line can't be said. What an encoding lacks would be sent as `?`, which asks for help.
fn unsayable(encoding: Encoding, line: &str) -> Option<String> {
    let letter = encoding.lacks(line)?;
    Some(format!(
        "{encoding} has no `{}`; use --encoding utf-8 if the shop does",
        letter.escape_debug()
    ))
}

fn is_farewell(line: &str) -> bool {
    Command::read(line).0 == Command::Bye
}

async fn at_the_terminal(client: &mut Client<'_>, encoding: Encoding, greeting: &str) -> Result<ExitCode> {
    let mut editor = DefaultEditor::new().context("edit lines at this terminal")?;
    let kept = history_file();
    if let Some(path) = &kept {
        let _ = editor.load_history(path); // the first visit has none
    }
    say(&for_people(greeting))?;
    say("Say the name of a good to buy one, or `help`; Ctrl-D leaves.")?;
    loop {
        let line = match editor.readline("shop> ") {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => line.trim().to_owned(),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => "bye".to_owned(),
            Err(error) => return Err(error).context("read a line"),
        };
        let _ = editor.add_history_entry(&line); // a line that can't be recalled is no harm
        if let Some(why) = unsayable(encoding, &line) {
            tell(&why);
            continue;
        }
        let Some(answer) = client.ask(&line).await? else {
            tell("the shop has hung up");
            return Ok(ExitCode::FAILURE);
        };
        say(&for_people(&answer))?;
        if is_farewell(&line) {
            break;
        }
    }
    if let Some(path) = &kept {
        let _ = editor.save_history(path); // nor is it when it can't be kept
    }
    Ok(ExitCode::SUCCESS)
}

/// Where lines are kept from one visit to the next, by the XDG rules.
fn history_file() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(env::home_dir()?.join(".local/state")))?;
    let folder = state.join("sockeye");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shop-history"))
}

fn for_people(answer: &str) -> String {
    match Goods::read(answer) {
        Some(goods) if !goods.0.is_empty() => table::of_goods(&goods),
        _ => answer.to_owned(),
    }
}

fn say(line: &str) -> Result<()> {
    writeln!(io::stdout().lock(), "{}", lines(line)).context("write to standard output")
}
