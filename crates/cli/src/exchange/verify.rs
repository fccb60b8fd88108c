//! `tallybook verify FILE|DIR…`: whether files and the store hold the same records; or two stores, with `--from --to`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use tallybook_core::{DAY, Decimal, Difference, Digest, Digests, Ping, Precision, Tick, TimeRange, Timestamp};
use tallybook_exchange::{InputFile, Page, Progress, Shape, precision, read};

use super::source::{Kept, Name};
use super::{Family, Where, Which, byte_bar, find_files, parse_shape, plural, record_bar};
use crate::compare;
use crate::place::Reached;

/// Days of names that are shown one by one, and records of them.
const SHOWN: usize = 20;
/// Records of differing days that are looked at one by one.
const MAX_COMPARED: u64 = 5_000_000;

/// The exit code when both sides hold the same.
const SAME: u8 = 0;
/// When they do not.
const DIFFERENT: u8 = 1;
/// When it could not be found out.
const UNKNOWN: u8 = 2;

/// Files that are compared with the store.
#[derive(Args)]
pub(crate) struct Options {
    /// Files, and folders of them, that hold what the store should
    #[arg(value_name = "FILE|DIR", required_unless_present = "from")]
    files: Vec<PathBuf>,
    /// Compare all there is in two places instead: this one (sqlite:DIR, postgres://… or a mirror), record by record …
    #[arg(long, value_name = "PLACE", requires = "to", conflicts_with = "files")]
    from: Option<tallybook_backends::Place>,
    /// … with this one
    #[arg(long, value_name = "PLACE", requires = "from")]
    to: Option<tallybook_backends::Place>,
    /// What the files hold
    #[arg(long, value_name = "FAMILY", default_value = "ticks")]
    family: Family,
    #[command(flatten)]
    which: Which,
    /// What all files are, whatever they are called: csv, ndjson, json, parquet or sqlite
    #[arg(long, value_name = "FORMAT", value_parser = parse_shape)]
    format: Option<Shape>,
    /// Compare prices as numbers: 1.50 is 1.5
    #[arg(long)]
    by_value: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Compares; the exit code says whether both hold the same: 0 yes, 1 no, 2 when it could not be found out.
pub(crate) fn run(options: &Options) -> ExitCode {
    let verified = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into);
    let verified = verified.and_then(|runtime| {
        runtime.block_on(async {
            if let (Some(from), Some(to)) = (&options.from, &options.to) {
                return compare::places(from, to, options.json).await;
            }
            match options.family {
                Family::Ticks => verify::<Tick>(options).await,
                Family::Pings => verify::<Ping>(options).await,
            }
        })
    });
    match verified {
        Ok(true) => ExitCode::from(SAME),
        Ok(false) => ExitCode::from(DIFFERENT),
        Err(error) => {
            eprintln!("tallybook: {error:#}");
            ExitCode::from(UNKNOWN)
        }
    }
}

async fn verify<R: Compared>(options: &Options) -> Result<bool> {
    let range = options.which.range()?;
    let files = Arc::new(find_files(&options.files, options.format)?);
    let mut closeness = Precision::QUOTES;
    for file in files.iter() {
        closeness = closeness.common(precision(file)?);
    }
    closeness.digits &= !options.by_value;
    let Where { server, token, settings } = &options.place;
    let reached = Reached::find(settings, server.as_deref(), token.as_ref(), "tallybook verify").await?;
    let comparison = Comparison { files, reached, closeness, range, which: &options.which };
    let compared = comparison.run::<R>().await;
    comparison.reached.close().await?;
    let report = compared?;
    report.print(&comparison.reached.shown(), options.json)?;
    Ok(report.differences.is_empty())
}

/// What is compared with what.
struct Comparison<'a> {
    files: Arc<Vec<InputFile>>,
    reached: Reached,
    closeness: Precision,
    range: TimeRange,
    which: &'a Which,
}

/// What a comparison came to.
#[derive(Debug, Serialize)]
struct Report {
    same: bool,
    /// Records on each side.
    in_files: u64,
    in_store: u64,
    /// Names and days that were compared.
    compared: usize,
    /// Those that differ; `left` is what the files hold.
    differences: Vec<Difference>,
    /// The first records that only one side holds.
    first_records: Vec<Single>,
}

