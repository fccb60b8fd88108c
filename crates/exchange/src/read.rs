//! Reading a file of any format, a page at a time.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tallybook_core::{Precision, Timestamp};
use tallybook_formats::{BadRecord, Format, FormatError, ParquetReader, Reader};

use crate::{Compression, Exchanged, FileError, InputFile, Sequence, Shape, table};

/// What is read of a text at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Records that were read together.
#[derive(Clone, Debug)]
pub struct Page<R> {
    /// The records, in their order, each with a number.
    pub records: Vec<R>,
    /// What is none.
    pub bad: Vec<BadRecord>,
}

/// How much of a file was read, in bytes as it lies on the disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// How closely a file can be compared with others.
///
/// # Errors
/// A database that cannot be opened.
pub fn precision(file: &InputFile) -> Result<Precision, FileError> {
    if file.kind.shape == Shape::Sqlite { table::precision(&file.path) } else { Ok(Precision::QUOTES) }
}

/// Reads a file from its beginning to its end, or until `each` has enough. Adds to `progress`.
///
/// # Errors
/// It cannot be read, or it breaks off; the records before that are given to `each`.
pub fn read<R: Exchanged>(
    file: &InputFile,
    received: Timestamp,
    progress: &Progress,
    mut each: impl FnMut(Page<R>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let mut sequence = Sequence::default();
    let each = |mut page: Page<R>| {
        for record in &mut page.records {
            record.number(&mut sequence);
        }
        each(page)
    };
    match file.kind.shape {
        Shape::Sqlite => table::read(&file.path, received, file.bytes, &|bytes| progress.add(bytes), each),
        Shape::Format(Format::Parquet) => parquet(file, received, progress, each),
        Shape::Format(format) => text(file, format, received, progress, each),
        Shape::Feed { lines } => {
            text(file, if lines { Format::Ndjson } else { Format::Json }, received, progress, each)
        }
    }
}

fn open(file: &InputFile) -> Result<File, FileError> {
    File::open(&file.path).map_err(|error| FileError::because(&file.path, "it cannot be opened", error))
}

fn parquet<R: Exchanged>(
    file: &InputFile,
    received: Timestamp,
    progress: &Progress,
    mut each: impl FnMut(Page<R>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let broken = |error| FileError::because(&file.path, "it cannot be read", error);
    let mut reader = ParquetReader::<R>::new(open(file)?, received).map_err(broken)?;
    let (all_rows, mut rows, mut told) = (reader.rows().max(1), 0, 0);
    while let Some(page) = reader.next_page().map_err(broken)? {
        rows += (page.records.len() + page.bad.len()) as u64;
        let now = (u128::from(file.bytes) * u128::from(rows) / u128::from(all_rows)) as u64;
        progress.add(now - told);
        told = now;
        if each(Page { records: page.records, bad: page.bad }).is_break() {
            break;
        }
    }
    Ok(())
}

fn text<R: Exchanged>(
    file: &InputFile,
    format: Format,
    received: Timestamp,
    progress: &Progress,
    mut each: impl FnMut(Page<R>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let broken = |error| FileError::because(&file.path, "it cannot be read", error);
    let counted = Counted { file: open(file)?, progress: progress.clone() };
    let mut bytes = decompressed(counted, file.kind.compression)
        .map_err(|error| FileError::because(&file.path, "it cannot be decompressed", error))?;
    let mut reader = Reader::<R>::new(format, received);
    let mut chunk = vec![0; CHUNK];
    loop {
        let (length, failed) = fill(&mut bytes, &mut chunk);
        let page = reader.push(&chunk[..length]);
        // Under a header that is of no use every line is bad: that is said once.
        let trouble = reader.trouble();
        let bad = if matches!(trouble, Some(FormatError::Header(_))) { Vec::new() } else { page.bad };
        if (!page.records.is_empty() || !bad.is_empty()) && each(Page { records: page.records, bad }).is_break() {
            return Ok(());
        }
        if let Some(error) = failed {
            return Err(FileError::because(&file.path, "it breaks off", error));
        }
        if let Some(trouble) = trouble {
            return Err(broken(trouble));
        }
        if length < CHUNK {
            let rest = reader.finish().map_err(broken)?;
            let _done = each(Page { records: rest.records, bad: rest.bad });
            return Ok(());
        }
    }
}

/// Fills `chunk` unless the end or an error comes first: how much is read at a time depends on the file alone.
fn fill(bytes: &mut impl Read, chunk: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut length = 0;
    while length < chunk.len() {
        match bytes.read(&mut chunk[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(error)),
        }
    }
    (length, None)
}

fn decompressed(bytes: Counted, compression: Compression) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, bytes))),
        Compression::Zstd => Box::new(zstd::Decoder::new(bytes)?),
    })
}

struct Counted {
    file: File,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.progress.add(length as u64);
        Ok(length)
    }
}
