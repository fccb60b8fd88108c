//! What only a mirror in ClickHouse has: views, users, tables that somebody removes, connections that break.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tallybook_conformance::Fixtures;
use tallybook_core::{
    Ack, Batch, BatchId, Cursor, DAY, ErrorKind, Follower, HOUR, Ping, Readback, Records, SourceId, Store, Tick,
    TickFlags, Timestamp,
};
use tallybook_mirror_clickhouse::{Address, ClickHouseMirror};
use tallybook_store_memory::MemoryStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Database;
use crate::engines::Engine;

type Body = fn(Engine) -> BoxFuture<'static, ()>;

pub(crate) const ALL: &[(&str, Body)] = &[
    ("views_show_each_row_once_as_it_is_now", |engine| Box::pin(views_show_each_row_once_as_it_is_now(engine))),
    ("bars_of_hours_and_days_are_not_changed_by_a_page_that_comes_again", |engine| {
        Box::pin(bars_of_hours_and_days_are_not_changed_by_a_page_that_comes_again(engine))
    }),
    ("a_wiped_mirror_is_filled_anew", |engine| Box::pin(a_wiped_mirror_is_filled_anew(engine))),
    ("inserts_cut_in_the_middle_lead_to_the_same", |engine| {
        Box::pin(inserts_cut_in_the_middle_lead_to_the_same(engine))
    }),
    ("the_queries_of_the_documentation_are_answered", |engine| {
        Box::pin(the_queries_of_the_documentation_are_answered(engine))
    }),
    ("what_cannot_be_is_one_clear_sentence", |engine| Box::pin(what_cannot_be_is_one_clear_sentence(engine))),
];

async fn commit(primary: &MemoryStore, records: Records) {
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    primary.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.expect("the memory store takes a batch");
}

async fn follow(primary: &MemoryStore, mirror: &ClickHouseMirror) -> tallybook_core::Result<()> {
    let id = primary.info().id;
    loop {
        let cursor = mirror.cursor(id).await?;
        let page = primary.changes(&cursor, 500).await?;
        let more = page.more;
        mirror.absorb(id, &cursor, page).await?;
        if !more {
            return Ok(());
        }
    }
}

async fn assert_same(primary: &MemoryStore, mirror: &ClickHouseMirror) {
    for table in tallybook_core::TABLES {
        let expected = primary.read_rows(table, None, usize::MAX).await.expect("memory is read");
        let found = mirror.read_rows(table, None, 1_000_000).await.expect("the mirror is read");
        assert_eq!(found, expected, "`{}`", table.name);
    }
    let expected = primary.read_symbols().await.expect("memory is read");
    assert_eq!(mirror.read_symbols().await.expect("the mirror is read"), expected);
}

fn ping(time: i64, latency: Option<u64>) -> Ping {
    Ping::new("host", Timestamp(time), latency)
}

fn tick(time: i64, seq: u64, bid: &str, ask: &str) -> Tick {
    let number = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a number"));
    Tick {
        symbol: "EURUSD".into(),
        time: Timestamp(time),
        seq,
        bid: number(bid),
        ask: number(ask),
        volume: None,
        source: "lp".into(),
        flags: TickFlags::default(),
        received: Timestamp(time),
    }
}

async fn views_show_each_row_once_as_it_is_now(engine: Engine) {
    let database = Database::new(&engine);
    let (primary, mirror) = (MemoryStore::new(), database.mirror().await.expect("the mirror opens"));
    let start = 20_000 * DAY;
    for latency in [1_000_000, 7_000_000] {
        // The later one replaces the earlier one.
        commit(&primary, Records { pings: vec![ping(start, Some(latency))], ..Records::default() }).await;
        follow(&primary, &mirror).await.expect("it is followed");
    }
    let found = mirror.ask("SELECT target, latency, toString(day) FROM {ping}").await.expect("the view answers");
    assert_eq!(found, "host\t7000000\t2024-10-04\n");
    let ticks = vec![tick(start + 5, 0, "1.08755", "1.08761"), tick(start + 5, 1, "1.5", "")];
    commit(&primary, Records { ticks, ..Records::default() }).await;
    follow(&primary, &mirror).await.expect("it is followed");
    let sql = "SELECT symbol, seq, round(bid, 5), isNull(ask), round(spread, 5) FROM {tick} ORDER BY seq";
    let found = mirror.ask(sql).await.expect("the view answers");
    assert_eq!(found, "EURUSD\t0\t1.08755\t0\t0.00006\nEURUSD\t1\t1.5\t1\t\\N\n");
}

async fn bars_of_hours_and_days_are_not_changed_by_a_page_that_comes_again(engine: Engine) {
    let database = Database::new(&engine);
    let (primary, mirror) = (MemoryStore::new(), database.mirror().await.expect("the mirror opens"));
    let start = 20_000 * DAY;
    let ticks = vec![
        tick(start + 1, 0, "1.5", "1.6"),
        tick(start + 2, 0, "1.25", ""),
        tick(start + 3, 0, "1.75", "2"),
        tick(start + HOUR, 0, "1", "1"),
    ];
    commit(&primary, Records { ticks, ..Records::default() }).await;
    let id = primary.info().id;
    for _ in 0..3 {
        let page = primary.changes(&Cursor::START, 500).await.expect("the store lists changes");
        let cursor = mirror.cursor(id).await.expect("the mirror knows its cursor");
        mirror.absorb(id, &cursor, page).await.expect("the mirror keeps a page");
    }
    let columns = "bid_open, bid_high, bid_low, bid_close, ask_open, ask_close, ticks_estimate";
    let found = mirror.ask(&format!("SELECT {columns} FROM {{tick_hour}} ORDER BY start")).await.expect("it answers");
    assert_eq!(found, "1.5\t1.75\t1.25\t1.75\t1.6\t2\t3\n1\t1\t1\t1\t1\t1\t1\n");
    let found = mirror.ask(&format!("SELECT {columns} FROM {{tick_day}}")).await.expect("it answers");
    assert_eq!(found, "1.5\t1.75\t1\t1\t1.6\t1\t4\n");
}

