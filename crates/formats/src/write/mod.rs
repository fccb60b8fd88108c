//! Writing: records in, bytes to send out, a piece at a time.

mod feed;
mod parquet;
mod ping;
mod row;
mod text;
mod tick;

use self::parquet::RowGroups;
use self::row::Row;
use self::text::CsvLine;
use crate::Format;

pub use feed::feed_json;

/// A record that can be written: a [`tallybook_core::Tick`] or a [`tallybook_core::Ping`].
pub trait Writable: Row {}

impl<R: Row> Writable for R {}

/// Writes records in one of the formats. Parquet comes out a row group at a time, the others with each push.
pub struct Encoder<R> {
    output: Output<R>,
    opened: bool,
    /// How a record looks in JSON and NDJSON.
    json: Box<WriteJson<R>>,
}

type WriteJson<R> = dyn Fn(&R, &mut Vec<u8>) + Send + Sync;

enum Output<R> {
    Json { empty: bool },
    Ndjson,
    Csv,
    Parquet(Box<RowGroups<R>>),
}

impl<R: Writable> Encoder<R> {
    /// An encoder that has written nothing yet.
    pub fn new(format: Format) -> Self {
        let output = match format {
            Format::Json => Output::Json { empty: true },
            Format::Ndjson => Output::Ndjson,
            Format::Csv => Output::Csv,
            Format::Parquet => Output::Parquet(Box::new(RowGroups::new())),
        };
        Self { output, opened: false, json: Box::new(|record, bytes| text::json(&record.json(), bytes)) }
    }

    /// The same with another look of a record in JSON and NDJSON: one object, without a line break.
    pub fn with_json(self, json: impl Fn(&R, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self { json: Box::new(json), ..self }
    }

    /// Writes records and gives the bytes to send now, which may be none.
    pub fn push(&mut self, records: &[R]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.open(&mut bytes);
        match &mut self.output {
            Output::Json { empty } => {
                for record in records {
                    bytes.extend_from_slice(if std::mem::take(empty) { b"\n" } else { b",\n" });
                    (self.json)(record, &mut bytes);
                }
            }
            Output::Ndjson => {
                for record in records {
                    (self.json)(record, &mut bytes);
                    bytes.push(b'\n');
                }
            }
            Output::Csv => {
                for record in records {
                    let mut line = CsvLine::new(&mut bytes);
                    record.csv(&mut line);
                    line.end();
                }
            }
            Output::Parquet(groups) => groups.push(records, &mut bytes),
        }
        bytes
    }

    /// The last bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.open(&mut bytes);
        match self.output {
            Output::Json { .. } => bytes.extend_from_slice(b"\n]\n"),
            Output::Ndjson | Output::Csv => {}
            Output::Parquet(groups) => groups.finish(&mut bytes),
        }
        bytes
    }

    /// What comes before the first record, once.
    fn open(&mut self, bytes: &mut Vec<u8>) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        match self.output {
            Output::Json { .. } => bytes.push(b'['),
            Output::Csv => {
                let mut line = CsvLine::new(bytes);
                for name in R::COLUMNS {
                    line.text(name);
                }
                line.end();
            }
            Output::Ndjson | Output::Parquet(_) => {}
        }
    }
}
