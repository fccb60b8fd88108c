//! A segment that is open for reading.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use parquet::file::statistics::Statistics;
use tallybook_core::{Error, ErrorKind, Result, SymbolSummary, Tick, TickKey, TickQuery, TimeRange};

use super::footer::Footer;
use super::positioned::Positioned;
use super::rows::Rows;
use super::write::MILLISECOND;
use super::{columns, unread};
use crate::bounded::BoundedFile;

pub(super) const OPENING: &str = "opening a segment";
const READING: &str = "reading a segment";

/// A sealed day of ticks. Any number of threads may read it at once, also while its file is renamed or removed.
pub struct SegmentFile {
    file: BoundedFile,
    footer: Footer,
    /// Where each symbol's rows start, counted through the file; one more for the end.
    symbol_starts: Vec<usize>,
    /// Where each row group starts; one more for the end.
    group_starts: Vec<usize>,
}

/// Rows of one symbol in one row group.
#[derive(Clone)]
struct Run {
    symbol: usize,
    group: usize,
    /// Counted within the group.
    rows: Range<usize>,
}

impl SegmentFile {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    /// `Unavailable` where the file cannot be read, `Corrupt` where it is no segment.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = |error| {
            let context = format!("`{}` cannot be opened; check that it exists and may be read", path.display());
            Error::new(ErrorKind::Unavailable, OPENING, context).with_source(error)
        };
        let file = File::open(path).and_then(Positioned::new).map_err(cannot)?;
        let file = BoundedFile::of_ours(file).map_err(|error| unread(OPENING, error))?;
        let metadata = file.metadata();
        let footer = Footer::read(metadata.file_metadata())?;
        let symbol_starts = starts(footer.symbols.iter().map(|symbol| symbol.count as usize));
        let group_starts = starts(metadata.row_groups().iter().map(|group| group.num_rows() as usize));
        if symbol_starts.last() != group_starts.last() {
            let context = format!("`{}` has another number of ticks than its metadata says", path.display());
            return Err(Error::corrupt(OPENING, context));
        }
        Ok(Self { file, footer, symbol_starts, group_starts })
    }

    /// A UUID that no other segment has, not even one of the same ticks.
    pub fn id(&self) -> &str {
        &self.footer.id
    }

    /// Its ticks.
    pub fn count(&self) -> u64 {
        self.footer.symbols.iter().map(|symbol| symbol.count).sum()
    }

    /// Its symbols, by name.
    pub fn symbols(&self) -> &[SymbolSummary] {
        &self.footer.symbols
    }

    /// What the writer of the segment kept with it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.footer.metadata
    }

    /// A page of ticks.
    pub fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let mut ticks = Vec::new();
        let mut runs = self.runs(&query.symbol, query.range);
        if query.newest_first {
            runs.reverse();
        }
        for run in runs {
            let wanted = query.limit - ticks.len();
            if wanted == 0 {
                break;
            }
            let keys = self.keys_of(&run)?;
            let mut within = within(&keys, query);
            if query.newest_first {
                within.start = within.start.max(within.end.saturating_sub(wanted));
            } else {
                within.end = within.end.min(within.start.saturating_add(wanted));
            }
            let rows = run.rows.start + within.start..run.rows.start + within.end;
            let mut page = self.read(&Run { rows, ..run }, &keys[within])?;
            if query.newest_first {
                page.reverse();
            }
            ticks.append(&mut page);
        }
        Ok(ticks)
    }

    /// The keys of a symbol within a range, rising; cheaper than its ticks.
    pub fn keys(&self, symbol: &str, range: TimeRange) -> Result<Vec<TickKey>> {
        let mut keys = Vec::new();
        for run in self.runs(symbol, range) {
            keys.extend(self.keys_of(&run)?);
        }
        keys.retain(|key| range.from <= key.time && key.time < range.to);
        Ok(keys)
    }

    /// All ticks, by (symbol, time, seq), a row group in memory at a time.
    pub fn all(&self) -> impl Iterator<Item = Result<Tick>> + '_ {
        (0..self.group_starts.len() - 1).flat_map(|group| match self.group(group) {
            Ok(ticks) => ticks.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The ticks of a row group, read at once however many symbols share it.
    fn group(&self, group: usize) -> Result<Vec<Tick>> {
        let (start, end) = (self.group_starts[group], self.group_starts[group + 1]);
        let rows = self.rows(group, 0..end - start);
        let first = self.symbol_starts.partition_point(|&symbol| symbol <= start) - 1;
        let symbols = self.footer.symbols[first..].iter().zip(self.symbol_starts[first..].windows(2));
        let symbols = symbols
            .take_while(|(_, rows)| rows[0] < end)
            .flat_map(|(summary, rows)| std::iter::repeat_n(&summary.symbol, rows[1].min(end) - rows[0].max(start)));
        let ticks = rows.keys().and_then(|keys| rows.ticks(symbols, &keys));
        ticks.map_err(|error| unread(READING, error))
    }

    /// Where rows of `symbol` that may lie within `range` are, in order.
    fn runs(&self, symbol: &str, range: TimeRange) -> Vec<Run> {
        let Ok(symbol) = self.footer.symbols.binary_search_by(|summary| summary.symbol.as_ref().cmp(symbol)) else {
            return Vec::new();
        };
        let (start, end) = (self.symbol_starts[symbol], self.symbol_starts[symbol + 1]);
        let first = self.group_starts.partition_point(|&group| group <= start) - 1;
        let groups = (first..self.group_starts.len() - 1).take_while(|&group| self.group_starts[group] < end);
        let runs = groups.filter(|&group| self.may_hold(group, range)).map(|group| {
            let base = self.group_starts[group];
            let rows = start.max(base) - base..end.min(self.group_starts[group + 1]) - base;
            Run { symbol, group, rows }
        });
        runs.collect()
    }

    /// Whether the statistics of a row group leave room for a tick within `range`.
    fn may_hold(&self, group: usize, range: TimeRange) -> bool {
        let Some(Statistics::Int64(times)) = self.file.metadata().row_group(group).column(columns::TIME).statistics()
        else {
            return true;
        };
        let (Some(&min), Some(&max)) = (times.min_opt(), times.max_opt()) else { return true };
        min.saturating_mul(MILLISECOND) < range.to.0 && max.saturating_add(1).saturating_mul(MILLISECOND) > range.from.0
    }

    fn rows(&self, group: usize, range: Range<usize>) -> Rows<'_> {
        Rows { file: &self.file, group, range }
    }

    fn keys_of(&self, run: &Run) -> Result<Vec<TickKey>> {
        self.rows(run.group, run.rows.clone()).keys().map_err(|error| unread(READING, error))
    }

    fn read(&self, run: &Run, keys: &[TickKey]) -> Result<Vec<Tick>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let symbols = std::iter::repeat(&self.footer.symbols[run.symbol].symbol);
        let ticks = self.rows(run.group, run.rows.clone()).ticks(symbols, keys);
        ticks.map_err(|error| unread(READING, error))
    }
}

impl std::fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentFile").field("footer", &self.footer).finish_non_exhaustive()
    }
}

/// Which of these rising keys the query asks for.
fn within(keys: &[TickKey], query: &TickQuery) -> Range<usize> {
    let mut start = keys.partition_point(|key| key.time < query.range.from);
    let mut end = keys.partition_point(|key| key.time < query.range.to);
    match query.after {
        Some(after) if query.newest_first => end = end.min(keys.partition_point(|key| *key < after)),
        Some(after) => start = start.max(keys.partition_point(|key| *key <= after)),
        None => {}
    }
    start.min(end)..end
}

/// The running sum of `lengths`, from 0 to the total.
fn starts(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut starts = vec![0_usize];
    for length in lengths {
        starts.push(starts[starts.len() - 1].saturating_add(length));
    }
    starts
}
