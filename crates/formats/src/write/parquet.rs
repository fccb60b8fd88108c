//! Parquet for people and their tools, a row group at a time.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::row::Row;
use crate::columnar::Columns;

/// What is held back until it is worth a row group.
const GROUP_ROWS: usize = 65_536;

pub(super) struct RowGroups<R> {
    file: SerializedFileWriter<Vec<u8>>,
    waiting: Vec<R>,
}

/// The file is a vector and the schema a constant: what cannot fail need not be answered for by those who push.
const CANNOT_FAIL: &str = "a vector takes every byte, and the columns are those of the schema";

impl<R: Row> RowGroups<R> {
    pub(super) fn new() -> Self {
        let properties = WriterProperties::builder()
            .set_created_by("tallybook".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let schema = parse_message_type(R::SCHEMA).expect("the schema is a constant");
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).expect(CANNOT_FAIL);
        Self { file, waiting: Vec::new() }
    }

    pub(super) fn push(&mut self, mut records: &[R], bytes: &mut Vec<u8>) {
        while self.waiting.len() + records.len() >= GROUP_ROWS {
            let (now, later) = records.split_at(GROUP_ROWS - self.waiting.len());
            self.waiting.extend_from_slice(now);
            self.write_waiting().expect(CANNOT_FAIL);
            bytes.append(self.file.inner_mut());
            records = later;
        }
        self.waiting.extend_from_slice(records);
    }

    pub(super) fn finish(mut self, bytes: &mut Vec<u8>) {
        self.write_waiting().expect(CANNOT_FAIL);
        bytes.append(&mut self.file.into_inner().expect(CANNOT_FAIL));
    }

    fn write_waiting(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        if !rows.is_empty() {
            let mut columns = Columns::new(&mut self.file, &rows)?;
            R::parquet(&mut columns)?;
            columns.close()?;
            self.file.flush()?;
        }
        Ok(())
    }
}
