//! `sockeye files`: files to a service and from it.
//!
//! | file | what it does |
//! |---|---|
//! | [`access`] | connects, and says who we are |
//! | [`put`], [`get`] | files and folders there and back |
//! | [`look`] | what is there: `ls`, `stat`, `quota`, `verify`; and what changes it: `rm`, `mv`, `mkdir` |
//! | [`legacy`] | an upload to the tutorial's own server |
//! | [`teller`] | what is said while it goes on, and at the end |
//! | [`interrupt`] | Ctrl-C, and how to go on |
//! | [`menu`] | all that for a person who was given no command |

mod access;
mod get;
mod interrupt;
mod legacy;
mod look;
mod menu;
mod put;
mod teller;

use std::process::ExitCode;

use clap::Subcommand;
use sockeye_services::files::SERVICE;

use crate::credentials::Credentials;
use crate::discovered::{Place, Wanted};
use access::Access;

const EXAMPLES: &str = "\
Examples:
  sockeye files register tcp://127.0.0.1:9000 --user ann
      A new account; the password is asked for.
  sockeye files put tcp://127.0.0.1:9000 --user ann film.mkv photos/ backup/
      A file and a folder with all that is in it, into the folder `backup`
      there. The last of several names is the folder there if it ends in `/`.
  sockeye files put tcp://127.0.0.1:9000 --user ann a.txt --to notes/b.txt
      Under another name.
  sockeye files get tls://files.example.org:9000 --user ann 'backup/*.mkv' films/
      What matches, into the folder `films` here.
  sockeye files ls -r tcp://127.0.0.1:9000 --user ann
      Everything that is there.
  sockeye files ls @kitchen --user ann
      At a server that announces itself (sockeye discover).
  sockeye files put --legacy --user xiaoming tcp://127.0.0.1:9000 a.mp4
      To the server of the old tutorial, which answers nothing.
  sockeye files tcp://127.0.0.1:9000
      A menu, on a terminal.

A transfer that was cut, by Ctrl-C or anything else, goes on where it was when
the same command is given again. A file is there when it is there whole, and
only if its hash (BLAKE3) is the one of what was sent.

The password is asked for, or read from the file that --password-file or the
variable SOCKEYE_PASSWORD_FILE names.

Exit codes:
  0  all is done
  1  something failed: the network, the service, or a file
  2  the arguments make no sense";

/// Send files to a service, fetch them, and look after them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Without a command: the service that the menu is about
    endpoint: Option<Place>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Send files, and folders with all that is in them
    Put(put::Args),
    /// Fetch files, and folders with all that is in them
    Get(get::Args),
    /// List what is there
    Ls(look::Ls),
    /// Remove files and folders
    Rm(look::Rm),
    /// Give a file or folder another path
    Mv(look::Mv),
    /// Make folders
    Mkdir(look::Mkdir),
    /// Tell what is at a path: kind, size, time, hash
    Stat(look::Paths),
    /// Tell how much is kept, and how much may be
    Quota(look::Plain),
    /// Have files read from the service's disk, and compared with what was uploaded
    Verify(look::Paths),
    /// Make an account
    Register(access::Register),
    /// Check that name and password are right
    Login(look::Plain),
}

/// Where the service is, and who we are there.
#[derive(Debug, Clone, clap::Args)]
struct There {
    /// The service, such as tcp://127.0.0.1:9000, or the name that it announces: @kitchen
    endpoint: Place,
    #[command(flatten)]
    access: Credentials,
    /// How often to try again after the connection broke, without anything achieved in between
    #[arg(long, value_name = "N", default_value = "8", value_parser = crate::cli::count, allow_negative_numbers = true)]
    retries: usize,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

/// Of those that go by a name: what these are commands for.
const WANTED: Wanted = Wanted {
    service: Some(SERVICE.name),
    packets_only: false,
};

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    crate::descriptors::raise_limit();
    match args.what {
        None => menu::run(args.endpoint),
        Some(What::Put(args)) => put::run(args),
        Some(What::Get(args)) => get::run(args),
        Some(What::Register(args)) => access::register(&args),
        Some(What::Ls(args)) => look::ls(&args),
        Some(What::Rm(args)) => look::rm(&args),
        Some(What::Mv(args)) => look::mv(&args),
        Some(What::Mkdir(args)) => look::mkdir(&args),
        Some(What::Stat(args)) => look::stat(&args),
        Some(What::Quota(args)) => look::quota(&args),
        Some(What::Verify(args)) => look::verify(&args),
        Some(What::Login(args)) => look::login(&args),
    }
}
