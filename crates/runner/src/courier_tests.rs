//! The courier against a destination that remembers and fails.

use std::sync::Mutex;

use tallybook_core::{ExecutionStatus, NewExecution, Timestamp};
use uuid::Uuid;

use super::*;
use crate::spool::SpoolWriter;

/// Remembers what it took; fails as often as it is told.
#[derive(Debug, Default)]
struct Remembers {
    numbers: Mutex<HashMap<String, Vec<u64>>>,
    failures: Mutex<Vec<NotTaken>>,
    cancel: bool,
}

#[async_trait]
impl Destination for Remembers {
    async fn take(&self, id: &str, events: &[ExecutionEvent]) -> Result<Taken, NotTaken> {
        if let Some(failure) = self.failures.lock().unwrap().pop() {
            return Err(failure);
        }
        let mut numbers = self.numbers.lock().unwrap();
        numbers.entry(id.to_owned()).or_default().extend(events.iter().map(|event| event.number));
        Ok(Taken { cancel: self.cancel })
    }
}

impl Remembers {
    fn of(&self, id: &str) -> Vec<u64> {
        self.numbers.lock().unwrap().get(id).cloned().unwrap_or_default()
    }
}

struct Writing {
    writer: SpoolWriter,
    id: String,
    next: u64,
}

impl Writing {
    fn new(spool: &Spool, server: Option<&str>) -> Self {
        let id = Uuid::now_v7().hyphenated().to_string();
        let writer = SpoolWriter::create(spool, &id, server).unwrap();
        let mut writing = Self { writer, id, next: 1 };
        writing.write(ExecutionEventKind::Created(NewExecution { name: "a".into(), ..NewExecution::default() }));
        writing.write(ExecutionEventKind::Started);
        writing
    }

    fn write(&mut self, kind: ExecutionEventKind) {
        self.writer.event(&ExecutionEvent { number: self.next, at: Timestamp(7), kind });
        self.next += 1;
    }

    fn finish(&mut self) {
        let status = ExecutionStatus::Completed;
        self.write(ExecutionEventKind::Finished { status, exit_code: Some(0), error: None });
    }
}

fn place() -> (tempfile::TempDir, Spool, Remembers) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::of(folder.path());
    (folder, spool, Remembers::default())
}

#[tokio::test]
async fn events_are_brought_on_while_they_come_and_the_spool_goes_with_the_last() {
    let (_folder, spool, there) = place();
    let mut courier = Courier::new(spool.clone(), None);
    let mut run = Writing::new(&spool, None);
    let round = courier.round(&there).await.unwrap();
    assert_eq!((round.live, round.whole, round.events), (1, 0, 2));
    assert_eq!(courier.round(&there).await.unwrap().events, 0);
    run.finish();
    let round = courier.round(&there).await.unwrap();
    assert_eq!((round.live, round.whole, round.events), (0, 1, 1));
    assert_eq!(there.of(&run.id), [1, 2, 3]);
    assert!(!spool.has(&run.id));
}

#[tokio::test]
async fn what_is_not_taken_is_brought_again_in_its_order() {
    let (_folder, spool, there) = place();
    let mut courier = Courier::new(spool.clone(), None);
    let mut run = Writing::new(&spool, None);
    there.failures.lock().unwrap().push(NotTaken::Yet("away".to_owned()));
    let failed = courier.round(&there).await.unwrap().failed;
    assert_eq!(failed, [(run.id.clone(), NotTaken::Yet("away".to_owned()))]);
    run.finish();
    assert_eq!(courier.round(&there).await.unwrap().whole, 1);
    assert_eq!(there.of(&run.id), [1, 2, 3]);
}

#[tokio::test]
async fn what_is_refused_for_ever_is_put_aside_and_harms_no_other() {
    let (folder, spool, there) = place();
    let mut courier = Courier::new(spool.clone(), None);
    let (mut bad, mut good) = (Writing::new(&spool, None), Writing::new(&spool, None));
    bad.finish();
    good.finish();
    there.failures.lock().unwrap().push(NotTaken::Refused("no".to_owned()));
    let round = courier.round(&there).await.unwrap();
    assert_eq!((round.whole, round.failed.len()), (1, 1));
    assert!(spool.ids().unwrap().is_empty());
    let aside = folder.path().join("spool").join(format!("{}.refused", round.failed[0].0));
    assert!(aside.exists());
}

#[tokio::test]
async fn a_dead_run_is_given_its_end_and_a_living_one_is_not() {
    let (_folder, spool, there) = place();
    let (dead, alive) = (Writing::new(&spool, None), Writing::new(&spool, None));
    let id = dead.id.clone();
    drop(dead);
    let round = Courier::new(spool.clone(), None).round(&there).await.unwrap();
    assert_eq!((round.live, round.whole), (1, 1));
    assert_eq!((there.of(&id), there.of(&alive.id)), (vec![1, 2, 3], vec![1, 2]));
}

#[tokio::test]
async fn events_for_another_server_are_left_for_it() {
    let (_folder, spool, there) = place();
    let mut run = Writing::new(&spool, Some("http://far"));
    run.finish();
    assert_eq!(Courier::new(spool.clone(), None).round(&there).await.unwrap().events, 0);
    assert_eq!(Courier::new(spool.clone(), Some("http://near".to_owned())).round(&there).await.unwrap().events, 0);
    assert_eq!(Courier::new(spool.clone(), Some("http://far".to_owned())).round(&there).await.unwrap().whole, 1);
}

#[tokio::test]
async fn who_is_to_end_is_told_so() {
    let (_folder, spool, mut there) = place();
    there.cancel = true;
    let run = Writing::new(&spool, None);
    Courier::new(spool.clone(), None).round(&there).await.unwrap();
    assert!(run.writer.is_asked_to_cancel());
}
