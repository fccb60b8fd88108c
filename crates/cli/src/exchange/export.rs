//! `tallybook export`: records of the store into files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;
use tallybook_core::{DAY, Ping, PingSeen, Query, Segment, StoreExt as _, Tick, TimeRange, Timestamp};
use tallybook_exchange::{Compression, FileKind, FileWriter, Shape};
use tallybook_formats::Format;

use super::source::{Kept, Name};
use super::{Family, Where, Which, parse_shape, plural, record_bar};
use crate::place::Reached;

/// What `export` reads, and where it writes it.
#[derive(Args)]
pub(crate) struct Options {
    /// What is written
    family: Family,
    #[command(flatten)]
    which: Which,
    /// A file, or a folder that gets a file for each UTC day (one that is there, or a name that ends with /); without it, or
    /// with -, the standard output
    #[arg(long, short = 'o', value_name = "FILE|DIR")]
    to: Option<PathBuf>,
    /// csv, ndjson, json, parquet, sqlite, or feed or feed-ndjson (JSON as recorders of price feeds write it); the name of
    /// the file says it too
    #[arg(long, value_name = "FORMAT", value_parser = parse_shape)]
    format: Option<Shape>,
    /// How files are compressed; the name of a single file says it too
    #[arg(long, value_enum, value_name = "HOW")]
    compress: Option<Compress>,
    /// What a feed says as broker_id
    #[arg(long, default_value = "tallybook", value_name = "ID")]
    broker_id: String,
    /// Write days again that are there
    #[arg(long)]
    overwrite: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Compress {
    None,
    Gz,
    Zst,
}

/// What an export came to.
#[derive(Debug, Default, Serialize)]
struct Report {
    records: u64,
    files: u64,
    /// Days whose file is there and was written after they ended.
    skipped_days: u64,
    seconds: f64,
}

/// Exports.
///
/// # Errors
/// One sentence when nothing can be read or written.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exported = runtime.block_on(async {
        match options.family {
            Family::Ticks => export::<Tick>(options).await,
            Family::Pings => export::<Ping>(options).await,
        }
    });
    match exported {
        Err(error) if reader_has_gone(&error) => Ok(ExitCode::SUCCESS),
        exported => exported,
    }
}

/// Whether nobody reads the output any more, as after `| head`: an end, and no error.
fn reader_has_gone(error: &anyhow::Error) -> bool {
    let is_broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|error| error.downcast_ref::<io::Error>().is_some_and(is_broken))
}

/// Where an export goes.
enum Destination {
    StandardOutput(FileKind),
    File(PathBuf, FileKind),
    Folder(PathBuf, FileKind),
}

async fn export<R: Days>(options: &Options) -> Result<ExitCode> {
    let destination = options.destination()?;
    let (Destination::StandardOutput(kind) | Destination::File(_, kind) | Destination::Folder(_, kind)) = &destination;
    if options.family == Family::Pings && matches!(kind.shape, Shape::Sqlite | Shape::Feed { .. }) {
        bail!("pings are exported as csv, ndjson, json or parquet; a feed and a plain table hold ticks alone");
    }
    let range = options.which.range()?;
    let Where { server, token, settings } = &options.place;
    let reached = Reached::find(settings, server.as_deref(), token.as_ref(), "tallybook export").await?;
    let begun = Instant::now();
    let written = match &destination {
        Destination::Folder(folder, kind) => options.folder::<R>(&reached, folder, *kind, range).await,
        Destination::File(path, kind) => {
            let writer = FileWriter::<R>::create(path, *kind, &options.broker_id)?;
            options.file(&reached, writer, range).await
        }
        Destination::StandardOutput(kind) => {
            let writer = FileWriter::<R>::to_stdout(*kind, &options.broker_id)?;
            options.file(&reached, writer, range).await
        }
    };
    reached.close().await?;
    let report = Report { seconds: begun.elapsed().as_secs_f64(), ..written? };
    report.print::<R>(&destination, options.json)?;
    Ok(ExitCode::SUCCESS)
}

