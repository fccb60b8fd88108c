//! Records as the rows of a Parquet file, ours or another's: columns are known by their names.

use std::borrow::Cow;

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use tallybook_core::Timestamp;

use super::{BadRecord, Columns, FormatError, Names, Read, Readable, Values};
use crate::bounded::{BoundedFile, Budget, guarded};

/// Rows that are read together: a row group may be all of a file.
const PAGE_ROWS: usize = 8_192;
/// What a body may hold at the most: a few bytes of it can stand for very many rows.
const MAX_BODY_ROWS: u64 = 1_000_000;
/// What is decompressed for rows that are read together may come to, or for all of a body.
const MAX_BYTES: usize = 256 << 20;

/// Reads a Parquet file, some thousand rows at a time.
pub struct ParquetReader<R> {
    file: BoundedFile,
    budget: Budget,
    columns: Columns<R>,
    names: Names,
    received: Timestamp,
    /// Those that were not begun.
    groups: std::ops::Range<usize>,
    group: Group,
    rows: u64,
}

/// What is left of a row group.
#[derive(Default)]
struct Group {
    fields: Vec<Field>,
    rows_left: usize,
}

struct Field {
    place: usize,
    name: String,
    logical: Option<LogicalType>,
    reader: ColumnReader,
}

impl<R: Readable> ParquetReader<R> {
    /// A reader of records that arrived at `received`, where they do not say themselves.
    ///
    /// # Errors
    /// No Parquet file, or one of other records.
    pub fn new(file: impl ChunkReader + 'static, received: Timestamp) -> Result<Self, FormatError> {
        let file = BoundedFile::of_others(file).map_err(|error| no_file(&error))?;
        let columns = file.metadata().file_metadata().schema_descr().columns();
        let paths: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
        let columns = Columns::new(paths.iter().map(String::as_str)).map_err(FormatError::Parquet)?;
        let groups = 0..file.metadata().num_row_groups();
        let (budget, group) = (Budget::new(MAX_BYTES), Group::default());
        Ok(Self { file, budget, columns, names: Names::default(), received, groups, group, rows: 0 })
    }

    /// All rows of the file.
    pub fn rows(&self) -> u64 {
        let groups = self.file.metadata().row_groups().iter();
        groups.map(|group| u64::try_from(group.num_rows()).unwrap_or_default()).sum()
    }

    /// The next records; `None` at the end.
    ///
    /// # Errors
    /// The file is damaged, or a column is of a kind that no record has.
    pub fn next_page(&mut self) -> Result<Option<Read<R>>, FormatError> {
        self.budget.refill(MAX_BYTES);
        self.read_page()
    }

    fn read_page(&mut self) -> Result<Option<Read<R>>, FormatError> {
        while self.group.rows_left == 0 {
            let Some(group) = self.groups.next() else { return Ok(None) };
            self.group = self.open(group).map_err(|error| no_file(&error))?;
        }
        let rows = self.group.rows_left.min(PAGE_ROWS);
        self.group.rows_left -= rows;
        let fields = &mut self.group.fields;
        let cells = guarded(|| fields.iter_mut().map(|field| field.read(rows)).collect::<Result<Vec<_>, _>>());
        let cells = cells.map_err(|error| no_file(&error))?;
        let fields = &self.group.fields;
        let mut read = Read::default();
        for row in 0..rows {
            self.rows += 1;
            let mut values = Values::default();
            let set = fields.iter().zip(&cells).try_for_each(|(field, cells)| match cells[row].text()? {
                Some(text) => values.set::<R>(field.place, text),
                None => Ok(()),
            });
            let record = set.and_then(|()| R::from_values(&values, &mut self.names, self.received));
            let shown = if record.is_err() { shown(fields, &cells, row) } else { String::new() };
            read.push(record, self.rows, shown.as_bytes());
        }
        Ok(Some(read))
    }