async fn the_queries_of_the_documentation_are_answered(engine: Engine) {
    let database = Database::new(&engine);
    let mirror = database.mirror().await.expect("the mirror opens");
    let page = include_str!("../../../../docs/clickhouse.md");
    let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let queries = blocks.flat_map(|block| block.split(';')).map(str::trim).filter(|query| !query.is_empty());
    let mut asked = 0;
    for query in queries {
        let mut words: Vec<String> = query.split_whitespace().map(str::to_owned).collect();
        for at in 1..words.len() {
            if words[at - 1] == "FROM" {
                words[at] = format!("{{{}}}", words[at]);
            }
        }
        mirror.ask(&words.join(" ")).await.unwrap_or_else(|error| panic!("{query}\n{error}"));
        asked += 1;
    }
    assert!(asked >= 6, "{asked} queries were found");
}

async fn a_wiped_mirror_is_filled_anew(engine: Engine) {
    let database = Database::new(&engine);
    let (primary, mirror) = (MemoryStore::new(), database.mirror().await.expect("the mirror opens"));
    let mut fixtures = Fixtures::odd(7);
    commit(&primary, fixtures.records(200)).await;
    follow(&primary, &mirror).await.expect("it is followed");
    for wipe in ["DROP TABLE {ping_raw}", "DROP DATABASE {}"] {
        mirror.ask(wipe).await.expect("somebody wipes it");
        commit(&primary, fixtures.records(100)).await;
        // The first try finds out.
        let mut tries = 0;
        while let Err(error) = follow(&primary, &mirror).await {
            assert!(error.is_retryable() && tries < 5, "{error}");
            tries += 1;
        }
        assert_same(&primary, &mirror).await;
    }
}

/// Lets through so many bytes, cuts the connection, and lets through more the next time.
async fn cutting_proxy(to: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let allowed = Arc::new(AtomicUsize::new(200));
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let room = allowed.fetch_add(1_700, Ordering::Relaxed);
            let to = to.clone();
            tokio::spawn(async move {
                let Ok(mut onward) = TcpStream::connect(to).await else { return };
                let (mut room, mut there, mut back) = (room, vec![0; 4096], vec![0; 4096]);
                loop {
                    tokio::select! {
                        read = from.read(&mut there) => match read {
                            Ok(read) if read > 0 && read <= room => {
                                room -= read;
                                if onward.write_all(&there[..read]).await.is_err() { return }
                            }
                            Ok(read) if read > 0 => {
                                let _ = onward.write_all(&there[..room]).await;
                                return;
                            }
                            _ => return,
                        },
                        read = onward.read(&mut back) => match read {
                            Ok(read) if read > 0 => if from.write_all(&back[..read]).await.is_err() { return },
                            _ => return,
                        },
                    }
                }
            });
        }
    });
    address
}

async fn inserts_cut_in_the_middle_lead_to_the_same(engine: Engine) {
    let database = Database::new(&engine);
    drop(database.mirror().await.expect("the tables are made"));
    let proxy = cutting_proxy(engine.address.clone()).await;
    let through = database.url.replace(&engine.address, &proxy);
    let address = Address::parse(&through).expect("a URL");
    let primary = MemoryStore::new();
    commit(&primary, Fixtures::odd(11).records(400)).await;
    let mut cuts = 0;
    let mirror = loop {
        match ClickHouseMirror::open(&address).await {
            Ok(mirror) => break mirror,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        cuts += 1;
    };
    while let Err(error) = follow(&primary, &mirror).await {
        assert!(error.is_retryable() && cuts < 2_000, "{error}");
        cuts += 1;
    }
    assert!(cuts > 3, "{cuts} cuts");
    let direct = database.mirror().await.expect("the mirror opens");
    assert_same(&primary, &direct).await;
}

async fn what_cannot_be_is_one_clear_sentence(engine: Engine) {
    let open = async |url: String| {
        let opened = ClickHouseMirror::open(&Address::parse(&url).expect("a URL")).await;
        opened.map(|_| ()).map_err(|error| (error.kind(), error.to_string()))
    };
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let (kind, sentence) = open(format!("clickhouse://127.0.0.1:{port}/d")).await.expect_err("nobody answers");
    assert_eq!(kind, ErrorKind::Unavailable, "{sentence}");
    if !engine.has_users {
        return;
    }
    let url = |login: &str| format!("clickhouse://{login}@{}/fresh", engine.address);
    for login in ["reader:wrong", "nobody:x"] {
        let (kind, sentence) = open(url(login)).await.expect_err("it is refused");
        assert_eq!(kind, ErrorKind::Invalid, "{sentence}");
        assert!(sentence.contains("check user and password"), "{sentence}");
    }
    let (kind, sentence) = open(url("reader:secret")).await.expect_err("it may only read");
    assert_eq!(kind, ErrorKind::Invalid, "{sentence}");
    assert!(sentence.contains("GRANT") && sentence.contains("reader") && !sentence.contains("secret"), "{sentence}");
}
