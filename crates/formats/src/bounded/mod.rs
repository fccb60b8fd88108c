//! Parquet files that anybody may have written: what they say of their own size is checked before room is made for it.

mod pages;
mod thrift;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use self::pages::Pages;

pub(crate) use self::pages::Budget;

/// The length of the metadata, and `PAR1`.
const TAIL_BYTES: usize = 8;
/// Enough for thousands of row groups.
const MAX_METADATA_BYTES: usize = 8 << 20;

/// A Parquet file that is open for reading, by any number of threads.
pub(crate) struct BoundedFile {
    metadata: ParquetMetaData,
    raw_pages: Box<RawPages>,
    ours: bool,
}

/// The pages of a column as they are in the file, of that many rows.
type RawPages =
    dyn Fn(&ColumnChunkMetaData, usize, Option<Vec<PageLocation>>) -> Result<Box<dyn PageReader>> + Send + Sync;

impl BoundedFile {
    /// One that may be made to do harm.
    pub(crate) fn of_others(file: impl ChunkReader + 'static) -> Result<Self> {
        Self::open(file, false)
    }

    /// One of ours, which may be damaged, with the places of its pages: some rows of many cost only theirs.
    pub(crate) fn of_ours(file: impl ChunkReader + 'static) -> Result<Self> {
        Self::open(file, true)
    }

    fn open(file: impl ChunkReader + 'static, ours: bool) -> Result<Self> {
        check_footer(&file)?;
        let mut reader = ParquetMetaDataReader::new();
        reader.try_parse(&file)?;
        let mut metadata = reader.finish()?;
        if ours {
            check_index(&file, &metadata)?;
            let mut reader =
                ParquetMetaDataReader::new_with_metadata(metadata).with_page_index_policy(PageIndexPolicy::Required);
            reader.read_page_indexes(&file)?;
            metadata = reader.finish()?;
        }
        let file = Arc::new(file);
        let raw_pages: Box<RawPages> = Box::new(move |column, rows, places| {
            Ok(Box::new(SerializedPageReader::new(file.clone(), column, rows, places)?))
        });
        Ok(Self { metadata, raw_pages, ours })
    }

    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// Reads a column of a row group, whose pages are taken from `budget` as they are decompressed.
    pub(crate) fn column(&self, group: usize, column: usize, budget: &Budget) -> Result<ColumnReader> {
        let rows = usize::try_from(self.metadata.row_group(group).num_rows())?;
        let chunk = self.metadata.row_group(group).column(column);
        let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        if start < 0 || chunk.compressed_size() < 0 {
            return Err(ParquetError::General("a column lies outside of the file".to_owned()));
        }
        let zstd = match chunk.compression() {
            Compression::UNCOMPRESSED => None,
            Compression::ZSTD(_) => Some(zstd::bulk::Decompressor::new()?),
            other => return Err(ParquetError::General(format!("it is compressed by {other}, and not by zstd"))),
        };
        let places = self.metadata.offset_index().map(|index| index[group][column].page_locations().clone());
        let as_it_is = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
        let raw = (self.raw_pages)(&as_it_is, rows, places)?;
        let pages = Pages { raw, zstd, budget: budget.clone(), any_encoding: self.ours };
        Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
    }
}

/// Reads what may be damaged: of some damage `parquet` panics.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    let damaged = |_| Err(ParquetError::General("a page is damaged".to_owned()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(damaged)
}

fn check_footer(file: &impl ChunkReader) -> Result<()> {
    let bytes = file.len();
    let none = || ParquetError::General("it does not end as one".to_owned());
    let place = bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(none)?;
    let tail = file.get_bytes(place, TAIL_BYTES)?;
    let (length, mark) = tail.split_first_chunk().ok_or_else(none)?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = place.checked_sub(length as u64).filter(|_| mark == b"PAR1").ok_or_else(none)?;
    if length > MAX_METADATA_BYTES {
        return Err(ParquetError::General(format!("its metadata is larger than {} MiB", MAX_METADATA_BYTES >> 20)));
    }
    thrift::check(&file.get_bytes(start, length)?, thrift::FOOTER)
}

fn check_index(file: &impl ChunkReader, metadata: &ParquetMetaData) -> Result<()> {
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let places = [
            (column.offset_index_offset(), column.offset_index_length(), thrift::OFFSET_INDEX),
            (column.column_index_offset(), column.column_index_length(), thrift::COLUMN_INDEX),
        ];
        for (offset, length, fields) in places {
            if let Some((offset, length)) = offset.zip(length) {
                let bytes = file.get_bytes(u64::try_from(offset)?, usize::try_from(length)?)?;
                thrift::check(&bytes, fields)?;
            }
        }
    }
    Ok(())
}
