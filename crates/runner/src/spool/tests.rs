//! Spools that are written, read, cut, damaged and adopted.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};

use tallybook_core::{
    EncodedLines, ExecutionEvent, ExecutionEventKind, ExecutionStatus, LineEnd, LogLines, NewExecution, Stream,
    Timestamp,
};
use uuid::Uuid;

use super::*;

struct Place {
    _folder: tempfile::TempDir,
    spool: Spool,
    id: String,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::of(folder.path());
    Place { _folder: folder, spool, id: Uuid::now_v7().hyphenated().to_string() }
}

fn lines(text: &str) -> EncodedLines {
    let mut lines = LogLines::default();
    lines.push_line(Timestamp(5), Stream::Stdout, text.as_bytes(), LineEnd::Newline);
    lines.encode().unwrap()
}

fn events(kinds: Vec<ExecutionEventKind>) -> Vec<ExecutionEvent> {
    (1..).zip(kinds).map(|(number, kind)| ExecutionEvent { number, at: Timestamp(7), kind }).collect()
}

fn begun() -> Vec<ExecutionEvent> {
    events(vec![
        ExecutionEventKind::Created(NewExecution { name: "a".into(), ..NewExecution::default() }),
        ExecutionEventKind::Started,
        ExecutionEventKind::Lines { step: None, lines: lines("one") },
    ])
}

impl Place {
    fn write(&self, events: &[ExecutionEvent]) -> SpoolWriter {
        let mut writer = SpoolWriter::create(&self.spool, &self.id, None).unwrap();
        for event in events {
            let stored = match event.kind {
                ExecutionEventKind::Lines { .. } => writer.lines(event),
                _ => writer.event(event),
            };
            assert_eq!(stored, Stored::Yes);
        }
        writer
    }

    fn read(&self) -> Vec<ExecutionEvent> {
        SpoolReader::open(&self.spool, &self.id).unwrap().unwrap().events(u64::MAX / 2).unwrap()
    }
}

#[test]
fn events_are_read_while_they_are_written() {
    let place = place();
    let mut all = begun();
    let mut writer = place.write(&all);
    let mut reader = SpoolReader::open(&place.spool, &place.id).unwrap().unwrap();
    assert_eq!((reader.server(), place.spool.ids().unwrap()), (None, vec![place.id.clone()]));
    assert_eq!(reader.events(1 << 20).unwrap(), all);
    assert_eq!(reader.events(1 << 20).unwrap(), []);
    writer.tail(&lines("two"));
    assert_eq!(reader.events(1 << 20).unwrap(), [], "a tail is no event");
    let more = ExecutionEvent { number: 4, at: Timestamp(9), kind: ExecutionEventKind::StepCompleted { name: None } };
    writer.event(&more);
    assert_eq!(reader.events(1 << 20).unwrap(), std::slice::from_ref(&more));
    all.push(more);
    assert_eq!(place.read(), all);
    assert!(matches!(adopt(&place.spool, &place.id).unwrap(), Adopted::Alive));
    place.spool.remove(&place.id).unwrap();
    assert!(place.spool.ids().unwrap().is_empty());
}

#[test]
fn a_dead_run_ends_interrupted_with_the_lines_it_had_saved() {
    let place = place();
    let mut writer = place.write(&begun());
    writer.tail(&lines("older"));
    writer.tail(&lines("saved"));
    drop(writer);
    // Killed in the middle of a write.
    let mut file = OpenOptions::new().append(true).open(place.spool.file(&place.id)).unwrap();
    file.write_all(&[200, 0, 0, 0, 1, 2, 3]).unwrap();
    drop(file);
    let Adopted::Ours(held) = adopt(&place.spool, &place.id).unwrap() else { panic!("nobody holds it") };
    assert!(matches!(adopt(&place.spool, &place.id).unwrap(), Adopted::Alive), "one adopts it");
    drop(held);
    let read = place.read();
    assert_eq!(read[..3], begun());
    assert_eq!((read[3].number, &read[3].kind), (4, &ExecutionEventKind::Lines { step: None, lines: lines("saved") }));
    let ExecutionEventKind::Finished { status: ExecutionStatus::Interrupted, .. } = read[4].kind else { panic!() };
    // Again: nothing more is added.
    assert!(matches!(adopt(&place.spool, &place.id).unwrap(), Adopted::Ours(_)));
    assert_eq!(place.read(), read);
}

#[test]
fn lines_that_have_an_event_are_not_there_twice() {
    let place = place();
    let mut writer = place.write(&begun());
    writer.tail(&lines("two"));
    writer.lines(&ExecutionEvent {
        number: 4,
        at: Timestamp(8),
        kind: ExecutionEventKind::Lines { step: None, lines: lines("two") },
    });
    drop(writer);
    assert!(matches!(adopt(&place.spool, &place.id).unwrap(), Adopted::Ours(_)));
    assert_eq!(place.read().len(), 5);
}

#[test]
fn whatever_a_crash_leaves_is_read_up_to_the_damage() {
    let place = place();
    let all = begun();
    drop(place.write(&all));
    let path = place.spool.file(&place.id);
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        if let Some(mut reader) = SpoolReader::open(&place.spool, &place.id).unwrap() {
            let read = reader.events(1 << 20).unwrap();
            assert_eq!(read[..], all[..read.len()], "cut at {cut}");
        }
    }
    for at in 0..whole.len() {
        fs::write(&path, &whole).unwrap();
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[whole[at] ^ 0x10]).unwrap();
        if let Some(mut reader) = SpoolReader::open(&place.spool, &place.id).unwrap() {
            let read = reader.events(1 << 20).unwrap();
            assert!(read.len() < all.len() && read[..] == all[..read.len()], "damaged at {at}");
        }
    }
}

#[test]
fn a_spool_without_an_event_is_empty() {
    let place = place();
    drop(place.write(&[]));
    assert!(matches!(adopt(&place.spool, &place.id).unwrap(), Adopted::Empty));
    assert!(matches!(adopt(&place.spool, "none").unwrap(), Adopted::Empty));
}

#[test]
fn a_run_is_asked_to_end() {
    let place = place();
    let writer = place.write(&begun());
    assert!(!writer.is_asked_to_cancel());
    place.spool.ask_to_cancel(&place.id).unwrap();
    assert!(writer.is_asked_to_cancel());
}
