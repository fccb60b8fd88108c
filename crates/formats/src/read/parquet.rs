//! Records as the rows of a Parquet file, ours or another's: columns are known by their names.

use std::borrow::Cow;

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use tallybook_core::Timestamp;

use super::values::place;
use super::{FormatError, Names, Read, Readable, Values};

/// The texts of one field, in the rows of a row group.
struct Field {
    place: usize,
    texts: Vec<Option<String>>,
}

pub(super) fn read<R: Readable>(bytes: &[u8], received: Timestamp) -> Result<Read<R>, FormatError> {
    let no_file = |error: ParquetError| FormatError::Parquet(error.to_string());
    let file = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(no_file)?;
    let columns = file.metadata().file_metadata().schema_descr().columns();
    let places: Vec<_> = columns.iter().map(|column| place::<R>(&column.path().string())).collect();
    for group in R::NEEDED {
        if !group.iter().any(|&needed| places.contains(&Some(needed))) {
            let names: Vec<&str> = group.iter().map(|&needed| R::FIELDS[needed][0]).collect();
            return Err(FormatError::Parquet(format!("it has no column `{}`", names.join("` or `"))));
        }
    }
    let (mut read, mut names, mut line) = (Read::default(), Names::default(), 0);
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(no_file)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
        let mut fields = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let Some(place) = places[index] else { continue };
            let texts = texts(group.as_ref(), index, column, rows).map_err(no_file)?;
            fields.push(Field { place, texts });
        }
        for row in 0..rows {
            line += 1;
            let mut values = Values::default();
            let set = fields.iter().try_for_each(|field| match &field.texts[row] {
                Some(text) => values.set::<R>(field.place, Cow::Borrowed(text)),
                None => Ok(()),
            });
            let record = set.and_then(|()| R::from_values(&values, &mut names, received));
            read.push(record, line, shown::<R>(&fields, row).as_bytes());
        }
    }
    Ok(read)
}

/// A row, for people.
fn shown<R: Readable>(fields: &[Field], row: usize) -> String {
    let texts = fields.iter().filter_map(|field| {
        let text = field.texts[row].as_ref()?;
        Some(format!("{}={text}", R::FIELDS[field.place][0]))
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn texts(
    group: &dyn RowGroupReader,
    index: usize,
    column: &ColumnDescriptor,
    rows: usize,
) -> Result<Vec<Option<String>>, ParquetError> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return Err(ParquetError::General(format!("the column `{}` is nested", column.name())));
    }
    let logical = column.logical_type_ref();
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
    match group.get_column_reader(index)? {
        ColumnReader::BoolColumnReader(reader) => collect(reader, rows, |value| Ok(value.to_string())),
        ColumnReader::Int32ColumnReader(reader) => collect(reader, rows, |value| Ok(integer(value.into()))),
        ColumnReader::Int64ColumnReader(reader) => collect(reader, rows, |value| Ok(integer(value))),
        ColumnReader::FloatColumnReader(reader) => collect(reader, rows, |value| Ok(value.to_string())),
        ColumnReader::DoubleColumnReader(reader) => collect(reader, rows, |value| Ok(value.to_string())),
        ColumnReader::ByteArrayColumnReader(reader) => {
            collect(reader, rows, |value| value.as_utf8().map(str::to_owned))
        }
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err(ParquetError::General(format!("the column `{}` is neither a number nor a text", column.name())))
        }
    }
}

fn collect<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    text: impl Fn(T::T) -> Result<String, ParquetError>,
) -> Result<Vec<Option<String>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, _, _) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General("a column has too few rows".to_owned()));
    }
    let mut values = values.into_iter().map(text);
    if levels.is_empty() {
        return values.map(|text| text.map(Some)).collect();
    }
    levels.into_iter().map(|level| if level == 0 { Ok(None) } else { values.next().transpose() }).collect()
}
