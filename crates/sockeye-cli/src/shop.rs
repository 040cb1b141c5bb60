//! `sockeye shop`: a customer's side of the shop, and its keeper's.
//!
//! | file | what it does |
//! |---|---|
//! | [`talk`] | a visit: line by line at a terminal, or as a script |
//! | [`admin`] | what a keeper does to the goods, and what the books say |
//! | [`bench`] | what `cargo xtask bench` runs |
//! | [`table`] | goods for people |

mod admin;
mod bench;
mod table;
mod talk;

use std::path::PathBuf;
use std::process::ExitCode;

use sockeye_proto::money::Money;
use sockeye_proto::shop::GoodName;
use sockeye_proto::text::Encoding;
use sockeye_services::shop::SERVICE;

use crate::credentials::Credentials;
use crate::discovered::{Place, Wanted};

const EXAMPLES: &str = "\
Examples:
  sockeye shop                                the shop on this machine
  sockeye shop shop.example.org               one elsewhere, at the usual port
  sockeye shop tcp://[::1]:9999 --encoding utf-8
  sockeye shop @kitchen                       one that sockeye discover lists
  sockeye shop tls://shop.example.org:9999 --user anna
  printf 'buy 2 西瓜\\nbalance\\n' | sockeye shop localhost
  sockeye shop admin add 'green tea' 3.5 100  while it is open, or not
  sockeye shop admin price 西瓜 2.2
  sockeye shop admin restock 西瓜 50
  sockeye shop admin report

What can be said in the shop: say `help`, or 帮助. A script says one command a line, and gets one answer a line.

Exit codes:
  0  done
  1  the connection failed, or something was refused (in a script: anything)
  2  the arguments make no sense";

/// Buy in a shop, or keep one
///
/// At a terminal the goods are shown as a table, and lines can be edited and recalled. Anywhere else each line of standard
/// input is a command, and its answer a line of standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// The shop: HOST, HOST:PORT, an endpoint (tcp://…, tls://…, unix:…), or the name that it announces: @kitchen
    #[arg(value_name = "ENDPOINT", default_value = "127.0.0.1", value_parser = place)]
    endpoint: Place,
    /// The encoding that the shop speaks (what it announces, else gbk)
    #[arg(long, value_name = "LABEL")]
    encoding: Option<Encoding>,
    #[command(flatten)]
    credentials: Credentials,
    #[command(subcommand)]
    keeper: Option<Keeper>,
}

#[derive(Debug, clap::Subcommand)]
enum Keeper {
    /// Keep the shop: goods, prices, stock, the books
    Admin {
        /// The folder for what services keep, as `sockeye serve` has it ($XDG_DATA_HOME/sockeye)
        #[arg(long, value_name = "DIR", global = true)]
        data: Option<PathBuf>,
        #[command(subcommand)]
        what: What,
    },
    /// Measure purchases, for `cargo xtask bench`
    #[command(hide = true)]
    Bench(bench::Bench),
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Put a new good on sale
    Add {
        /// Its name
        name: GoodName,
        /// What one costs, such as 4.5
        #[arg(allow_negative_numbers = true)]
        price: Money,
        /// How many there are
        #[arg(default_value = "0")]
        stock: u32,
    },
    /// Change what a good costs
    Price {
        /// Its name
        name: String,
        /// What one costs, such as 4.5
        #[arg(allow_negative_numbers = true)]
        price: Money,
    },
    /// Bring pieces of a good in; a number below zero writes off what was lost
    Restock {
        /// Its name
        name: String,
        /// How many more
        #[arg(allow_negative_numbers = true)]
        count: i64,
    },
    /// Money for a user, where customers may not top up themselves
    TopUp {
        /// The name that the user logs in with
        user: String,
        /// How much, such as 20
        amount: Money,
    },
    /// Show goods, takings and debts, and check the books
    Report {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.keeper {
        Some(Keeper::Admin { data, what }) => admin::run(data, what),
        Some(Keeper::Bench(bench)) => bench::measure(&bench),
        None => visit(&args),
    }
}

fn visit(args: &Args) -> anyhow::Result<ExitCode> {
    args.credentials.check()?;
    let there = args.endpoint.find(Wanted {
        service: Some(SERVICE.name),
        packets_only: false,
    })?;
    let announced = there
        .found
        .as_ref()
        .and_then(|found| found.encoding.as_deref()?.parse().ok());
    let encoding = args.encoding.or(announced).unwrap_or(Encoding::GBK);
    talk::run(&there, encoding, &args.credentials)
}

/// An endpoint, or what stands for one over TCP: a host, with the usual port where it names none.
fn place(text: &str) -> Result<Place, String> {
    if text.starts_with('@') {
        return text.parse();
    }
    let parsed = match text.contains("://") || text.starts_with("unix") {
        true => text.parse(),
        false => {
            let with_port = format!("tcp://{text}:{}", SERVICE.port);
            format!("tcp://{text}").parse().or_else(|_| with_port.parse())
        }
    };
    parsed
        .map(Place::At)
        .map_err(|error: sockeye::Error| error.to_string())
}
