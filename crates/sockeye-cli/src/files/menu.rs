//! A menu, for a person who was given no command.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use sockeye_services::files::client::get::Keep;
use sockeye_services::files::client::put::How;

use super::Access;
use super::WANTED;
use super::get::{FETCHING, Target, fetch};
use super::interrupt;
use super::look::{Told, list};
use super::put::{SENDING, leave, plan};
use super::teller::{Teller, Verb};
use crate::credentials::{Credentials, prompt};
use crate::discovered::{Destination, Place};
use crate::exit::{self, Usage};
use crate::terminal::harmless;

/// How often a transfer is tried again that was begun here.
const RETRIES: usize = 8;

const CHOICES: &str = "\
  1 login   2 register   3 upload   4 download   5 list   6 exit";

/// Asks what to do, and does it, until there is nothing more.
pub(super) fn run(place: Option<Place>) -> Result<ExitCode> {
    if !io::stdin().is_terminal() {
        let why = "say what to do: put, get, ls, rm, mv, mkdir, stat, quota, verify, register or login; the menu needs a \
                   terminal";
        return Err(Usage::new(why).into());
    }
    let mut person = Person(DefaultEditor::new().context("read from the terminal")?);
    let there = match place {
        Some(place) => place.find(WANTED)?,
        None => match service(&mut person)? {
            Some(there) => there,
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    interrupt::watch_choices()?;
    let mut access = Access::new(there.clone(), Credentials::default())?.in_menu();
    exit::tell(&format!("{}", there.endpoint));
    loop {
        exit::tell(CHOICES);
        let Some(choice) = person.asked("> ")? else {
            return Ok(ExitCode::SUCCESS);
        };
        let done = match choice.as_str() {
            "1" | "login" => login(&mut person, &there, &mut access),
            "2" | "register" => register(&mut person, &there, &mut access),
            "3" | "upload" => upload(&mut person, &access),
            "4" | "download" => download(&mut person, &access),
            "5" | "list" => look(&mut person, &access),
            "6" | "exit" => return Ok(ExitCode::SUCCESS),
            other => {
                exit::tell(&format!("`{other}` is no choice; write 1 to 6, or the word"));
                Ok(())
            }
        };
        if let Err(error) = done {
            exit::tell(&format!("sockeye: {}", exit::words(&error)));
        }
    }
}

/// Asks where the service is, until one can be there.
fn service(person: &mut Person) -> Result<Option<Destination>> {
    loop {
        let Some(text) = person.asked("Service (such as tcp://127.0.0.1:9000, or @kitchen): ")? else {
            return Ok(None);
        };
        let place: Result<Place> = text.parse().map_err(|why| Usage::new(why).into());
        match place.and_then(|place| place.find(WANTED)) {
            Ok(there) => return Ok(Some(there)),
            Err(error) => exit::tell(&format!("sockeye: {}", exit::words(&error))),
        }
    }
}

/// Who types.
struct Person(DefaultEditor);

impl Person {
    /// A line; `None` when there won't be any more.
    fn asked(&mut self, question: &str) -> Result<Option<String>> {
        match self.0.readline(question) {
            Ok(line) => {
                let line = line.trim().to_owned();
                let _ = self.0.add_history_entry(&line); // to be had again with the arrow key, or not
                Ok(Some(line))
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(error) => Err(error).context("read from the terminal"),
        }
    }

    fn name(&mut self, question: &str) -> Result<Option<String>> {
        Ok(self.asked(question)?.filter(|name| !name.is_empty()))
    }
}

fn of_user(there: &Destination, user: String) -> Result<Access> {
    let mut who = Credentials::default();
    who.user = Some(user);
    Ok(Access::new(there.clone(), who)?.in_menu())
}

fn login(person: &mut Person, there: &Destination, access: &mut Access) -> Result<()> {
    let Some(user) = person.name("User: ")? else {
        return Ok(());
    };
    let other = of_user(there, user)?;
    let mut client = other.client(0, std::rc::Rc::new(()))?;
    sockeye::block_on(async {
        let hello = client.with(async |session| session.hello().await).await;
        client.close().await;
        let hello = hello?;
        exit::tell(&format!("{} lets you in", harmless(&hello.server)));
        Ok::<_, anyhow::Error>(())
    })??;
    *access = other;
    Ok(())
}

fn register(person: &mut Person, there: &Destination, access: &mut Access) -> Result<()> {
    let Some(user) = person.name("Name of the account: ")? else {
        return Ok(());
    };
    let invitation = prompt::password("Invitation, which isn't shown (empty if there is none): ")?;
    let other = of_user(there, user)?;
    let invitation = Some(invitation.trim()).filter(|code| !code.is_empty());
    sockeye::block_on(other.register(invitation))??;
    exit::tell("the account is made");
    *access = other;
    Ok(())
}

/// Runs a transfer, and tells of it.
fn transfer(
    access: &Access,
    verb: Verb,
    job: impl AsyncFnOnce(
        &mut sockeye_services::files::client::Client,
    ) -> Result<(), sockeye_services::files::client::Failure>,
) -> Result<()> {
    let teller = Teller::without_options(verb);
    let _going_on = interrupt::Transfer::begin();
    let mut client = access.client(RETRIES, teller.clone())?;
    sockeye::block_on(async {
        match job(&mut client).await {
            Ok(()) => leave(client).await,
            Err(failure) => {
                teller.failed(&failure);
                client.close().await;
            }
        }
    })?;
    if !teller.finish() && teller.cut.get() {
        exit::tell("the same again goes on where it was");
    }
    Ok(())
}

fn upload(person: &mut Person, access: &Access) -> Result<()> {
    let Some(local) = person.name("File or folder here: ")? else {
        return Ok(());
    };
    let folder = person.name("Folder there (empty for none): ")?;
    let to = folder.map(|folder| format!("{}/", folder.trim_end_matches('/')));
    let walk = plan(vec![PathBuf::from(local)], to)?;
    let how = How {
        clobber: false,
        sync: true,
    };
    transfer(access, SENDING, async |client| client.put(walk, how).await)
}

fn download(person: &mut Person, access: &Access) -> Result<()> {
    let Some(path) = person.name("File or folder there: ")? else {
        return Ok(());
    };
    let folder = person.name("Folder here (empty for this one): ")?;
    let folder = folder.map_or_else(|| "./".to_owned(), |folder| format!("{folder}/"));
    let target = Target::of(folder.as_ref())?;
    let keep = Keep {
        clobber: false,
        sync: true,
    };
    transfer(access, FETCHING, async |client| {
        fetch(client, &[path], &target, keep).await
    })
}

fn look(person: &mut Person, access: &Access) -> Result<()> {
    let Some(folder) = person.asked("Folder there (empty for all): ")? else {
        return Ok(());
    };
    let mut told = Told {
        json: false,
        failed: false,
    };
    let mut client = access.client(RETRIES, std::rc::Rc::new(()))?;
    sockeye::block_on(async {
        let listed = list(&mut client, &mut told, &[folder], false).await;
        client.close().await;
        Ok(listed?)
    })?
}