/// A record that one side holds and the other does not.
#[derive(Debug, Serialize)]
struct Single {
    only_in: &'static str,
    name: Arc<str>,
    time: Timestamp,
    record: String,
}

impl Comparison<'_> {
    async fn run<R: Compared>(&self) -> Result<Report> {
        let in_files = tokio::task::block_in_place(|| self.digest_files::<R>())?;
        let in_store = self.digest_store::<R>(&in_files).await?;
        let differences = in_files.differences(&in_store);
        let first_records = self.first_records::<R>(&differences).await?;
        let keys: BTreeSet<_> = in_files.iter().chain(in_store.iter()).map(|(name, day, _)| (name, day)).collect();
        Ok(Report {
            same: differences.is_empty(),
            in_files: in_files.records(),
            in_store: in_store.records(),
            compared: keys.len(),
            differences,
            first_records,
        })
    }

    fn is_meant(&self, name: &str, time: Timestamp) -> bool {
        self.range.from <= time && time < self.range.to && self.which.wants(name)
    }

    /// Gives all records of the files that are meant to `each`, beside the runtime.
    fn each_in_files<R: Kept>(&self, mut each: impl FnMut(&R)) -> Result<()> {
        let progress = Progress::default();
        let bar = byte_bar(self.files.iter().map(|file| file.bytes).sum(), "files");
        for file in self.files.iter() {
            let mut bad = None;
            read(file, Timestamp(0), &progress, |page: Page<R>| {
                let meant = page.records.iter().filter(|record| self.is_meant(record.name(), record.time()));
                meant.for_each(&mut each);
                bar.set_position(progress.bytes());
                bad = page.bad.into_iter().next();
                if bad.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if let Some(bad) = bad {
                anyhow::bail!("{}:{}: {}", file.path.display(), bad.line, bad.error);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn digest_files<R: Kept>(&self) -> Result<Digests> {
        let mut digests = Digests::default();
        self.each_in_files::<R>(|record| digests.add(record, self.closeness))?;
        Ok(digests)
    }

    /// What the store holds on the days of the files.
    async fn digest_store<R: Kept>(&self, in_files: &Digests) -> Result<Digests> {
        let days: BTreeSet<Timestamp> = in_files.iter().map(|(_, day, _)| day).collect();
        let bar = record_bar(Some(in_files.records()), "store");
        let mut digests = Digests::default();
        for day in days {
            let range = self.within(day);
            for Name { name, .. } in self.reached.names::<R>(range).await? {
                if !self.which.wants(&name) {
                    continue;
                }
                let add = |page: &[R]| {
                    for record in page {
                        digests.add(record, self.closeness);
                    }
                    bar.inc(page.len() as u64);
                    Ok(())
                };
                self.reached.each(&name, range, add).await.with_context(|| format!("reading `{name}`"))?;
            }
        }
        bar.finish_and_clear();
        Ok(digests)
    }

    fn within(&self, day: Timestamp) -> TimeRange {
        TimeRange { from: day.max(self.range.from), to: Timestamp(day.0.saturating_add(DAY)).min(self.range.to) }
    }

    /// The first records of differing days that only one side holds; none where these days are too large.
    async fn first_records<R: Compared>(&self, differences: &[Difference]) -> Result<Vec<Single>> {
        let count = |side: &Option<Digest>| side.map_or(0, |digest| digest.count);
        let mut looked_at = Vec::new();
        let mut records = 0;
        for difference in differences.iter().take(SHOWN) {
            records += count(&difference.left).max(count(&difference.right));
            if records > MAX_COMPARED {
                break;
            }
            looked_at.push(difference);
        }
        if looked_at.is_empty() {
            return Ok(Vec::new());
        }
        // How often the store holds what has that hash, and then what is left when the files have been taken off.
        let mut left: BTreeMap<(Arc<str>, Timestamp), HashMap<u64, u64>> = BTreeMap::new();
        for difference in &looked_at {
            let hashes = left.entry((difference.name.clone(), difference.day)).or_default();
            let add = |page: &[R]| {
                for record in page {
                    *hashes.entry(record.hash(self.closeness)).or_default() += 1;
                }
                Ok(())
            };
            self.reached.each(&difference.name, self.within(difference.day), add).await?;
        }
        let mut singles = Vec::new();
        tokio::task::block_in_place(|| {
            self.each_in_files::<R>(|record| {
                let Some(hashes) = left.get_mut(&(record.name().clone(), record.time().day())) else { return };
                match hashes.get_mut(&record.hash(self.closeness)).filter(|count| **count > 0) {
                    Some(count) => *count -= 1,
                    None if singles.len() < SHOWN => singles.push(single("files", record)),
                    None => {}
                }
            })
        })?;
        for ((name, day), hashes) in &mut left {
            let mut found = Vec::new();
            let look = |page: &[R]| {
                for record in page {
                    if let Some(count) = hashes.get_mut(&record.hash(self.closeness)).filter(|count| **count > 0) {
                        *count -= 1;
                        found.push(single("store", record));
                    }
                }
                Ok(())
            };
            self.reached.each(name, self.within(*day), look).await?;
            found.truncate(SHOWN);
            singles.extend(found);
        }
        singles.sort_by(|one, other| (&one.name, one.time).cmp(&(&other.name, other.time)));
        singles.truncate(SHOWN);
        Ok(singles)
    }
}

fn single<R: Compared>(only_in: &'static str, record: &R) -> Single {
    Single { only_in, name: record.name().clone(), time: record.time(), record: record.shown() }
}

/// A family whose records can be shown.
trait Compared: Kept {
    /// What differs from others of the same name and time.
    fn shown(&self) -> String;
}

impl Compared for Tick {
    fn shown(&self) -> String {
        let price = |price: Option<Decimal>| price.map_or("–".to_owned(), |price| price.to_string());
        let volume = self.volume.map_or(String::new(), |volume| format!(" volume {volume}"));
        format!("bid {} ask {}{volume} lp {}", price(self.bid), price(self.ask), self.source)
    }
}

impl Compared for Ping {
    fn shown(&self) -> String {
        match self.latency {
            Some(latency) => format!("{latency} ns"),
            None => format!("lost {}", self.error.as_deref().unwrap_or_default()),
        }
    }
}

impl Report {
    fn print(&self, store: &str, json: bool) -> Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        let compared = plural(self.compared as u64, "day");
        let (in_files, in_store) = (indicatif::HumanCount(self.in_files), indicatif::HumanCount(self.in_store));
        if self.same {
            writeln!(
                out,
                "the files and {store} hold the same {in_files} records of {compared} of symbols or targets"
            )?;
            return Ok(());
        }
        let mut table = new_table(["name", "day", "side", "records", "first", "last", "checksum"]);
        for difference in self.differences.iter().take(SHOWN) {
            let day: String = difference.day.to_string().chars().take(10).collect();
            for (side, digest) in [("files", difference.left), ("store", difference.right)] {
                let [count, first, last, checksum] = match digest {
                    Some(digest) => [
                        indicatif::HumanCount(digest.count).to_string(),
                        digest.first.to_string(),
                        digest.last.to_string(),
                        format!("{:016x}", digest.checksum),
                    ],
                    None => ["0".to_owned(), String::new(), String::new(), String::new()],
                };
                table.add_row([difference.name.as_ref(), &day, side, &count, &first, &last, &checksum]);
            }
        }
        if let Some(column) = table.column_mut(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        if !self.first_records.is_empty() {
            let mut table = new_table(["only in", "name", "time", "record"]);
            for single in &self.first_records {
                table.add_row([single.only_in, &*single.name, &single.time.to_string(), &single.record]);
            }
            writeln!(out, "The first records that only one side holds:\n{table}")?;
        }
        let differing = indicatif::HumanCount(self.differences.len() as u64);
        writeln!(
            out,
            "{differing} of {compared} of symbols or targets differ: {in_files} records in the files, {in_store} in {store}"
        )?;
        Ok(())
    }
}

fn new_table<const N: usize>(heading: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(heading);
    table
}
