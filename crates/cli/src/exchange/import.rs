//! `tallybook import`: files into the store.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use serde::Serialize;
use tallybook_core::{Digests, Precision, Timestamp};
use tallybook_exchange::{Done, FileError, InputFile, Journal, Page, Progress, Shape, read};
use tallybook_formats::BadRecord;
use tallybook_writer::{AckLevel, WhenFull, WriterOptions};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::source::Kept;
use super::{Family, Where, byte_bar, find_files, parse_shape, plural};
use crate::place::{Place, Reached, Taken};
use crate::remote::NotTaken;
use crate::serve::writer_options;

/// Records that are brought together: the writer commits so many at once, and a server reads them as one request.
const BATCH_TO_STORE: usize = 50_000;
const BATCH_TO_SERVER: usize = 20_000;
/// Bad records that are brought together.
const MAX_BAD: usize = 500;
/// Files that end within one batch.
const MAX_ENDS: usize = 1_000;
/// Batches that are on their way at the same time.
const IN_FLIGHT: usize = 3;
/// Batches that are read ahead.
const READ_AHEAD: usize = 2;
/// The first wait after a failure; it doubles with each.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(5);
/// The import ends when nothing is taken for this long.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);
/// How long the end may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(60);
/// Errors that are told; the others are counted.
const ERRORS_TOLD: usize = 20;

/// What `import` reads, and where it brings it.
#[derive(Args)]
pub(crate) struct Options {
    /// What the files hold
    family: Family,
    /// Files, and folders of them: .csv, .ndjson, .json, .parquet or .db (SQLite), the texts also with .gz or .zst
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// What all of them are, whatever they are called: csv, ndjson, json, parquet or sqlite
    #[arg(long, value_name = "FORMAT", value_parser = parse_shape)]
    format: Option<Shape>,
    /// Read everything and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Imports; the exit code is 1 when a record was rejected or a file could not be read to its end.
///
/// # Errors
/// One sentence when there is nothing to read, or nobody takes it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match options.family {
            Family::Ticks => import::<tallybook_core::Tick>(options).await,
            Family::Pings => import::<tallybook_core::Ping>(options).await,
        }
    })
}

