//! The binary `sockeye`: parse ([`cli`]), then the subcommand's module plans and runs, then an exit code.
//!
//! | file | what it holds |
//! |---|---|
//! | [`cli`] | the arguments: a variant per subcommand, and the options of all |
//! | [`exit`] | exit codes, and how a failure is told |
//! | [`log`] | what goes to standard error, and how much of it |
//! | [`descriptors`] | the limit of open files |
//! | [`serve`] | `sockeye serve`: services at endpoints, until a signal |
//! | [`user`] | `sockeye user`: the accounts |
//! | [`credentials`] | who a client is and whom it trusts: options that clients have in common |
//! | [`hex`] | fingerprints as people write them |
//! | [`ports`] | who has a port |
//! | [`discover`] | `sockeye discover`: which services are announced on the link |
//! | [`discovered`] | a name that was announced, where an endpoint may stand |
//! | [`listen`] | `sockeye listen`: every datagram that comes |
//! | [`broadcast`] | `sockeye broadcast`: a text to everybody, and who answers |
//! | [`ask`] | `sockeye ask`: a question over datagrams, and when to stop waiting |
//! | [`interrupt`] | Ctrl-C where there is something to tell |
//! | [`content`] | datagrams as they are printed |
//! | [`terminal`] | words of peers, and times, for people |
//! | [`info`] | `sockeye info`: what a name stands for, who answers there, what the connection is like |
//! | [`shop`] | `sockeye shop`: a customer's side of the shop, and its keeper's |
//! | [`bench`] | `sockeye bench`: load on echo servers, and the comparison of the models |

mod ask;
mod bench;
mod broadcast;
mod cli;
mod content;
mod credentials;
mod descriptors;
mod discover;
mod discovered;
mod exit;
mod files;
mod hex;
mod info;
mod interrupt;
mod listen;
mod log;
mod ports;
mod serve;
mod shop;
mod terminal;
mod user;

use std::process::ExitCode;

use anyhow::anyhow;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::told_by_clap(&error),
    };
    let outcome = log::start(&cli.log, cli.command.logs_json()).and_then(|()| match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Info(args) => info::run(args),
        Command::Discover(args) => discover::run(args),
        Command::Listen(args) => listen::run(args),
        Command::Broadcast(args) => broadcast::run(args),
        Command::Ask(args) => ask::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Files(args) => files::run(args),
        Command::User(args) => user::run(args),
        Command::Shop(args) => shop::run(args),
    });
    let code = outcome.unwrap_or_else(|error| exit::failed(&error));
    match terminal::unwritten() {
        Some(error) if code == ExitCode::SUCCESS => exit::failed(&anyhow!("write standard output: {error}")),
        _ => code,
    }
}
