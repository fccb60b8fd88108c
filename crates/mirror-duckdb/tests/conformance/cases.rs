//! What only a mirror in DuckDB has: a log that is cut off, a schema of another version, a file that others read.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use duckdb::Connection;
use futures_util::future::BoxFuture;
use tallybook_conformance::Fixtures;
use tallybook_core::{
    Ack, Batch, BatchId, Changes, Cursor, Follower, Readback, Records, SourceId, Store, StoreId, TABLES, Tick,
    TickFlags, Timestamp,
};
use tallybook_mirror_duckdb::{Analytics, AnswerLimits, DuckDbMirror, Sources};
use tallybook_store_memory::MemoryStore;

type Body = fn() -> BoxFuture<'static, ()>;

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_log_cut_off_anywhere_leads_to_the_same", || Box::pin(a_log_cut_off_anywhere_leads_to_the_same())),
    ("a_file_with_other_tables_is_filled_anew", || Box::pin(a_file_with_other_tables_is_filled_anew())),
    ("a_tick_that_comes_twice_is_kept_once", || Box::pin(a_tick_that_comes_twice_is_kept_once())),
    ("it_lets_go_of_the_file_when_it_has_caught_up", || Box::pin(it_lets_go_of_the_file_when_it_has_caught_up())),
    ("a_question_that_takes_too_long_is_ended", || Box::pin(async { a_question_that_takes_too_long_is_ended() })),
];

async fn commit(primary: &MemoryStore, records: Records) {
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    primary.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.expect("the memory store takes a batch");
}

async fn open(file: &Path) -> DuckDbMirror {
    DuckDbMirror::open(file).await.expect("the mirror opens")
}

async fn page(primary: &MemoryStore, mirror: &DuckDbMirror, limit: usize) -> bool {
    let id = primary.info().id;
    let cursor = mirror.cursor(id).await.expect("the mirror knows its cursor");
    let page = primary.changes(&cursor, limit).await.expect("the store lists changes");
    let more = page.more;
    mirror.absorb(id, &cursor, page).await.expect("the mirror keeps a page");
    more
}

async fn follow(primary: &MemoryStore, mirror: &DuckDbMirror) {
    while page(primary, mirror, 500).await {}
}

async fn assert_same(primary: &MemoryStore, mirror: &DuckDbMirror) {
    for table in TABLES {
        let expected = primary.read_rows(table, None, usize::MAX).await.expect("memory is read");
        let found = mirror.read_rows(table, None, 1_000_000).await.expect("the mirror is read");
        assert_eq!(found, expected, "`{}`", table.name);
    }
    let expected = primary.read_symbols().await.expect("memory is read");
    assert_eq!(mirror.read_symbols().await.expect("the mirror is read"), expected);
}

async fn a_log_cut_off_anywhere_leads_to_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, log) = (folder.path().join("m.duckdb"), folder.path().join("m.duckdb.wal"));
    let primary = MemoryStore::new();
    commit(&primary, Fixtures::odd(21).records(600)).await;
    let mirror = open(&file).await;
    for _ in 0..5 {
        // More waits, so that it stays open, and what it has kept is in its log.
        assert!(page(&primary, &mirror, 100).await);
    }
    let whole = fs::read(&log).expect("there is a log");
    assert!(whole.len() > 1_000, "{} bytes", whole.len());
    for cut in 0..=12 {
        let copy = folder.path().join(format!("cut-{cut}.duckdb"));
        fs::copy(&file, &copy).expect("the file is copied");
        fs::write(folder.path().join(format!("cut-{cut}.duckdb.wal")), &whole[..whole.len() * cut / 12])
            .expect("a log");
        let mirror = open(&copy).await;
        follow(&primary, &mirror).await;
        assert_same(&primary, &mirror).await;
        mirror.release().await.expect("it lets go");
    }
}

async fn a_file_with_other_tables_is_filled_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("m.duckdb");
    let primary = MemoryStore::new();
    commit(&primary, Fixtures::odd(22).records(200)).await;
    let mirror = open(&file).await;
    for change in ["DROP TABLE ping_raw", "UPDATE mirror_state SET schema = 'of another version'"] {
        follow(&primary, &mirror).await;
        let other = Connection::open(&file).expect("the file is free");
        other.execute_batch(change).expect("somebody changes it");
        other.execute_batch("CREATE OR REPLACE VIEW of_mine AS SELECT 1").expect("a view of somebody");
        drop(other);
        let id = primary.info().id;
        assert_eq!(mirror.cursor(id).await.expect("the mirror knows its cursor"), Cursor::START);
        follow(&primary, &mirror).await;
        assert_same(&primary, &mirror).await;
        mirror.release().await.expect("it lets go");
        let other = Connection::open(&file).expect("the file is free");
        assert_eq!(other.query_row("FROM of_mine", [], |row| row.get::<_, i32>(0)), Ok(1), "what is not ours stays");
    }
}

fn tick(seq: u64) -> Tick {
    Tick {
        symbol: "EURUSD".into(),
        time: Timestamp(5),
        seq,
        bid: None,
        ask: "1.5".parse().ok(),
        volume: None,
        source: "lp".into(),
        flags: TickFlags::default(),
        received: Timestamp(6),
    }
}

async fn a_tick_that_comes_twice_is_kept_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mirror, primary) = (open(&folder.path().join("m.duckdb")).await, StoreId::mint());
    let mut at = Cursor::START;
    for next in ["1", "2"] {
        let ticks = vec![tick(u64::MAX), tick(u64::MAX), tick(0)];
        let next = Cursor(next.into());
        let page = Changes { changes: Vec::new(), ticks, next: next.clone(), more: false };
        mirror.absorb(primary, &at, page).await.expect("the mirror keeps a page");
        at = next;
    }
    assert_eq!(mirror.read_symbols().await.expect("the mirror is read")[0].count, 2);
}

async fn it_lets_go_of_the_file_when_it_has_caught_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("m.duckdb");
    let primary = MemoryStore::new();
    commit(&primary, Fixtures::odd(23).records(300)).await;
    let mirror = open(&file).await;
    assert!(page(&primary, &mirror, 50).await);
    let is_free = || Connection::open(&file).is_ok() && !file.with_extension("duckdb.wal").exists();
    assert!(file.with_extension("duckdb.wal").exists(), "while more waits, it has the file");
    follow(&primary, &mirror).await;
    assert!(is_free(), "it has caught up");
    let cursor = mirror.cursor(primary.info().id).await.expect("the mirror knows its cursor");
    assert_ne!(cursor, Cursor::START);
    assert!(is_free(), "looking for more does not open it");
}

fn a_question_that_takes_too_long_is_ended() {
    let analytics = Analytics::open(&Sources::default(), Duration::ZERO).expect("nothing is opened");
    let limits = AnswerLimits { rows: 2, time: Duration::from_millis(50) };
    let sql = "SELECT count(*) FROM range(1000000000000) AS a(i) WHERE i % 7 = 3";
    let error = analytics.ask(sql, &[], limits).expect_err("it takes too long");
    assert!(error.to_string().contains("took longer than 50ms"), "{error}");
    let answer = analytics.ask("SELECT i, ? AS p FROM range(5) AS a(i)", &["x".into()], limits).expect("an answer");
    assert_eq!((answer.columns, answer.rows.len(), answer.more), (vec!["i".to_owned(), "p".to_owned()], 2, true));
}
