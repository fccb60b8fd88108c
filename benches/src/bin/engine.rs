//! `cargo xtask bench engine`: what a call of the SQLite engine costs, beside bare rusqlite and Python's sqlite3.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use tallybook_sqlite::rusqlite::{Connection, params};
use tallybook_sqlite::{Ack, Cancel, Engine, Options as EngineOptions, Params, Value};

/// Single and bulk inserts, point reads, and writes during a backup; prints tables in Markdown.
#[derive(Parser)]
struct Options {
    /// How long each rate is measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds, in turns for each way; the best of each rate counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Rows of the bulk insert
    #[arg(long, default_value_t = 500_000)]
    rows: u64,
    /// MB of the database that is backed up while others write
    #[arg(long, default_value_t = 1_000)]
    backup_mb: u64,
    /// The folder to work in, on the disk that is to be measured; else a temporary one
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

const SCHEMA: &str = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value REAL) STRICT";
const INSERT: &str = "INSERT INTO item (name, value) VALUES (?, ?)";
const SELECT: &str = "SELECT name, value FROM item WHERE id = ?";
/// A prime, so that reads jump about.
const STRIDE: u64 = 7_919;
const CALLERS: usize = 64;

/// What was measured of one way to use SQLite, a second.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    durable: f64,
    written: f64,
    bulk: f64,
    read: f64,
}

impl Rates {
    fn best(self, other: Self) -> Self {
        Self {
            durable: self.durable.max(other.durable),
            written: self.written.max(other.written),
            bulk: self.bulk.max(other.bulk),
            read: self.read.max(other.read),
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let folder = match &options.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let time = Duration::from_secs_f64(options.seconds);
    let [mut ours, mut bare, mut python] = [Rates::default(); 3];
    // In turns and each with a new file: a machine that is slower for a while is so for all of them.
    for round in 0..options.rounds.max(1) {
        let folder = folder.path().join(round.to_string());
        std::fs::create_dir(&folder)?;
        let (engine, connection) = (open(&folder.join("engine.db"))?, open_bare(&folder.join("bare.db"))?);
        let [durable, written] = inserts_in_turns(&engine, &connection, time)?;
        let (of_engine, of_bare) =
            (rows_of_engine(&engine, time, options.rows)?, rows_of_bare(&connection, time, options.rows)?);
        ours = ours.best(Rates { durable: durable[0], written: written[0], ..of_engine });
        bare = bare.best(Rates { durable: durable[1], written: written[1], ..of_bare });
        engine.shutdown()?;
        drop(connection);
        python = python.best(measure_python(&folder, &options)?);
        std::fs::remove_dir_all(&folder)?;
    }
    let engine = open(&folder.path().join("engine.db"))?;
    let together = rate_of(CALLERS, time, |at| engine.execute(INSERT, row(at)).map(|_| ()))?;
    let together_written =
        rate_of(CALLERS, time, |at| engine.with_ack(Ack::Written).execute(INSERT, row(at)).map(|_| ()))?;
    let count = count(&engine)?;
    let read = |at: u64| engine.query(SELECT, key(at, count)).map(|_| ());
    let (mut one_core, mut two_cores) = (0.0_f64, 0.0_f64);
    for _ in 0..options.rounds.max(1) {
        one_core = one_core.max(rate_of(1, time, read)?);
        two_cores = two_cores.max(rate_of(2, time, read)?);
    }

    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["a second", "engine", "bare rusqlite", "Python sqlite3", "asked"]);
    let mut line = |name: &str, rates: [f64; 3], asked: &str| {
        table.add_row([name, &shown(rates[0]), &shown(rates[1]), &shown(rates[2]), asked]);
    };
    line("single inserts, durable", [ours.durable, bare.durable, python.durable], "0.9 of bare rusqlite");
    line("single inserts, written", [ours.written, bare.written, python.written], "50000");
    line("bulk rows, durable", [ours.bulk, bare.bulk, python.bulk], "500000");
    line("point reads, one thread", [ours.read, bare.read, python.read], "150000");
    println!("{table}\n");

    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["engine", "measured", "asked"]);
    table.add_row(["durable inserts of one caller, of bare rusqlite", &ratio(ours.durable / bare.durable), "0.9"]);
    table.add_row([&format!("durable inserts a second, {CALLERS} callers"), &shown(together), ""]);
    table.add_row([&format!("the same, of one caller ({CALLERS} callers)"), &ratio(together / ours.durable), "10"]);
    table.add_row([&format!("written inserts a second, {CALLERS} callers"), &shown(together_written), ""]);
    table.add_row(["point reads on two threads, of one", &ratio(two_cores / one_core), "1.8"]);
    drop(engine);
    let (alone, during, took) = during_backup(&folder.path().join("large.db"), &options)?;
    let p99 = |latencies: &[Duration]| format!("{:.0} us", quantile(latencies, 0.99).as_secs_f64() * 1e6);
    table.add_row(["p99 of written inserts", &p99(&alone), ""]);
    let name = format!("the same, during a backup of {} MB ({:.1} s)", options.backup_mb, took.as_secs_f64());
    table.add_row([&name, &p99(&during), "twice that"]);
    println!("{table}");
    Ok(())
}

