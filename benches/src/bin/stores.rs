//! `cargo xtask bench stores`: what a commit costs on each store.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use tallybook_backends::{Backend, Config, open};
use tallybook_benches::table::{markdown, median, milliseconds};
use tallybook_core::{
    Ack, AttributeKey, Batch, BatchId, Query, Records, Scope, Signal, Sketch, SourceId, Store, StoreExt as _,
    Timestamp, hash_bytes,
};

/// Commits that touch many attribute keys, on SQLite and on the PostgreSQL of DATABASE_URL, and prints a table in Markdown.
#[derive(Parser)]
struct Options {
    /// Keys that each commit touches
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    /// Commits of each kind
    #[arg(long, default_value_t = 10)]
    commits: u64,
    /// The PostgreSQL database, which gets tables it did not have
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut table = markdown([
        "store",
        "first commit ms",
        "same values again ms (median)",
        "new values ms (median)",
        "list of 100 ms",
        "four writers, rows/s",
    ]);
    for backend in Backend::ALL {
        if *backend == Backend::Postgres && options.database_url.is_none() {
            println!("postgres was not measured: DATABASE_URL is not set\n");
            continue;
        }
        let folder = tempfile::tempdir()?;
        table.add_row(measure(*backend, folder.path(), &options).await?);
    }
    println!("{} attribute keys a commit, {} commits of each kind\n\n{table}", options.keys, options.commits);
    Ok(())
}

async fn measure(backend: Backend, folder: &Path, options: &Options) -> Result<Vec<String>> {
    let config = Config {
        use_db: backend,
        data_dir: folder.to_owned(),
        database_url: options.database_url.clone(),
        holder: "a benchmark".to_owned(),
    };
    let store = open(&config).await?;
    let source = SourceId::mint();
    let mut seq = 0;
    let mut timed = async |values: u64| -> Result<f64> {
        seq += 1;
        let batch = batch(source, seq, options.keys, values);
        let started = Instant::now();
        store.commit(batch).await?;
        Ok(milliseconds(started.elapsed()))
    };
    let first = timed(0).await?;
    let (mut same, mut new) = (Vec::new(), Vec::new());
    for commit in 0..options.commits {
        same.push(timed(0).await?);
        new.push(timed(commit + 1).await?);
    }
    let list = list(store.as_ref()).await?;
    let four = four_writers(&store, options).await?;
    store.close().await?;
    Ok(vec![
        backend.to_string(),
        format!("{first:.0}"),
        format!("{:.0}", median(same).context("no commit")?),
        format!("{:.0}", median(new).context("no commit")?),
        format!("{list:.1}"),
        format!("{four:.0}"),
    ])
}

async fn list(store: &dyn Store) -> Result<f64> {
    let started = Instant::now();
    let query = Query { total: true, ..Query::new(100).sort("cardinality", true) };
    let page = store.list::<AttributeKey>(&query).await?;
    anyhow::ensure!(page.items.len() == 100, "a page of 100");
    Ok(milliseconds(started.elapsed()))
}

/// Four sources that commit at the same time, as four servers do.
async fn four_writers(store: &Arc<dyn Store>, options: &Options) -> Result<f64> {
    let (keys, commits) = (options.keys / 10, options.commits);
    let started = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        writers.spawn(async move {
            let source = SourceId::mint();
            for seq in 0..commits {
                store.commit(batch(source, seq, keys, seq)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok((4 * keys * commits) as f64 / started.elapsed().as_secs_f64())
}

/// `keys` rows, each with three values of the series `values`.
fn batch(source: SourceId, seq: u64, keys: u64, values: u64) -> Arc<Batch> {
    let now = Timestamp::now();
    let row = |key: u64| {
        let mut sketch = Sketch::default();
        for value in 0..3 {
            sketch.insert(hash_bytes(format!("{key} {values} {value}").as_bytes()));
        }
        AttributeKey {
            signal: Signal::Span,
            service: format!("service-{}", key % 20).into(),
            name: format!("GET /things/{}", key / 20 % 50).into(),
            scope: Scope::Attribute,
            key: format!("attribute.number.{key}").into(),
            count: 7,
            cardinality: 0,
            first_seen: now,
            last_seen: now,
            distinct_values: Arc::new(sketch),
        }
    };
    let mut records = Records::default();
    records.catalogue.attribute_keys = (0..keys).map(row).collect();
    Arc::new(Batch { id: BatchId { source, seq }, ack: Ack::Written, records })
}
