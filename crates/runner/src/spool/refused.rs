//! Spools that no store will ever take: put aside for people to look at, and not for ever.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::Spool;

const EXTENSION: &str = "refused";
/// So many are kept, and so many bytes of them; the one that came last stays, however large it is.
const MAX_COUNT: usize = 100;
const MAX_BYTES: u64 = 256 << 20;

/// A spool that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSpool {
    /// The execution.
    pub id: String,
    /// Its size.
    pub bytes: u64,
}

/// What became of a spool that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Where it lies now.
    pub path: PathBuf,
    /// Older ones that went to make room.
    pub removed: usize,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its events are kept in {}", self.path.display())?;
        match self.removed {
            0 => Ok(()),
            removed => write!(f, ", and {removed} older ones like it were removed to make room"),
        }
    }
}

impl Spool {
    /// Puts aside what no store will ever take, for people to look at. The oldest of those go where they are too many.
    ///
    /// # Errors
    /// When it cannot be renamed, or an older one not be removed.
    pub fn put_aside(&self, id: &str) -> io::Result<Aside> {
        self.put_aside_within(id, MAX_COUNT, MAX_BYTES)
    }

    fn put_aside_within(&self, id: &str, max_count: usize, max_bytes: u64) -> io::Result<Aside> {
        let path = self.refused_file(id);
        fs::rename(self.file(id), &path)?;
        self.remove(id)?;
        let (mut count, mut bytes, mut removed) = (0, 0_u64, 0);
        for aside in self.all_refused()?.iter().rev() {
            count += 1;
            bytes = bytes.saturating_add(aside.bytes);
            if aside.id != id && (count > max_count || bytes > max_bytes) {
                match fs::remove_file(self.refused_file(&aside.id)) {
                    Ok(()) => removed += 1,
                    // Somebody else was quicker.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Aside { path, removed })
    }

    /// All that were put aside, the oldest execution first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all_refused(&self) -> io::Result<Vec<RefusedSpool>> {
        let size = |id: String| {
            let bytes = fs::metadata(self.refused_file(&id)).map_or(0, |file| file.len());
            RefusedSpool { id, bytes }
        };
        Ok(self.ids_of(EXTENSION)?.into_iter().map(size).collect())
    }

    /// Where the events of this execution are, if no store will ever take them.
    pub fn refused(&self, id: &str) -> Option<PathBuf> {
        Some(self.refused_file(id)).filter(|path| path.exists())
    }

    fn refused_file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{EXTENSION}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_spools_are_kept_up_to_a_number_and_a_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::of(folder.path());
        fs::create_dir_all(&spool.folder).unwrap();
        let id = |at: u32| format!("0199c0de-0000-7000-8000-{at:012}");
        let refuse = |at, bytes: usize, max_count, max_bytes| {
            fs::write(spool.file(&id(at)), vec![0; bytes]).unwrap();
            spool.ask_to_cancel(&id(at)).unwrap();
            spool.put_aside_within(&id(at), max_count, max_bytes).unwrap().removed
        };
        let kept = || spool.all_refused().unwrap().into_iter().map(|aside| aside.bytes).collect::<Vec<_>>();
        assert_eq!([refuse(1, 10, 3, 1_000), refuse(2, 20, 3, 1_000), refuse(3, 30, 3, 1_000)], [0, 0, 0]);
        assert_eq!((refuse(4, 40, 3, 1_000), kept()), (1, vec![20, 30, 40]));
        assert_eq!((refuse(5, 50, 10, 100), kept()), (2, vec![40, 50]));
        assert_eq!((refuse(6, 500, 10, 100), kept()), (2, vec![500]), "the last one stays");
        // One of an old run that comes late stays, too.
        assert_eq!((refuse(1, 10, 1, 1_000), kept()), (0, vec![10, 500]));
        assert!(spool.refused(&id(1)).is_some() && spool.refused(&id(5)).is_none());
        assert!(spool.ids().unwrap().is_empty() && !spool.is_asked_to_cancel(&id(1)));
    }
}