fn open(path: &Path) -> Result<Engine> {
    let engine = Engine::open(path, EngineOptions::default())?;
    engine.script(SCHEMA)?;
    Ok(engine)
}

fn row(at: u64) -> (String, f64) {
    (format!("name {at}"), at as f64 / 2.0)
}

fn key(at: u64, count: u64) -> (i64,) {
    ((at.wrapping_mul(STRIDE) % count + 1).cast_signed(),)
}

fn count(engine: &Engine) -> Result<u64> {
    let count = engine.query_as("SELECT count(*) FROM item", (), |row| row.get::<_, i64>(0))?;
    Ok(count.first().copied().unwrap_or_default().cast_unsigned())
}

/// Slices of a rate that is measured in turns.
const SLICES: u32 = 10;

/// Single inserts of the engine and of bare rusqlite, durable and written, a slice of each in turns: what the disk does
/// meanwhile, it does to both.
fn inserts_in_turns(engine: &Engine, bare: &Connection, time: Duration) -> Result<[[f64; 2]; 2]> {
    let insert = |at: u64| -> Result<()> {
        let (name, value) = row(at);
        bare.prepare_cached(INSERT)?.execute(params![name, value])?;
        Ok(())
    };
    let mut rates = [[0.0; 2]; 2];
    for (rates, (ack, synchronous)) in rates.iter_mut().zip([(Ack::Durable, "FULL"), (Ack::Written, "NORMAL")]) {
        bare.pragma_update(None, "synchronous", synchronous)?;
        let engine = engine.with_ack(ack);
        for _ in 0..SLICES {
            rates[0] += alone(time / SLICES, |at| Ok(engine.execute(INSERT, row(at)).map(|_| ())?))?;
            rates[1] += alone(time / SLICES, insert)?;
        }
        for rate in rates {
            *rate /= f64::from(SLICES);
        }
    }
    Ok(rates)
}

fn rows_of_engine(engine: &Engine, time: Duration, rows: u64) -> Result<Rates> {
    let sets: Vec<Params> = (0..rows).map(|at| row(at).into()).collect();
    let started = Instant::now();
    engine.execute_many(INSERT, sets)?;
    let bulk = rows as f64 / started.elapsed().as_secs_f64();
    let count = count(engine)?;
    let read = rate_of(1, time, |at| engine.query(SELECT, key(at, count)).map(|_| ()))?;
    Ok(Rates { bulk, read, ..Rates::default() })
}