impl Report {
    /// To the standard output, unless the records went there.
    fn print<R: Kept>(&self, destination: &Destination, json: bool) -> Result<()> {
        let text = if json {
            serde_json::to_string_pretty(self)?
        } else {
            let rate = indicatif::HumanCount((self.records as f64 / self.seconds.max(1e-3)) as u64);
            let skipped = match self.skipped_days {
                0 => String::new(),
                days => format!("; {} there already, --overwrite writes them again", plural(days, "day")),
            };
            format!(
                "{} {} written to {} in {:.1} s ({rate} a second){skipped}",
                indicatif::HumanCount(self.records),
                R::WORD,
                plural(self.files, "file"),
                self.seconds
            )
        };
        if matches!(destination, Destination::StandardOutput(_)) {
            writeln!(io::stderr(), "{text}")?;
        } else {
            writeln!(io::stdout(), "{text}")?;
        }
        Ok(())
    }
}

impl Options {
    fn destination(&self) -> Result<Destination> {
        let compression = self.compress.map(|compress| match compress {
            Compress::None => Compression::None,
            Compress::Gz => Compression::Gzip,
            Compress::Zst => Compression::Zstd,
        });
        let kind = |named: Option<FileKind>| {
            let shape = self.format.or(named.map(|kind| kind.shape)).unwrap_or(Shape::Format(Format::Csv));
            let compression = compression.or(named.map(|kind| kind.compression)).unwrap_or_default();
            if compression != Compression::None && !shape.can_be_compressed() {
                bail!("a Parquet file compresses by itself, and a database cannot be compressed: leave --compress out");
            }
            Ok(FileKind { shape, compression })
        };
        match &self.to {
            None => Ok(Destination::StandardOutput(kind(None)?)),
            Some(path) if path == Path::new("-") => Ok(Destination::StandardOutput(kind(None)?)),
            Some(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Ok(Destination::Folder(path.clone(), kind(None)?))
            }
            Some(path) => {
                let named = FileKind::of(path);
                if named.is_none() && self.format.is_none() {
                    bail!(
                        "the name {} does not say what to write; say it with --format, or end it with .csv, .ndjson, .json, \
                         .parquet or .db (a folder with /)",
                        path.display()
                    );
                }
                Ok(Destination::File(path.clone(), kind(named)?))
            }
        }
    }

    async fn names<R: Kept>(&self, reached: &Reached, range: TimeRange) -> Result<Vec<Name>> {
        let names = reached.names::<R>(range).await?;
        Ok(names.into_iter().filter(|name| self.which.wants(&name.name)).collect())
    }

    /// Writes everything into one file, name by name.
    async fn file<R: Days>(&self, reached: &Reached, mut writer: FileWriter<R>, range: TimeRange) -> Result<Report> {
        // Names are listed of the days that can be read.
        if let Some(error) = R::days(reached, range).await?.into_iter().find_map(|day| day.error) {
            bail!("{error}");
        }
        let names = self.names::<R>(reached, range).await?;
        let bar = record_bar(names.iter().map(|name| name.count).sum(), "exporting");
        for Name { name, .. } in &names {
            write(reached, name, range, &mut writer, &bar).await?;
        }
        let report = Report { records: writer.records(), files: 1, ..Report::default() };
        writer.finish()?;
        bar.finish_and_clear();
        Ok(report)
    }

