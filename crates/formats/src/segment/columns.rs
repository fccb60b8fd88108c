//! The columns of a segment, in the order of the file, and how each is encoded.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

/// Places of columns in [`SCHEMA`].
pub(super) const TIME: usize = 1;
pub(super) const TIME_NANOS: usize = 2;
pub(super) const SEQ: usize = 3;
pub(super) const BID_MANTISSA: usize = 4;
pub(super) const BID_SCALE: usize = 5;
pub(super) const SPREAD_MANTISSA: usize = 6;
pub(super) const ASK_MANTISSA: usize = 7;
pub(super) const ASK_SCALE: usize = 8;
pub(super) const VOLUME_MANTISSA: usize = 9;
pub(super) const VOLUME_SCALE: usize = 10;
pub(super) const SOURCE: usize = 11;
pub(super) const FLAGS: usize = 12;
pub(super) const RECEIVED: usize = 13;
pub(super) const RECEIVED_DELAY: usize = 14;

const SCHEMA: &str = "
    message tick {
        required binary symbol (STRING);
        required int64 time (TIMESTAMP(MILLIS, true));
        required int32 time_nanos;
        required int64 seq;
        optional int64 bid_mantissa;
        required int32 bid_scale;
        optional int64 spread_mantissa;
        optional int64 ask_mantissa;
        required int32 ask_scale;
        optional int64 volume_mantissa;
        required int32 volume_scale;
        required binary source (STRING);
        required int32 flags;
        optional int64 received (TIMESTAMP(NANOS, true));
        optional int64 received_delay;
    }";

/// A page is what a reader decompresses at least.
const ROWS_PER_PAGE: usize = 16_384;
/// Noise, such as nanoseconds of a clock, is not worth a dictionary: past this many bytes of it, deltas take over.
const DICTIONARY_BYTES: usize = 16 * 1_024;
/// Moments of arrival that many ticks share are all worth one.
const RECEIVED_DICTIONARY_BYTES: usize = 128 * 1_024;
/// A segment is written once and kept for years.
const ZSTD_LEVEL: i32 = 15;

pub(super) fn schema() -> Result<TypePtr> {
    parse_message_type(SCHEMA).map(Arc::new)
}

pub(super) fn properties() -> Result<WriterProperties> {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by("tallybook".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_data_page_row_count_limit(ROWS_PER_PAGE)
        // The limits of a page are looked at between batches only.
        .set_write_batch_size(ROWS_PER_PAGE / 4)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_column_dictionary_page_size_limit(column("received"), RECEIVED_DICTIONARY_BYTES);
    for rising in ["time", "seq", "bid_mantissa", "ask_mantissa"] {
        properties = properties
            .set_column_dictionary_enabled(column(rising), false)
            .set_column_encoding(column(rising), Encoding::DELTA_BINARY_PACKED);
    }
    // A delay is noise around a mean: its upper bytes are all alike, its lower ones cannot be packed.
    let properties = properties
        .set_column_dictionary_enabled(column("received_delay"), false)
        .set_column_encoding(column("received_delay"), Encoding::BYTE_STREAM_SPLIT);
    Ok(properties.build())
}
