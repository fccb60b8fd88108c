//! What only a database server can get wrong in a commit: connections that break, commits out of order, many writers at
//! once, and round trips that grow with rows.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::proxy::{Cut, Proxy};
use support::{Database, batch, connect, everything, open};
use tallybook_conformance::Fixtures;
use tallybook_core::{
    AttributeKey, Cursor, DAY, Execution, ExecutionStatus, HOUR, MetricBucket, Outcome, Ping, Records, Service,
    SourceId, Step, Store as _, Template, TemplateMove, Tick, TickFlags, Timestamp, Window,
};

/// Something of every kind that often meets what is there, and a move.
fn records(seed: u64) -> Records {
    let mut fixtures = Fixtures::few(seed);
    let mut records = fixtures.records(48);
    records.catalogue.template_moves.push(fixtures.template_move());
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_any_message_doubles_and_loses_nothing() {
    let (real, reference) = (Database::new(), Database::new());
    let url = real.url().await.expect("a database");
    let proxy = Proxy::start(&url).await;
    let store = open(&proxy.through(&url)).await;
    let reference = open(&reference.url().await.expect("a database")).await;
    let source = SourceId::mint();
    let mut seq = 0;
    let mut cuts = 0;
    for cut in [Cut::BeforeRequest, Cut::BeforeAnswer] {
        for message in 0.. {
            seq += 1;
            let batch = batch(source, seq, records(seq % 7));
            proxy.cut_at(cut(message));
            let mut answer = store.commit(batch.clone()).await;
            let (_, still_waiting) = proxy.seen();
            proxy.count();
            while let Err(error) = answer {
                assert!(error.is_retryable(), "{error:?} at message {message}");
                answer = store.commit(batch.clone()).await;
            }
            let answer = answer.expect("taken in the end");
            let expected = reference.commit(batch.clone()).await.expect("applied");
            assert_eq!(expected.outcome, Outcome::Applied);
            // Whoever asks again is told what became of the records, too.
            assert_eq!(
                (answer.pings, answer.ticks, answer.executions),
                (expected.pings, expected.ticks, expected.executions),
                "at message {message}"
            );
            if still_waiting {
                // The commit was over before the message: every step has had its cut.
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 100, "only {cuts} cuts");
    assert_eq!(everything(&store).await, everything(&reference).await);
}

/// A batch whose parts all grow with `rows`: keys, corrections of pings in as many buckets, moves of templates, ticks that
/// are new and that are there, days that have no partition yet.
fn wide(round: i64, rows: usize) -> Records {
    let mut records = Fixtures::plain(round.unsigned_abs(), 1_000).records(24 * rows);
    records.pings = (0..rows).map(|at| ping(at, HOUR * at as i64, round.unsigned_abs() + 1)).collect();
    records.ticks = (0..rows).flat_map(|at| [tick(at, 0), tick(at, 1 + round)]).collect();
    let mut fixtures = Fixtures::odd(1);
    for at in 0..rows {
        let [from, to] = [format!("job {at} of {round}"), format!("job {at} of <*>")].map(Arc::from);
        let template: Template = fixtures.record();
        let (service, severity) = (template.service.clone(), template.severity);
        records.catalogue.templates.push(Template { template: Arc::clone(&from), ..template });
        records.catalogue.template_moves.push(TemplateMove { service, severity, from, to });
    }
    for day in 0..rows.min(20) as i64 {
        let start = Timestamp((1_000 + 100 * round + day) * DAY);
        let bucket = MetricBucket { window: Window::Day, start, ..fixtures.record() };
        records.catalogue.metric_buckets.push(bucket);
    }
    records
}

fn ping(target: usize, time: i64, latency: u64) -> Ping {
    Ping::new(format!("host-{target}"), Timestamp(time), Some(latency))
}

fn tick(symbol: usize, at: i64) -> Tick {
    let bid = Some("1.0851".parse().expect("a number"));
    Tick {
        symbol: format!("S{symbol}").into(),
        time: Timestamp(at * 1_000_000_000),
        seq: 0,
        bid,
        ask: None,
        volume: None,
        source: "lp".into(),
        flags: TickFlags::of_sides(bid, None),
        received: Timestamp(at * 1_000_000_000),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_as_many_messages_for_a_thousand_rows_as_for_ten() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let proxy = Proxy::start(&url).await;
    let store = open(&proxy.through(&url)).await;
    let source = SourceId::mint();
    let mut messages = Vec::new();
    // The first two also prepare the statements and bring all names.
    for (round, rows) in [1_000, 10, 10, 1_000].into_iter().enumerate() {
        proxy.count();
        let committed = store.commit(batch(source, round as u64, wide(round as i64, rows))).await.expect("committed");
        let corrected = if round == 0 { 0 } else { rows as u64 };
        assert_eq!((committed.pings.merged, committed.ticks.stored > 0), (corrected, true));
        messages.push(proxy.seen().0);
    }
    assert_eq!(messages[2], messages[3], "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_misses_no_row_and_no_tick_of_a_transaction_that_is_held_open() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let store = Arc::new(open(&url).await);
    let source = SourceId::mint();
    let first = Records { ticks: vec![tick(0, 1)], ..records(1) };
    store.commit(batch(source, 1, first)).await.expect("committed");
    let mut cursor = Cursor::START;
    loop {
        let page = store.changes(&cursor, 100).await.expect("changes");
        cursor = page.next;
        if !page.more {
            break;
        }
    }

    // Another server in the middle of its commit.
    let slow = connect(&url).await.expect("a connection");
    slow.batch_execute(
        "BEGIN;
         UPDATE revision SET rev = rev + 1;
         INSERT INTO service SELECT 'slow', 0, 0, 0, 0, 0, rev FROM revision;
         INSERT INTO tick SELECT \"time\", 1, received, bid, ask, volume, symbol, source, shape FROM tick;
         INSERT INTO tick_touched SELECT r.rev, day, symbol, first_time, 1, last_time, 1 FROM revision AS r, tick_touched",
    )
    .await
    .expect("in a transaction");
    let fast = tokio::spawn({
        let store = store.clone();
        let mut records = Records { ticks: vec![Tick { seq: 2, ..tick(0, 1) }], ..Records::default() };
        records.catalogue.services.push(Service { name: "fast".into(), ..Fixtures::odd(3).record() });
        async move { store.commit(batch(source, 2, records)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let meanwhile = store.changes(&cursor, 100).await.expect("readers do not wait");
    assert_eq!((meanwhile.changes, meanwhile.ticks), (vec![], vec![]), "nothing is committed yet");
    slow.batch_execute("COMMIT").await.expect("committed");
    fast.await.expect("no panic").expect("committed");

    let after = store.changes(&meanwhile.next, 100).await.expect("changes");
    let names: Vec<_> = after.changes.iter().filter_map(|change| change.row[0].as_text()).collect();
    assert_eq!(names, ["slow", "fast"]);
    assert_eq!(after.ticks.iter().map(|tick| tick.seq).collect::<Vec<_>>(), [1, 2]);
}

/// Writers at once.
const WRITERS: u64 = 4;
/// Batches of each.
const BATCHES: u64 = 25;

/// Records of every family whose result does not depend on the order of commits: some that only this batch has, and some
/// that every batch brings again.
fn numbers(seed: u64) -> Records {
    let mut fixtures = Fixtures::odd(seed);
    let mut records = Records::default();
    records.catalogue.services.extend((0..20).map(|_| fixtures.record::<Service>()));
    records.catalogue.attribute_keys.extend((0..20).map(|_| fixtures.record::<AttributeKey>()));
    for at in 0..20 {
        let second = 1 + (20 * seed + at) as i64;
        records.pings.push(ping(at as usize % 3, 1_000_000_000 * second, 1_000 + seed));
        records.ticks.push(tick(at as usize % 3, second));
    }
    records.pings.push(ping(0, 0, 1));
    records.ticks.push(tick(0, 0));
    let id: Arc<str> = format!("0190a1b2-c3d4-7e5f-8a9b-{seed:012}").into();
    // Every revision of one job comes from all writers, in any order; the greatest stays.
    let shared: Arc<str> = "0190a1b2-c3d4-7e5f-8a9b-999999999999".into();
    let job = Fixtures::odd(1).record::<Execution>();
    let job = Execution { name: "job".into(), status: ExecutionStatus::Running, created_at: Timestamp(0), ..job };
    for (id, revision) in [(id.clone(), 1), (shared, seed + 1)] {
        records.executions.executions.push(Execution { id, revision, lines: revision, ..job.clone() });
    }
    records.executions.steps.push(Step { execution: id, ..Fixtures::odd(2).record() });
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn four_writers_at_once_keep_every_total_of_every_family_exact() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let reference = Database::new();
    let reference = open(&reference.url().await.expect("a database")).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = open(&url).await;
                let source = SourceId::mint();
                let mut stored = [0, 0, 0];
                for seq in 0..BATCHES {
                    let batch = batch(source, seq, numbers(writer * BATCHES + seq));
                    let committed = store.commit(batch).await.expect("no deadlock");
                    let counts = [committed.pings, committed.ticks, committed.executions];
                    stored.iter_mut().zip(counts).for_each(|(sum, counts)| *sum += counts.stored);
                }
                stored
            })
        })
        .collect();
    let mut stored = [0, 0];
    for writer in writers {
        let [pings, ticks, _] = writer.await.expect("no panic");
        stored = [stored[0] + pings, stored[1] + ticks];
    }
    let source = SourceId::mint();
    for seq in 0..WRITERS * BATCHES {
        reference.commit(batch(source, seq, numbers(seq))).await.expect("committed");
    }
    // What every writer brought counts once.
    assert_eq!(stored, [20 * WRITERS * BATCHES + 1; 2]);
    assert_eq!(everything(&open(&url).await).await, everything(&reference).await);
}
