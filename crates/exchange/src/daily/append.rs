//! Adding ticks to the file of a day, which is whole before and after.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use tallybook_core::Tick;
use tallybook_formats::feed_json;

/// How an array ends.
const END: &[u8] = b"\n]\n";

/// Adds ticks to a file, which is made where there is none. Where that fails, the file is left as it was, as far as possible.
pub(super) fn append(path: &Path, lines: bool, broker_id: &str, ticks: &[&Tick]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut text = Vec::with_capacity(160 * ticks.len());
    let (at, mut separator): (u64, &[u8]) = if lines {
        (length, b"")
    } else if length == 0 {
        (0, b"[\n")
    } else {
        let at = end_of_array(&mut file, length)?;
        (at, if at <= 1 { b"\n" } else { b",\n" })
    };
    for tick in ticks {
        text.extend_from_slice(separator);
        feed_json(tick, broker_id, &mut text);
        separator = if lines { b"" } else { b",\n" };
        if lines {
            text.push(b'\n');
        }
    }
    if !lines {
        text.extend_from_slice(END);
    }
    file.seek(SeekFrom::Start(at))?;
    let written = file.write_all(&text).and_then(|()| file.flush());
    if written.is_err() {
        // The end of the array is overwritten first: its place is there.
        let end: &[u8] = if lines || length == 0 { b"" } else { END };
        let _as_it_was =
            file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(end)).and_then(|()| file.set_len(length));
    }
    written
}

/// Where the array of a file of so many bytes ends, without its end.
fn end_of_array(file: &mut File, length: u64) -> io::Result<u64> {
    let changed =
        || io::Error::new(io::ErrorKind::InvalidData, "it does not end as it was written; somebody changed it");
    let at = length.checked_sub(END.len() as u64).ok_or_else(changed)?;
    let mut end = [0; END.len()];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut end)?;
    if end == *END { Ok(at) } else { Err(changed()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tallybook_core::Timestamp;

    use super::*;

    fn tick(seq: u64) -> Tick {
        let quote = Tick::new("A", Timestamp(1_700_000_000_123_000_000), Some("1.50".parse().unwrap()), None);
        Tick { source: "lp".into(), ..quote.numbered(seq) }
    }

    #[test]
    fn the_file_is_an_array_after_each_addition() {
        let folder = tempfile::tempdir().unwrap();
        for (name, start) in [("new", None), ("empty", Some("[\n]\n"))] {
            let path = folder.path().join(name);
            if let Some(start) = start {
                fs::write(&path, start).unwrap();
            }
            for (seq, expected) in [(0, 1), (1, 2), (2, 3)] {
                append(&path, false, "b", &[&tick(seq)]).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                let array: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
                assert_eq!(array.len(), expected);
                assert_eq!(array[seq as usize]["seq"], seq);
                assert!(text.contains(r#"{"broker_id":"b","symbol":"A","bid":1.50,"ask":null,"spread":null,"timestamp":1700000000123,"lp":"lp","seq":0}"#));
            }
        }
        let changed = folder.path().join("changed");
        fs::write(&changed, "[\n{}\n").unwrap();
        assert!(append(&changed, false, "b", &[&tick(0)]).is_err());
        assert_eq!(fs::read_to_string(&changed).unwrap(), "[\n{}\n");
    }

    #[test]
    fn lines_follow_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        append(&path, true, "b", &[&tick(0), &tick(1)]).unwrap();
        append(&path, true, "b", &[&tick(2)]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}
