//! The Parquet file of a sealed day.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use tallybook_core::{Error, Result, SymbolSummary, Tick, TickKey, TickQuery, TimeRange, Timestamp};
use tallybook_formats::segment::{self, SegmentFile};

use super::database::Refusal;

/// The name in the file's metadata.
const REVISION: &str = "revision";

#[derive(Debug)]
pub(crate) struct Sealed {
    file: SegmentFile,
    revision: i64,
}

/// Names of symbols that are remembered of a day.
const NAMES_MAX: usize = 4_096;

/// What symbols a sealed day has, remembered when its file is closed again: 8 bytes a symbol.
#[derive(Debug)]
pub(crate) struct SealedNames(Box<[u64]>);

impl SealedNames {
    /// Nothing of a day that has too many.
    pub(crate) fn of(symbols: &[SymbolSummary]) -> Option<Self> {
        let mut hashes: Vec<u64> = symbols.iter().take(NAMES_MAX).map(|summary| hashed(&summary.symbol)).collect();
        hashes.sort_unstable();
        (symbols.len() <= NAMES_MAX).then(|| Self(hashes.into()))
    }

    /// True, in rare cases, of one that is not there.
    pub(crate) fn may_hold(&self, symbol: &str) -> bool {
        self.0.binary_search(&hashed(symbol)).is_ok()
    }
}

fn hashed(symbol: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    symbol.hash(&mut hasher);
    hasher.finish()
}

impl Sealed {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = SegmentFile::open(path).map_err(|error| {
            let denied = Refusal::denied(path, OpenOptions::new().read(true));
            denied.map_or(error, |denied| denied.into_error("opening a segment", path))
        })?;
        Self::from_file(file)
    }

    /// Writes sorted ticks, the last of which were added by the commit of `revision`, and puts them on disk.
    pub(crate) fn write(path: &Path, revision: i64, ticks: impl Iterator<Item = Result<Tick>>) -> Result<Self> {
        let metadata = BTreeMap::from([(REVISION.to_owned(), revision.to_string())]);
        Self::from_file(segment::write(path, metadata, ticks)?)
    }

    fn from_file(file: SegmentFile) -> Result<Self> {
        let revision = file.metadata().get(REVISION).and_then(|text| text.parse().ok());
        let revision = revision.ok_or_else(|| {
            Error::corrupt("opening a segment", "a Parquet file has no revision; move it away, then import it")
        })?;
        Ok(Self { file, revision })
    }

    pub(crate) fn id(&self) -> &str {
        self.file.id()
    }

    /// No tick of it was added by a later commit.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    pub(crate) fn count(&self) -> u64 {
        self.file.count()
    }

    pub(crate) fn symbols(&self) -> &[SymbolSummary] {
        self.file.symbols()
    }

    pub(crate) fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.file.ticks(query)
    }

    /// All ticks, by symbol and key.
    pub(crate) fn all(&self) -> impl Iterator<Item = Result<Tick>> + '_ {
        self.file.all()
    }

    /// The rising keys that it has from the first to the last of `ticks`, which rise as well.
    pub(crate) fn keys(&self, symbol: &str, ticks: &[&Tick]) -> Result<Vec<TickKey>> {
        let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else { return Ok(Vec::new()) };
        let to = Timestamp(last.time.0.saturating_add(1));
        self.file.keys(symbol, TimeRange { from: first.time, to })
    }
}
