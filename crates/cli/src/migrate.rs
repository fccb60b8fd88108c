//! `tallybook migrate`: everything from one store to another, with a bar that says how long it takes.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use tallybook_backends::Place;
use tallybook_core::{Follower, Store};
use tallybook_mirror::{Progress, move_all};

use crate::compare;

const HOLDER: &str = "tallybook migrate";
/// Where nobody looks at a bar, a line is written this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// From where to where.
#[derive(Args)]
pub(crate) struct Options {
    /// The store that has everything: sqlite:DIR or postgres://user:password@host:5432/database
    #[arg(long, value_name = "PLACE")]
    from: Place,
    /// Where it goes: as above, or a mirror: clickhouse://user:password@host:8123/database, duckdb:///FILE. It must be empty, or hold
    /// what an earlier call brought from the same store
    #[arg(long, value_name = "PLACE")]
    to: Place,
    /// Empty the target first, whatever it holds
    #[arg(long)]
    start_over: bool,
    /// Compare both when all is moved
    #[arg(long)]
    verify: bool,
    /// Print what was moved as JSON
    #[arg(long)]
    json: bool,
}

/// Moves everything.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.from == options.to {
        bail!("--from and --to are the same place: {}", options.from);
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let from = options.from.open_store(HOLDER).await.with_context(|| format!("--from {}", options.from))?;
        let to = options.to.open_follower(HOLDER).await.with_context(|| format!("--to {}", options.to))?;
        let moved = migrate(options, &*from, &*to).await;
        let (released, closed) = (to.release().await, from.close().await);
        let same = moved?;
        released.with_context(|| format!("closing {}", options.to))?;
        closed.with_context(|| format!("closing {}", options.from))?;
        if !same {
            bail!("{} does not hold what {} holds; the differences are above", options.to, options.from);
        }
        Ok(())
    })
}

/// Says whether both hold the same, where that was asked for.
async fn migrate(options: &Options, from: &dyn Store, to: &dyn Follower) -> Result<bool> {
    let id = from.info().id;
    if options.start_over {
        to.clear(id).await.with_context(|| format!("emptying {}", options.to))?;
    }
    let cursor = to.cursor(id).await.with_context(|| format!("--to {}", options.to))?;
    let waiting = from.behind(&cursor).await?;
    let begun = Instant::now();
    let bar = Bar::new(waiting, &options.to.to_string());
    let mut told = Instant::now();
    let moved = move_all(from, to, |progress, error| {
        bar.bar.set_position(progress.records());
        bar.bar.set_length(waiting.max(progress.records()));
        if let Some(error) = error {
            bar.say(&format!("{error}; it is tried again"));
        } else if bar.is_hidden && told.elapsed() >= LINE_EVERY {
            told = Instant::now();
            bar.say(&format!("{} of about {} records", HumanCount(progress.records()), HumanCount(waiting)));
        }
    });
    let moved = moved.await.context("the move stopped; run it again, and it goes on from there")?;
    bar.bar.finish_and_clear();
    report(options, &moved, begun.elapsed())?;
    if !options.verify {
        return Ok(true);
    }
    compare::compare_and_print(from, to, options.json).await
}

fn report(options: &Options, moved: &Progress, took: Duration) -> Result<()> {
    let Progress { rows, ticks, pages } = *moved;
    if options.json {
        let (from, to) = (options.from.to_string(), options.to.to_string());
        let seconds = took.as_secs_f64();
        let report = serde_json::json!({ "from": from, "to": to, "rows": rows, "ticks": ticks, "pages": pages, "seconds": seconds });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    if moved.records() == 0 {
        println!("{} holds everything already", options.to);
        return Ok(());
    }
    let rate = (moved.records() as f64 / took.as_secs_f64().max(0.001)) as u64;
    println!(
        "{} rows and {} ticks moved to {} in {} ({} a second)",
        HumanCount(rows),
        HumanCount(ticks),
        options.to,
        HumanDuration(took),
        HumanCount(rate)
    );
    Ok(())
}

/// A bar on standard error; hidden where that is no terminal.
pub(crate) struct Bar {
    pub(crate) bar: ProgressBar,
    is_hidden: bool,
}

impl Bar {
    pub(crate) fn new(length: u64, name: &str) -> Self {
        let bar = ProgressBar::new(length).with_message(name.to_owned());
        let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} left";
        // A template that does not parse leaves the plain bar.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, is_hidden: !std::io::stderr().is_terminal() }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("tallybook: {line}"));
    }
}
