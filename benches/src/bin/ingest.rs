//! `cargo xtask bench ingest`: how many records a second of processor time takes in, and what lists cost meanwhile.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tallybook_benches::load::{self, Done};
use tallybook_benches::payload::{self, Kind};
use tallybook_benches::server::Server;
use tallybook_benches::table::markdown;
use tallybook_telemetry::template::{Miner, MinerOptions, Scratch};

/// Loads a server process over loopback (OTLP/HTTP, protobuf) and prints tables in Markdown.
#[derive(Parser)]
struct Options {
    /// Seconds per measurement
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Records on their way at the same time: each connection has one request under way
    #[arg(long, default_value_t = 32_000)]
    in_flight: usize,
}

const LISTS: [&str; 4] = [
    "/api/v1/metrics?limit=100",
    "/api/v1/attributes?sort=cardinality&order=desc&limit=100",
    "/api/v1/spans?limit=100&sort=sample_count&order=desc",
    "/api/v1/logs/templates?limit=100",
];

fn main() -> Result<()> {
    let options = Options::parse();
    let time = Duration::from_secs(options.seconds);
    signals(&options, time)?;
    wide_catalogue(&options, time)?;
    memory()?;
    miner();
    Ok(())
}

fn signals(options: &Options, time: Duration) -> Result<()> {
    let mut table = markdown([
        "signal",
        "batch",
        "records per CPU-second",
        "at least",
        "records/s",
        "peak RSS MiB",
        "list p50/p95/p99 ms",
    ]);
    for kind in Kind::ALL {
        for batch in [1_000, 100] {
            let folder = tempfile::tempdir()?;
            let (server, _) = Server::start(folder.path())?;
            let payloads = payload::requests(kind, batch);
            let connections = options.in_flight / batch;
            load::run(&server, &payloads, connections, Duration::from_secs(2), &[])?;
            let done = load::run(&server, &payloads, connections, time, &LISTS)?;
            table.add_row([
                kind.name().to_owned(),
                batch.to_string(),
                format!("{:.0}", done.per_cpu_second()),
                format!("{:.0}", kind.target()),
                format!("{:.0}", done.per_second()),
                format!("{:.0}", server.peak_rss_mib()?),
                percentiles(&done),
            ]);
            server.stop()?;
        }
    }
    println!("{table}\n");
    Ok(())
}

/// 100,000 keys: lists while ingesting, and the time to start again.
fn wide_catalogue(options: &Options, time: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    load::send_all(&server, &payload::wide_catalogue(16_667, 6))?;
    let done = load::run(&server, &payload::requests(Kind::Logs, 1_000), options.in_flight / 1_000, time, &LISTS)?;
    server.stop()?;
    let (server, start) = Server::start(folder.path())?;
    let mut table = markdown(["with 100,000 keys", "measured", "asked"]);
    table.add_row(["list p50/p95/p99 ms while ingesting", &percentiles(&done), "p95 under 20"]);
    table.add_row(["start to ready, s", &format!("{:.2}", start.as_secs_f64()), "under 2"]);
    println!("{table}\n");
    server.stop()
}

/// 50,000 metrics with 6 keys each.
fn memory() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    load::send_all(&server, &payload::wide_catalogue(50_000, 6))?;
    let mut table = markdown(["with 50,000 metrics of 6 keys", "measured", "asked"]);
    table.add_row(["peak RSS MiB", &format!("{:.0}", server.peak_rss_mib()?), "under 150"]);
    println!("{table}\n");
    server.stop()
}

fn miner() {
    let mut random = SmallRng::seed_from_u64(7);
    let lines: Vec<String> = (0..200_000).map(|_| payload::log_line(&mut random)).collect();
    let (mut miner, mut scratch) = (Miner::new(MinerOptions::default()), Scratch::default());
    let started = Instant::now();
    for line in &lines {
        std::hint::black_box(miner.route(line, &mut scratch));
    }
    let per_second = lines.len() as f64 / started.elapsed().as_secs_f64();
    let mut table = markdown(["template miner alone", "measured", "asked"]);
    table.add_row(["lines per second and core", &format!("{per_second:.0}"), "500000"]);
    println!("{table}");
}

fn percentiles(done: &Done) -> String {
    format!("{:.1} / {:.1} / {:.1}", done.list_ms(0.5), done.list_ms(0.95), done.list_ms(0.99))
}