    fn open(&self, group: usize) -> Result<Group, ParquetError> {
        let refused = |name: &str, why: &str| Err(ParquetError::General(format!("the column `{name}` {why}")));
        let metadata = self.file.metadata().row_group(group);
        let rows_left = usize::try_from(metadata.num_rows()).unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        for (index, column) in metadata.schema_descr().columns().iter().enumerate() {
            let Some(place) = self.columns.field(index) else { continue };
            let name = column.name().to_owned();
            if column.max_rep_level() > 0 || column.max_def_level() > 1 {
                return refused(&name, "is nested");
            }
            if fields.iter().any(|field| field.place == place) {
                return refused(&name, "holds what another one holds as well");
            }
            let logical = column.logical_type_ref().cloned();
            fields.push(Field { place, name, logical, reader: self.file.column(group, index, &self.budget)? });
        }
        Ok(Group { fields, rows_left })
    }
}

fn no_file(error: &ParquetError) -> FormatError {
    FormatError::Parquet(error.to_string())
}

pub(super) fn read<R: Readable>(bytes: &[u8], received: Timestamp) -> Result<Read<R>, FormatError> {
    let mut reader = ParquetReader::new(Bytes::copy_from_slice(bytes), received)?;
    let rows = reader.rows();
    if rows > MAX_BODY_ROWS {
        let error = format!("its {rows} rows are more than {MAX_BODY_ROWS} at a time; send it in parts");
        return Err(FormatError::Parquet(error));
    }
    let mut read = Read::default();
    while let Some(page) = reader.read_page()? {
        read.records.extend(page.records);
        read.bad.extend(page.bad);
    }
    Ok(read)
}

/// A row, for people.
fn shown(fields: &[Field], cells: &[Vec<Cell>], row: usize) -> String {
    let texts = fields.iter().zip(cells).filter_map(|(field, cells)| match &cells[row] {
        Cell::Null => None,
        Cell::Text(text) => Some(format!("{}={text}", field.name)),
        Cell::Bytes(bytes) => Some(format!("{}={}", field.name, String::from_utf8_lossy(clipped(bytes.data())))),
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn clipped(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(BadRecord::MAX_TEXT_BYTES)]
}

/// A value of a column.
enum Cell {
    Null,
    Text(String),
    /// Shared with others that say the same: many rows of a long text are no more than the text.
    Bytes(ByteArray),
}

impl Cell {
    fn text(&self) -> Result<Option<Cow<'_, str>>, String> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(Cow::Borrowed(text))),
            Self::Bytes(bytes) => match bytes.as_utf8() {
                Ok(text) => Ok(Some(Cow::Borrowed(text))),
                Err(_) => Err("a text is not UTF-8".to_owned()),
            },
        }
    }
}

impl Field {
    /// The values of the next rows.
    fn read(&mut self, rows: usize) -> Result<Vec<Cell>, ParquetError> {
        let logical = self.logical.as_ref();
        let text = |value: String| Cell::Text(value);
        let integer = |value: i64| match logical {
            Some(LogicalType::Timestamp { unit, .. }) => {
                let nanoseconds = match unit {
                    TimeUnit::MILLIS => 1_000_000,
                    TimeUnit::MICROS => 1_000,
                    TimeUnit::NANOS => 1,
                };
                value.checked_mul(nanoseconds).map_or_else(|| value.to_string(), |value| Timestamp(value).to_string())
            }
            Some(LogicalType::Integer { is_signed: false, .. }) => (value as u64).to_string(),
            _ => value.to_string(),
        };
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => collect(reader, rows, |value| text(value.to_string())),
            ColumnReader::Int32ColumnReader(reader) => collect(reader, rows, |value| text(integer(value.into()))),
            ColumnReader::Int64ColumnReader(reader) => collect(reader, rows, |value| text(integer(value))),
            ColumnReader::FloatColumnReader(reader) => collect(reader, rows, |value| text(value.to_string())),
            ColumnReader::DoubleColumnReader(reader) => collect(reader, rows, |value| text(value.to_string())),
            ColumnReader::ByteArrayColumnReader(reader) => collect(reader, rows, Cell::Bytes),
            ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                Err(ParquetError::General(format!("the column `{}` is neither a number nor a text", self.name)))
            }
        }
    }
}

fn collect<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    cell: impl Fn(T::T) -> Cell,
) -> Result<Vec<Cell>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, _, _) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General("a column has too few rows".to_owned()));
    }
    let mut values = values.into_iter().map(cell);
    if levels.is_empty() {
        return Ok(values.collect());
    }
    Ok(levels
        .into_iter()
        .map(|level| if level == 0 { Cell::Null } else { values.next().unwrap_or(Cell::Null) })
        .collect())
}
