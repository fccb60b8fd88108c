//! Ticks and pings between files and stores: files of every format are read and written a page at a time, whatever their size;
//! records without a number get one that depends on nothing but the file; and daily files are kept beside a store.

mod daily;
mod error;
mod family;
mod input;
mod journal;
mod kind;
mod output;
mod read;
mod sequence;
mod table;

pub use daily::{DailyFiles, DailyOptions};
pub use error::FileError;
pub use family::Exchanged;
pub use input::{InputFile, find};
pub use journal::{Done, Journal};
pub use kind::{Compression, FileKind, Shape};
pub use output::{FileWriter, is_partial};
pub use read::{Page, Progress, precision, read};
pub use sequence::Sequence;