async fn import<R: Kept>(options: &Options) -> Result<ExitCode> {
    let files = Arc::new(find_files(&options.paths, options.format)?);
    let begun = Instant::now();
    let report = if options.dry_run {
        let read = files.clone();
        tokio::task::spawn_blocking(move || dry_run::<R>(&read)).await?
    } else {
        bring::<R>(options, &files).await?
    };
    let report = Report { files: files.len(), seconds: begun.elapsed().as_secs_f64(), ..report };
    report.print::<R>(options.json)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What an import came to.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: usize,
    /// `skipped + stored + duplicate + replaced + rejected + shed`.
    read: u64,
    /// Done by an import that was cut off.
    skipped: u64,
    stored: u64,
    duplicate: u64,
    replaced: u64,
    rejected: u64,
    shed: u64,
    seconds: f64,
    /// Whether nothing was to be stored.
    dry_run: bool,
    /// Symbols or targets, and the first and last moment; of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
    /// The first of those that were rejected.
    errors: Vec<LineError>,
    /// Files that could not be read to their end.
    broken_files: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Found {
    names: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct LineError {
    place: String,
    error: String,
}

impl Report {
    fn is_clean(&self) -> bool {
        self.rejected == 0 && self.shed == 0 && self.broken_files.is_empty()
    }

    fn add(&mut self, taken: Taken) {
        let Taken { stored, duplicate, replaced, rejected, shed } = taken;
        self.read += stored + duplicate + replaced + rejected + shed;
        self.stored += stored;
        self.duplicate += duplicate;
        self.replaced += replaced;
        self.rejected += rejected;
        self.shed += shed;
    }

    fn reject(&mut self, bad: &[(String, BadRecord)]) {
        self.read += bad.len() as u64;
        self.rejected += bad.len() as u64;
        let room = ERRORS_TOLD.saturating_sub(self.errors.len());
        let told =
            bad.iter().take(room).map(|(place, bad)| LineError { place: place.clone(), error: bad.error.clone() });
        self.errors.extend(told);
    }

    fn print<R: Kept>(&self, json: bool) -> Result<()> {
        for error in &self.errors {
            eprintln!("{}: {}", error.place, error.error);
        }
        let told = self.errors.len() as u64;
        if self.rejected > told {
            eprintln!("and {} more", indicatif::HumanCount(self.rejected - told));
        }
        for broken in &self.broken_files {
            eprintln!("{broken}");
        }
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        let rate =
            indicatif::HumanCount((self.read.saturating_sub(self.skipped) as f64 / self.seconds.max(1e-3)) as u64);
        let (files, read) = (plural(self.files as u64, "file"), indicatif::HumanCount(self.read));
        writeln!(out, "{read} {} read in {files} in {:.1} s ({rate} a second)", R::WORD, self.seconds)?;
        let mut line = |count: u64, what: &str, always: bool| {
            if count > 0 || always {
                writeln!(out, "{:>15} {what}", indicatif::HumanCount(count).to_string())
            } else {
                Ok(())
            }
        };
        line(self.skipped, "done before, by an import that was cut off", false)?;
        if self.dry_run {
            line(self.read - self.rejected, "could be stored", true)?;
        } else {
            line(self.stored, "stored", true)?;
            line(self.duplicate, "duplicate: there already", true)?;
            line(self.replaced, "replaced one of the same target and time", false)?;
            line(self.shed, "dropped, because the server was full", false)?;
        }
        line(self.rejected, if self.dry_run { "rejected" } else { "rejected: kept as dead letters" }, true)?;
        if let Some(Found { names, first: Some(first), last: Some(last) }) = &self.found {
            writeln!(
                out,
                "{} names, from {first} to {last}; nothing was stored",
                indicatif::HumanCount(*names as u64)
            )?;
        }
        Ok(())
    }
}

fn dry_run<R: Kept>(files: &[InputFile]) -> Report {
    let mut report = Report { dry_run: true, ..Report::default() };
    let (mut digests, progress) = (Digests::default(), Progress::default());
    let bar = byte_bar(files.iter().map(|file| file.bytes).sum(), "reading");
    for file in files {
        let read = read(file, Timestamp::now(), &progress, |page: Page<R>| {
            report.read += page.records.len() as u64;
            for record in &page.records {
                digests.add(record, Precision::QUOTES);
            }
            report.reject(&placed(file, page.bad));
            bar.set_position(progress.bytes());
            ControlFlow::Continue(())
        });
        report.broken_files.extend(read.err().map(described));
    }
    bar.finish_and_clear();
    let names: BTreeSet<_> = digests.iter().map(|(name, ..)| name).collect();
    report.found = Some(Found {
        names: names.len(),
        first: digests.iter().map(|(.., digest)| digest.first).min(),
        last: digests.iter().map(|(.., digest)| digest.last).max(),
    });
    report
}

/// Where bad records of a file stood.
fn placed(file: &InputFile, bad: Vec<BadRecord>) -> Vec<(String, BadRecord)> {
    bad.into_iter().map(|bad| (format!("{}:{}", file.path.display(), bad.line), bad)).collect()
}

/// An error with those underneath it.
fn described(error: FileError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

/// Records that are brought together, and what is done when they are.
struct Batch<R> {
    records: Vec<R>,
    bad: Vec<(String, BadRecord)>,
    /// How far each file has come then, by its place among the files.
    ends: Vec<(usize, Done)>,
    /// Records that an import which was cut off had brought.
    skipped: u64,
    broken: Vec<String>,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self { records: Vec::new(), bad: Vec::new(), ends: Vec::new(), skipped: 0, broken: Vec::new() }
    }
}

async fn bring<R: Kept>(options: &Options, files: &Arc<Vec<InputFile>>) -> Result<Report> {
    let Where { server, token, settings } = &options.place;
    let reached = Reached::find(settings, server.as_deref(), token.as_ref(), "tallybook import").await?;
    let destination = match &reached {
        Reached::Store(_) => settings.store.database_url.clone().unwrap_or_default(),
        Reached::Server(remote) => remote.to_string(),
    };
    let mut journal = Journal::open(&settings.store.data_dir, &format!("{} {destination}", R::WORD), files);
    if journal.is_continued() && !continues::<R>(&reached, &journal, files).await? {
        journal.begin_again();
    }
    let max_records = if matches!(reached, Reached::Store(_)) { BATCH_TO_STORE } else { BATCH_TO_SERVER };
    let place = Place::new(reached, &import_options(&writer_options(settings)));
    let brought = bring_to::<R>(&place, files, &mut journal, max_records).await;
    let closed = place.close(CLOSE_LIMIT).await;
    let report = brought?;
    closed?;
    journal.finish()?;
    Ok(report)
}

/// A writer that answers once records are on disk, keeps none of them in memory, and leaves old ones to the server.
fn import_options(options: &WriterOptions) -> WriterOptions {
    const NEVER: Duration = Duration::from_secs(365 * 86_400);
    let mut options = *options;
    // Nothing may be dropped, whatever the settings say of a server.
    let wait = WhenFull::Block { limit: GIVE_UP_AFTER };
    (options.ticks.queue.when_full, options.pings.when_full) = (wait, wait);
    options.ticks.queue.ack = AckLevel::Durable;
    options.ticks.ring_per_symbol = 0;
    options.ticks.drop_identical = false;
    options.pings.ack = AckLevel::Durable;
    options.pings.max_commit_records = options.pings.max_commit_records.max(BATCH_TO_STORE);
    options.retention.first_after = NEVER;
    options
}

/// Whether the store is the one that the last import brought records to.
async fn continues<R: Kept>(reached: &Reached, journal: &Journal, files: &[InputFile]) -> Result<bool> {
    let last = files.iter().filter_map(|file| journal.done(file)?.last.clone()).next_back();
    match last {
        Some((name, time, seq)) => reached.holds::<R>(&name, time, seq).await,
        None => Ok(true),
    }
}

async fn bring_to<R: Kept>(
    place: &Place,
    files: &Arc<Vec<InputFile>>,
    journal: &mut Journal,
    max_records: usize,
) -> Result<Report> {
    let done: Vec<Done> = files.iter().map(|file| journal.done(file).cloned().unwrap_or_default()).collect();
    let (sender, mut batches) = mpsc::channel::<Batch<R>>(READ_AHEAD);
    let progress = Progress::default();
    let bar = byte_bar(files.iter().map(|file| file.bytes).sum(), "importing");
    let reading = tokio::task::spawn_blocking({
        let (files, progress) = (files.clone(), progress.clone());
        move || read_files(&files, &done, &progress, max_records, &sender)
    });
    let (mut report, mut in_flight) = (Report::default(), FuturesOrdered::new());
    let begun = Instant::now();
    loop {
        let (batch, taken) = tokio::select! {
            Some(brought) = in_flight.next(), if !in_flight.is_empty() => brought,
            Some(batch) = batches.recv(), if in_flight.len() < IN_FLIGHT => {
                in_flight.push_back(bring_batch(place, batch));
                continue;
            }
            else => break,
        };
        let taken: Taken = taken?;
        report.add(taken);
        report.reject(&batch.bad);
        report.skipped += batch.skipped;
        report.read += batch.skipped;
        report.broken_files.extend(batch.broken);
        for (file, done) in batch.ends {
            journal.note(&files[file], done)?;
        }
        bar.set_position(progress.bytes());
        let rate = (report.read - report.skipped) as f64 / begun.elapsed().as_secs_f64().max(1e-3);
        bar.set_message(format!("{}/s", indicatif::HumanCount(rate as u64)));
    }
    drop(in_flight);
    bar.finish_and_clear();
    reading.await?;
    Ok(report)
}

/// Brings a batch, again and again while that fails for now.
async fn bring_batch<R: Kept>(place: &Place, batch: Batch<R>) -> (Batch<R>, Result<Taken>) {
    let taken = persist(async || {
        if !batch.bad.is_empty() {
            place.reject::<R>(&batch.bad).await?;
        }
        if batch.records.is_empty() { Ok(Taken::default()) } else { place.take(&batch.records).await }
    })
    .await;
    (batch, taken)
}

async fn persist(bring: impl AsyncFn() -> Result<Taken, NotTaken>) -> Result<Taken> {
    let (begun, mut pause) = (Instant::now(), FIRST_RETRY);
    loop {
        match bring().await {
            Ok(taken) => return Ok(taken),
            Err(NotTaken::Refused(why)) => bail!("{why}"),
            Err(NotTaken::Yet(why)) if begun.elapsed() > GIVE_UP_AFTER => {
                return Err(anyhow::anyhow!("{why}")).context(
                    "the import cannot go on; what was read before is stored, and the same command goes on from there",
                );
            }
            Err(NotTaken::Yet(_)) => {}
        }
        sleep(pause).await;
        pause = MAX_RETRY.min(pause * 2);
    }
}

/// Reads all files and sends what they hold in batches, until nobody receives them.
fn read_files<R: Kept>(
    files: &[InputFile],
    done: &[Done],
    progress: &Progress,
    max_records: usize,
    sender: &mpsc::Sender<Batch<R>>,
) {
    let received = Timestamp::now();
    let mut batch = Batch::default();
    for (at, file) in files.iter().enumerate() {
        if done[at].whole {
            batch.skipped += done[at].items;
            batch.ends.push((at, done[at].clone()));
            continue;
        }
        let (mut items, mut last) = (0, None);
        let mut gone = false;
        let read = read(file, received, progress, |page: Page<R>| {
            let before = items;
            items += (page.records.len() + page.bad.len()) as u64;
            if let Some(record) = page.records.last() {
                last = Some((record.name().to_string(), record.time(), record.seq()));
            }
            // Pages are the same each time a file is read.
            if items <= done[at].items {
                batch.skipped += items - before;
                return ControlFlow::Continue(());
            }
            batch.records.extend(page.records);
            batch.bad.extend(placed(file, page.bad));
            if batch.records.len() < max_records && batch.bad.len() < MAX_BAD {
                return ControlFlow::Continue(());
            }
            batch.ends.push((at, Done::new(items, last.clone(), false)));
            gone = sender.blocking_send(std::mem::take(&mut batch)).is_err();
            if gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if gone {
            return;
        }
        match read {
            Ok(()) => batch.ends.push((at, Done::new(items, last, true))),
            Err(error) => batch.broken.push(described(error)),
        }
        if batch.ends.len() >= MAX_ENDS && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
            return;
        }
    }
    // Nobody receives it where the import has failed.
    let _gone = sender.blocking_send(batch);
}