/// Nothing in between, and a checkpoint where SQLite does one.
fn open_bare(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    for (pragma, value) in [("page_size", "4096"), ("synchronous", "FULL"), ("cache_size", "-16384")] {
        connection.pragma_update(None, pragma, value)?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn rows_of_bare(connection: &Connection, time: Duration, rows: u64) -> Result<Rates> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let sets: Vec<_> = (0..rows).map(row).collect();
    let started = Instant::now();
    connection.execute_batch("BEGIN")?;
    for (name, value) in &sets {
        connection.prepare_cached(INSERT)?.execute(params![name, value])?;
    }
    connection.execute_batch("COMMIT")?;
    let bulk = rows as f64 / started.elapsed().as_secs_f64();
    let count: i64 = connection.query_row("SELECT count(*) FROM item", [], |row| row.get(0))?;
    let read = alone(time, |at| {
        let mut statement = connection.prepare_cached(SELECT)?;
        let mut found = statement.query([key(at, count.cast_unsigned()).0])?;
        while let Some(row) = found.next()? {
            std::hint::black_box((row.get::<_, Value>(0)?, row.get::<_, Value>(1)?));
        }
        Ok(())
    })?;
    Ok(Rates { bulk, read, ..Rates::default() })
}

fn measure_python(folder: &Path, options: &Options) -> Result<Rates> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(folder).args([options.seconds.to_string(), options.rows.to_string()]);
    let output = python.output().context("python3 is not installed")?;
    if !output.status.success() {
        bail!("the Python script failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let result: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let rate = |name: &str| result[name].as_f64().with_context(|| format!("Python did not measure {name}"));
    Ok(Rates { durable: rate("durable")?, written: rate("written")?, bulk: rate("bulk")?, read: rate("read")? })
}

/// Runs of `work` a second on this thread.
fn alone(time: Duration, work: impl Fn(u64) -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < time {
        work(done)?;
        done += 1;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

/// Runs of `work` a second on that many threads.
fn rate_of(threads: usize, time: Duration, work: impl Fn(u64) -> tallybook_sqlite::Result<()> + Sync) -> Result<f64> {
    let done = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        let (done, work) = (&done, &work);
        let running: Vec<_> = (0..threads as u64)
            .map(|thread| {
                scope.spawn(move || {
                    let mut at = 0;
                    while started.elapsed() < time {
                        work(thread << 32 | at)?;
                        at += 1;
                    }
                    done.fetch_add(at, Ordering::Relaxed);
                    Ok(())
                })
            })
            .collect();
        running.into_iter().try_for_each(|running| match running.join() {
            Ok(worked) => worked.map_err(|error: tallybook_sqlite::Error| error.into()),
            Err(_) => bail!("a thread panicked"),
        })
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// How long written inserts take, a thousand a second, by themselves and during a backup; and how long that took.
fn during_backup(path: &Path, options: &Options) -> Result<(Vec<Duration>, Vec<Duration>, Duration)> {
    let engine = Engine::open(path, EngineOptions::default())?.with_ack(Ack::Written);
    engine.script(format!("{SCHEMA}; CREATE TABLE filler (x BLOB)"))?;
    for _ in 0..options.backup_mb.div_ceil(10) {
        engine.execute(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
             INSERT INTO filler SELECT randomblob(100000) FROM n",
            (),
        )?;
    }
    engine.checkpoint()?;
    let stop = AtomicBool::new(false);
    let write_until = |stop: &AtomicBool| -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            engine.execute(INSERT, row(latencies.len() as u64))?;
            latencies.push(started.elapsed());
            thread::sleep(Duration::from_millis(1).saturating_sub(started.elapsed()));
        }
        Ok(latencies)
    };
    let measured = |work: &dyn Fn() -> Result<()>| -> Result<Vec<Duration>> {
        stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let writer = scope.spawn(|| write_until(&stop));
            let worked = work();
            stop.store(true, Ordering::Relaxed);
            let latencies = writer.join();
            worked?;
            latencies.unwrap_or_else(|_| bail!("the writer panicked"))
        })
    };
    let alone = measured(&|| {
        thread::sleep(Duration::from_secs(10));
        Ok(())
    })?;
    let started = Instant::now();
    let copy = path.with_extension("copy");
    let during = measured(&|| {
        engine.backup_to(&copy, &Cancel::new(), &mut |_, _| ())?;
        Ok(())
    })?;
    Ok((alone, during, started.elapsed()))
}

fn quantile(latencies: &[Duration], share: f64) -> Duration {
    let mut sorted = latencies.to_vec();
    sorted.sort();
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

fn shown(rate: f64) -> String {
    format!("{rate:.0}")
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}
