//! `sockeye shop bench`: durable purchases in a second, beside what the database does alone. For `cargo xtask bench`.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sockeye::{Endpoint, Model, Server, dial, run, spawn_local};
use sockeye_services::data::Data;
use sockeye_services::settings::Settings;
use sockeye_services::shop::{SERVICE, client::Client};
use sockeye_services::store::Sqlite;
use sockeye_services::store::till::Keeping;
use sockeye_services::text::Manner;
use tokio::sync::mpsc;

/// What is bought.
const GOOD: &str = "瓜子";
/// More of it than can be sold while anybody watches.
const STOCK: i64 = 900_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// A folder on the disk that is meant; each measurement has a store of its own there
    #[arg(long)]
    folder: std::path::PathBuf,
    /// Customers at once, and how many purchases the database alone has in a transaction
    #[arg(long, default_value = "64", value_parser = crate::cli::count)]
    customers: usize,
    #[arg(long, default_value = "5", value_parser = crate::cli::count)]
    rounds: usize,
    #[arg(long, default_value = "2")]
    seconds: f64,
    #[arg(long, default_value = "epoll")]
    model: Model,
}

/// A line of JSON for each measurement.
pub(super) fn measure(bench: &Bench) -> Result<ExitCode> {
    let time = Duration::try_from_secs_f64(bench.seconds).context("--seconds")?;
    let case = format!("c{}", bench.customers);
    for round in 0..bench.rounds {
        for server in ["sockeye-shop", "bare-sqlite"] {
            let folder = bench.folder.join(format!("{server}-{round}"));
            let per_second = match server {
                "sockeye-shop" => served(&folder, bench, time)?,
                _ => bare(&folder, bench, time)?,
            };
            std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
            let line =
                json!({ "server": server, "case": case, "round": round, "purchases_per_s": per_second });
            writeln!(io::stdout().lock(), "{line}").context("write to standard output")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn stocked(folder: &Path) -> Result<(Data, Settings)> {
    let data = Data::at(folder);
    data.open()?;
    let mut settings = Settings::new().set("encoding", "utf-8");
    settings.data = Some(data.clone());
    Ok((data, settings))
}

fn served(folder: &Path, bench: &Bench, time: Duration) -> Result<f64> {
    let (data, settings) = stocked(folder)?;
    let server = Server::bind("tcp://127.0.0.1:0")?.model(bench.model);
    let running = (SERVICE.make)(&settings)?.start(server)?;
    let store = data.store()?;
    sockeye::block_on(store.keep(Keeping::Restock(GOOD.to_owned(), STOCK), 0))??;
    let per_second = run(
        Model::Coroutine,
        customers(running.endpoint(), bench.customers, time),
    )??;
    running.shutdown().stop();
    running.join()?;
    let report = sockeye::block_on(store.report())??;
    ensure!(report.is_right(), "the books do not agree: {report:?}");
    Ok(per_second)
}

/// Counts from the moment when everybody is in the shop.
async fn customers(shop: Endpoint, count: usize, time: Duration) -> Result<f64> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let start = Rc::new(Cell::new(None));
    for _ in 0..count {
        let (shop, tell, start) = (shop.clone(), tell.clone(), start.clone());
        spawn_local(async move {
            let _ = tell.send(one(&shop, &tell, &start, time).await); // the counter waits for all
        })?;
    }
    let mut entered = 0;
    let (mut bought, mut ended) = (0, 0);
    while ended < count {
        match told.recv().await.context("a customer is missing")? {
            Ok(Told::Entered) => {
                entered += 1;
                if entered == count {
                    start.set(Some(Instant::now()));
                }
            }
            Ok(Told::Bought(number)) => {
                bought += number;
                ended += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bought as f64 / time.as_secs_f64())
}

enum Told {
    Entered,
    /// So many purchases within the time.
    Bought(u64),
}

async fn one(
    shop: &Endpoint,
    tell: &mpsc::UnboundedSender<Result<Told>>,
    start: &Cell<Option<Instant>>,
    time: Duration,
) -> Result<Told> {
    let mut conn = dial(shop).await?;
    let mut client = Client::new(&mut conn, Manner::default());
    client.hear().await?;
    let _ = tell.send(Ok(Told::Entered)); // the counter waits for all
    let mut bought = 0;
    loop {
        let answer = client.ask(GOOD).await?.unwrap_or_default();
        ensure!(answer.starts_with("购买成功"), "the shop says: {answer}");
        match start.get() {
            Some(start) if start.elapsed() > time => return Ok(Told::Bought(bought)),
            Some(_) => bought += 1,
            None => {} // the others are still coming in
        }
    }
}

fn bare(folder: &Path, bench: &Bench, time: Duration) -> Result<f64> {
    let (data, _) = stocked(folder)?;
    let store = data.store()?;
    let offer = sockeye_services::store::till::Offer {
        name: GOOD.parse()?,
        price: sockeye_proto::money::Money::from_cents(450),
        stock: STOCK as u32,
    };
    sockeye::block_on(store.offer(vec![offer], true, 0))??;
    let own = Sqlite::open(&folder.join("sockeye.db"))?;
    let (count, batch) = (bench.customers, bench.customers);
    Ok(own
        .bare_purchases(GOOD, count, batch, time)
        .map_err(sockeye::Error::from)?)
}
