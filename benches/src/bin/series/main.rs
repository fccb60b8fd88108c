//! `cargo xtask bench series`: what the two time series cost, beside what is asked of them.

mod daemon;
mod feed;
mod offer;
mod pings;
mod reads;
mod report;
mod size;
mod throughput;

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tallybook_backends::{Backend, Config, open};
use tallybook_core::Store;

use crate::report::Report;

/// Writes and reads ticks and pings with the default settings, and prints a table in Markdown.
#[derive(Parser)]
struct Options {
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Ticks that are written to SQLite, and half as many to PostgreSQL
    #[arg(long, default_value_t = 6_000_000)]
    ticks: u64,
    /// The PostgreSQL database, which gets tables it did not have
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Ticks a second into each store
    Throughput,
    /// Bytes a tick
    Size,
    /// The hot path
    Offer,
    /// Ranges of ticks
    Reads,
    /// Summaries of a million pings
    Pings,
    /// A server that probes
    Daemon,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let wants = |part| options.only.is_empty() || options.only.contains(&part);
    let mut report = Report::new();
    if wants(Part::Throughput) {
        throughput::sqlite(&mut report, options.ticks).await?;
        match &options.database_url {
            Some(url) => throughput::postgres(&mut report, url, options.ticks / 2).await?,
            None => eprintln!("PostgreSQL is not measured: DATABASE_URL is not set"),
        }
    }
    if wants(Part::Size) {
        size::measure(&mut report).await?;
    }
    if wants(Part::Offer) {
        offer::measure(&mut report).await?;
    }
    if wants(Part::Reads) {
        reads::measure(&mut report).await?;
    }
    if wants(Part::Pings) {
        pings::measure(&mut report).await?;
    }
    if wants(Part::Daemon) {
        daemon::measure(&mut report)?;
    }
    println!("{report}");
    Ok(())
}

/// A store in `folder`, or in the database where there is one.
async fn open_store(folder: &Path, database_url: Option<&str>) -> Result<Arc<dyn Store>> {
    let config = Config {
        use_db: if database_url.is_some() { Backend::Postgres } else { Backend::Sqlite },
        data_dir: folder.to_owned(),
        database_url: database_url.map(str::to_owned),
        holder: "a benchmark".to_owned(),
    };
    Ok(open(&config).await?)
}