    /// Writes a file for each day. One that is whole is not written again.
    async fn folder<R: Days>(
        &self,
        reached: &Reached,
        folder: &Path,
        kind: FileKind,
        range: TimeRange,
    ) -> Result<Report> {
        let mut report = Report::default();
        let days = R::days(reached, range).await?;
        let bar = record_bar(days.iter().map(|day| day.count).sum(), "exporting");
        for Listed { day, count, error } in days {
            let path = kind.day_file(folder, R::WORD, day);
            if !self.overwrite && is_whole(&path, day) {
                report.skipped_days += 1;
                bar.inc(count.unwrap_or(0));
                continue;
            }
            if let Some(error) = error {
                bail!("{error}");
            }
            let within = TimeRange { from: day.max(range.from), to: Timestamp(day.0 + DAY).min(range.to) };
            let mut writer = FileWriter::<R>::create(&path, kind, &self.broker_id)?;
            for Name { name, .. } in self.names::<R>(reached, within).await? {
                write(reached, &name, within, &mut writer, &bar).await?;
            }
            if writer.records() > 0 {
                report.records += writer.records();
                report.files += 1;
                writer.finish()?;
            }
        }
        bar.finish_and_clear();
        Ok(report)
    }
}

async fn write<R: Kept>(
    reached: &Reached,
    name: &Arc<str>,
    range: TimeRange,
    writer: &mut FileWriter<R>,
    bar: &ProgressBar,
) -> Result<()> {
    let each = |page: &[R]| {
        writer.push(page)?;
        bar.inc(page.len() as u64);
        Ok(())
    };
    reached.each(name, range, each).await
}

/// Whether the file of a day is there, and was written when the day was over.
fn is_whole(path: &Path, day: Timestamp) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    modified.is_some_and(|at| at.as_nanos() > u128::from(day.0.saturating_add(DAY).unsigned_abs()))
}

/// A UTC day, and how many records it has where that is known.
struct Listed {
    day: Timestamp,
    count: Option<u64>,
    /// Why it cannot be read.
    error: Option<String>,
}

/// A family whose days are known.
trait Days: Kept {
    /// The days that have records in a range, and maybe others; the earliest first.
    async fn days(reached: &Reached, range: TimeRange) -> Result<Vec<Listed>>;
}

impl Days for Tick {
    async fn days(reached: &Reached, range: TimeRange) -> Result<Vec<Listed>> {
        let days: Vec<Listed> = match reached {
            Reached::Store(store) => {
                let day =
                    |segment: Segment| Listed { day: segment.day, count: Some(segment.count), error: segment.error };
                store.segments().await?.into_iter().map(day).collect()
            }
            Reached::Server(remote) => {
                let segments = remote.list("ticks/segments", &[("order", "asc".to_owned())]).await?;
                let day = |item: &serde_json::Value| {
                    let (count, error) = (item["ticks"].as_u64(), item["error"].as_str().map(str::to_owned));
                    Some(Listed { day: Timestamp::parse(item["day"].as_str()?)?, count, error })
                };
                segments.iter().filter_map(day).collect()
            }
        };
        Ok(days.into_iter().filter(|day| day.day >= range.from.day() && day.day < range.to).collect())
    }
}

impl Days for Ping {
    async fn days(reached: &Reached, range: TimeRange) -> Result<Vec<Listed>> {
        let seen: Vec<(Timestamp, Timestamp)> = match reached {
            Reached::Store(store) => {
                let seen = store.list_all::<PingSeen>(Query::new(1_000)).await?;
                seen.into_iter().map(|seen| (seen.first_seen, seen.last_seen)).collect()
            }
            Reached::Server(remote) => {
                let items = remote.list("targets", &[]).await?;
                let moment = |item: &serde_json::Value, name: &str| Timestamp::parse(item[name].as_str()?);
                let seen = |item| Some((moment(item, "first_seen")?, moment(item, "last_seen")?));
                items.iter().filter_map(seen).collect()
            }
        };
        let mut days = BTreeSet::new();
        for (first, last) in seen {
            let mut day = first.max(range.from).day();
            while day <= last && day < range.to {
                days.insert(day);
                day = Timestamp(day.0 + DAY);
            }
        }
        Ok(days.into_iter().map(|day| Listed { day, count: None, error: None }).collect())
    }
}
