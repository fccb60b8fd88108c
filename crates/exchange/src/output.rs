//! Writing a file of any format. Under its name it is whole, or it is not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tallybook_formats::{Encoder, Format, feed_json};

use crate::table::TableWriter;
use crate::{Compression, Exchanged, FileError, FileKind, Shape};

/// Behind the name of a file that is not whole.
const PARTIAL: &str = ".partial";
const BUFFER: usize = 1 << 20;
/// Compresses faster than disks write.
const ZSTD_LEVEL: i32 = 3;

/// Writes one file, or to the standard output.
pub struct FileWriter<R> {
    /// Its name when it is whole; `None` for the standard output.
    path: Option<PathBuf>,
    output: Option<Output<R>>,
    records: u64,
}

enum Output<R> {
    Bytes { encoder: Encoder<R>, bytes: Bytes },
    Table(TableWriter),
}

enum Bytes {
    Plain(BufWriter<Target>),
    Gzip(flate2::write::GzEncoder<BufWriter<Target>>),
    Zstd(zstd::Encoder<'static, BufWriter<Target>>),
}

enum Target {
    File(File),
    StandardOutput(io::Stdout),
}

/// Whether a file is one that was not finished.
pub fn is_partial(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(PARTIAL))
}

impl<R: Exchanged> FileWriter<R> {
    /// Writes a file that takes the place of what has its name, once it is finished. `broker_id` is what a feed says.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path, kind: FileKind, broker_id: &str) -> Result<Self, FileError> {
        let failed = |error: io::Error| FileError::because(path, "it cannot be written", error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let partial = partial(path);
        let output = if kind.shape == Shape::Sqlite {
            if fs::exists(&partial).map_err(failed)? {
                fs::remove_file(&partial).map_err(failed)?;
            }
            let table = TableWriter::create(&partial);
            Output::Table(table.map_err(|error| FileError::because(path, "it cannot be written", error))?)
        } else {
            let target = Target::File(File::create(&partial).map_err(failed)?);
            let bytes = Bytes::new(target, kind.compression).map_err(failed)?;
            Output::Bytes { encoder: encoder(kind.shape, broker_id), bytes }
        };
        Ok(Self { path: Some(path.to_owned()), output: Some(output), records: 0 })
    }

    /// Writes to the standard output; a database cannot.
    ///
    /// # Errors
    /// It is a database.
    pub fn to_stdout(kind: FileKind, broker_id: &str) -> Result<Self, FileError> {
        let stdout = Path::new("standard output");
        if kind.shape == Shape::Sqlite {
            return Err(FileError::new(stdout, "a database cannot be written there; name a file"));
        }
        let bytes = Bytes::new(Target::StandardOutput(io::stdout()), kind.compression)
            .map_err(|error| FileError::because(stdout, "it cannot be written", error))?;
        let output = Output::Bytes { encoder: encoder(kind.shape, broker_id), bytes };
        Ok(Self { path: None, output: Some(output), records: 0 })
    }

    /// Records that were written.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Adds records.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn push(&mut self, records: &[R]) -> Result<(), FileError> {
        self.records += records.len() as u64;
        let written: Result<(), Box<dyn std::error::Error + Send + Sync>> = match &mut self.output {
            Some(Output::Bytes { encoder, bytes }) => bytes.write_all(&encoder.push(records)).map_err(Into::into),
            Some(Output::Table(table)) => match R::as_ticks(records) {
                Some(ticks) => table.push(ticks).map_err(Into::into),
                None => Err("a plain table holds ticks alone".into()),
            },
            None => Ok(()),
        };
        written.map_err(|error| FileError::because(&self.shown(), "it cannot be written", error))
    }

    /// Puts the file on disk and gives it its name.
    ///
    /// # Errors
    /// It cannot be written; nothing has its name then.
    pub fn finish(mut self) -> Result<(), FileError> {
        let shown = self.shown();
        let failed = |error: io::Error| FileError::because(&shown, "it cannot be written", error);
        match self.output.take() {
            Some(Output::Bytes { encoder, mut bytes }) => {
                bytes.write_all(&encoder.finish()).map_err(failed)?;
                bytes.finish().map_err(failed)?;
            }
            Some(Output::Table(table)) => {
                table.finish().map_err(|error| FileError::because(&shown, "it cannot be written", error))?;
                File::open(partial(&shown)).and_then(|file| file.sync_all()).map_err(failed)?;
            }
            None => {}
        }
        if let Some(path) = self.path.take() {
            fs::rename(partial(&path), &path).map_err(failed)?;
        }
        Ok(())
    }

    fn shown(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| "standard output".into())
    }
}

/// What was not finished is no use.
impl<R> Drop for FileWriter<R> {
    fn drop(&mut self) {
        self.output = None;
        if let Some(path) = &self.path {
            let _gone = fs::remove_file(partial(path));
        }
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    name.into()
}

fn encoder<R: Exchanged>(shape: Shape, broker_id: &str) -> Encoder<R> {
    let lines = match shape {
        Shape::Format(format) => return Encoder::new(format),
        Shape::Feed { lines } => lines,
        Shape::Sqlite => false,
    };
    let broker_id = broker_id.to_owned();
    let format = if lines { Format::Ndjson } else { Format::Json };
    Encoder::new(format).with_json(move |record: &R, bytes| {
        for tick in R::as_ticks(std::slice::from_ref(record)).unwrap_or_default() {
            feed_json(tick, &broker_id, bytes);
        }
    })
}

impl Bytes {
    fn new(target: Target, compression: Compression) -> io::Result<Self> {
        let target = BufWriter::with_capacity(BUFFER, target);
        Ok(match compression {
            Compression::None => Self::Plain(target),
            Compression::Gzip => Self::Gzip(flate2::write::GzEncoder::new(target, flate2::Compression::default())),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(target, ZSTD_LEVEL)?),
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(target) => target.write_all(bytes),
            Self::Gzip(target) => target.write_all(bytes),
            Self::Zstd(target) => target.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut target = match self {
            Self::Plain(target) => target,
            Self::Gzip(target) => target.finish()?,
            Self::Zstd(target) => target.finish()?,
        };
        target.flush()?;
        match target.get_ref() {
            Target::File(file) => file.sync_all(),
            Target::StandardOutput(_) => Ok(()),
        }
    }
}

impl Write for Target {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(buffer),
            Self::StandardOutput(stdout) => stdout.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::StandardOutput(stdout) => stdout.flush(),
        }
    }
}
