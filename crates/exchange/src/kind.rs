//! What a file is, as its name says.

use std::path::{Path, PathBuf};

use tallybook_core::Timestamp;
use tallybook_formats::Format;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

/// How records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the API sends and takes them.
    Format(Format),
    /// As recorders write ticks: objects `{broker_id, symbol, bid, ask, spread, timestamp, lp}` whose prices are numbers and
    /// whose time is in milliseconds; in an array, or one a line. It is read as any other JSON.
    Feed {
        /// One object a line, and no array.
        lines: bool,
    },
    /// A SQLite database with a plain table.
    Sqlite,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileKind {
    /// How its records lie in it.
    pub shape: Shape,
    /// How it is compressed.
    pub compression: Compression,
}

impl Compression {
    /// The end of a file's name, with its point; nothing where there is none.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

impl Shape {
    /// The names it has in commands.
    pub const NAMES: [&'static str; 7] = ["csv", "ndjson", "json", "parquet", "sqlite", "feed", "feed-ndjson"];

    /// The shape of that name, or of the files with that extension.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "sqlite" | "sqlite3" | "db" => Some(Self::Sqlite),
            "feed" => Some(Self::Feed { lines: false }),
            "feed-ndjson" => Some(Self::Feed { lines: true }),
            name => Format::from_name(name).map(Self::Format),
        }
    }

    /// The end of a file's name, without the point.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Format(format) => format.extension(),
            Self::Feed { lines: false } => Format::Json.extension(),
            Self::Feed { lines: true } => Format::Ndjson.extension(),
            Self::Sqlite => "db",
        }
    }

    /// Whether a whole file of it may be compressed; the others compress by themselves, or cannot.
    pub fn can_be_compressed(self) -> bool {
        !matches!(self, Self::Sqlite | Self::Format(Format::Parquet))
    }
}

impl FileKind {
    /// The file of one UTC day in a folder of them, such as `ticks_2026-11-01.csv.gz`.
    pub fn day_file(self, folder: &Path, word: &str, day: Timestamp) -> PathBuf {
        let date = day.to_string();
        let date = date.get(..10).unwrap_or(&date);
        folder.join(format!("{word}_{date}.{}{}", self.shape.extension(), self.compression.suffix()))
    }

    /// What the name of a file says, where it says something.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, compression) = match name.rsplit_once('.')? {
            (name, "gz") => (name, Compression::Gzip),
            (name, "zst" | "zstd") => (name, Compression::Zstd),
            _ => (name.as_str(), Compression::None),
        };
        let (_, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
        let shape = Shape::from_name(extension).filter(|shape| !matches!(shape, Shape::Feed { .. }))?;
        (compression == Compression::None || shape.can_be_compressed()).then_some(Self { shape, compression })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_what_it_is() {
        let of = |name: &str| FileKind::of(Path::new(name)).map(|kind| (kind.shape, kind.compression));
        assert_eq!(of("a/b.d/ticks.CSV.gz"), Some((Shape::Format(Format::Csv), Compression::Gzip)));
        assert_eq!(of("x.2026-01-01.jsonl.zst"), Some((Shape::Format(Format::Ndjson), Compression::Zstd)));
        assert_eq!(of("ticks_2026-01-01.db"), Some((Shape::Sqlite, Compression::None)));
        for name in ["ticks", "ticks.txt", "ticks.gz", "ticks.parquet.gz", ".json", "x.feed", "ticks.db-wal"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
