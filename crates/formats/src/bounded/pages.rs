//! The pages of a column, decompressed by us: `parquet` makes as much room as the header of a page asks for.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use zstd::zstd_safe::get_frame_content_size;

/// What pages may still come to in memory, in bytes; columns may share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    pub(crate) fn refill(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<()> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| too_large())
    }
}

/// A number or a length: what each value of a dictionary has at least.
const DICTIONARY_VALUE_BYTES: usize = 4;
/// What a value of a dictionary becomes in memory, without the bytes that it refers to.
const DECODED_VALUE_BYTES: usize = 32;

pub(super) struct Pages {
    /// As they are in the file.
    pub(super) raw: Box<dyn PageReader>,
    pub(super) zstd: Option<zstd::bulk::Decompressor<'static>>,
    pub(super) budget: Budget,
    /// Whether texts of which each is told by the one before may come: a few bytes of them unfold to any size.
    pub(super) any_encoding: bool,
}

impl Pages {
    fn unpacked(&mut self, mut page: Page) -> Result<Page> {
        match &mut page {
            Page::DataPage { buf, encoding, .. } => {
                self.check(*encoding)?;
                *buf = self.inflated(buf, 0)?;
            }
            Page::DataPageV2 { buf, encoding, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                self.check(*encoding)?;
                // They are in front, and never compressed.
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                if levels > buf.len() {
                    return Err(damaged());
                }
                if *is_compressed {
                    *buf = self.inflated(buf, levels)?;
                }
            }
            Page::DictionaryPage { buf, num_values, .. } => {
                *buf = self.inflated(buf, 0)?;
                let values = *num_values as usize;
                if values > buf.len() / DICTIONARY_VALUE_BYTES {
                    return Err(damaged());
                }
                self.budget.take(values * DECODED_VALUE_BYTES)?;
            }
        }
        Ok(page)
    }

    fn check(&self, encoding: Encoding) -> Result<()> {
        match encoding {
            Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY if !self.any_encoding => {
                let message = format!("a column is encoded as {encoding}; write texts plainly or with a dictionary");
                Err(ParquetError::General(message))
            }
            _ => Ok(()),
        }
    }

    /// The same bytes, decompressed behind the first `plain` of them.
    fn inflated(&mut self, bytes: &Bytes, plain: usize) -> Result<Bytes> {
        let Some(zstd) = &mut self.zstd else {
            self.budget.take(bytes.len())?;
            return Ok(bytes.clone());
        };
        let (plain, packed) = bytes.split_at(plain);
        let left = self.budget.left();
        let unpacked = match get_frame_content_size(packed) {
            _ if packed.is_empty() => Vec::new(),
            Ok(Some(size)) if size > left as u64 => return Err(too_large()),
            Ok(Some(size)) => zstd.decompress(packed, size as usize)?,
            // It was compressed as a stream, and does not say.
            Ok(None) => {
                let mut unpacked = Vec::new();
                zstd::Decoder::with_buffer(packed)?.take(left as u64 + 1).read_to_end(&mut unpacked)?;
                unpacked
            }
            Err(_) => return Err(damaged()),
        };
        self.budget.take(plain.len() + unpacked.len())?;
        if plain.is_empty() { Ok(unpacked.into()) } else { Ok([plain, unpacked.as_slice()].concat().into()) }
    }
}

fn damaged() -> ParquetError {
    ParquetError::General("a page is damaged".to_owned())
}

fn too_large() -> ParquetError {
    ParquetError::General("its pages are too large when they are decompressed; write it with smaller ones".to_owned())
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.raw.get_next_page()?;
        page.map(|page| self.unpacked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.raw.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.raw.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.raw.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
