//! What only a database server can get wrong: connections that break, commits out of order, ten starts at once, TLS, and
//! refusals.

#[path = "support/proxy.rs"]
mod proxy;
mod support;

use std::sync::Arc;
use std::time::Duration;

use proxy::{Cut, Proxy};
use support::{Database, connect};
use tallybook_conformance::Fixtures;
use tallybook_core::{
    Ack, AttributeKey, Batch, BatchId, ColumnType, Cursor, ErrorKind, Outcome, Query, Records, Row, Service, SourceId,
    Store as _, StoreExt as _, TABLES, Template, TemplateMove,
};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, PostgresOptions::default()).await.expect("the store opens")
}

/// The same database by another address.
fn through(url: &str, proxy: &Proxy) -> String {
    let (server, rest) = url.trim_start_matches("postgres://postgres@").split_once('/').expect("a database");
    assert!(server.contains(':'));
    format!("postgres://postgres@{}/{rest}", proxy.address())
}

fn server_of(url: &str) -> String {
    url.trim_start_matches("postgres://postgres@").split('/').next().expect("an address").to_owned()
}

/// Something of every kind: rows that add, sketches that are united, a move.
fn records(seed: u64, rows: usize) -> Records {
    let mut fixtures = Fixtures::odd(seed);
    let mut records = Records::default();
    let template: Template = fixtures.record();
    records.catalogue.services.extend((0..rows).map(|_| fixtures.record::<Service>()));
    records.catalogue.attribute_keys.extend((0..rows).map(|_| fixtures.record::<AttributeKey>()));
    records.catalogue.template_moves.push(TemplateMove {
        service: template.service.clone(),
        severity: template.severity,
        from: template.template.clone(),
        to: "<*>".into(),
    });
    records.catalogue.templates.push(template);
    records
}

fn batch(source: SourceId, seq: u64, records: Records) -> Arc<Batch> {
    Arc::new(Batch { id: BatchId { source, seq }, ack: Ack::Written, records })
}

async fn everything(store: &PostgresStore) -> Vec<Vec<Row>> {
    let mut tables = Vec::new();
    for table in TABLES {
        let page = store.select(table, &Query::new(100_000).with_sketches()).await.expect("the table is read");
        tables.push(page.rows);
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_any_message_doubles_and_loses_nothing() {
    let (real, reference) = (Database::new(), Database::new());
    let url = real.url().await.expect("a database");
    let proxy = Proxy::start(server_of(&url)).await;
    let store = open(&through(&url, &proxy)).await;
    let reference = open(&reference.url().await.expect("a database")).await;
    let source = SourceId::mint();
    let mut seq = 0;
    let mut cuts = 0;
    for cut in [Cut::BeforeRequest, Cut::BeforeAnswer] {
        for message in 0.. {
            seq += 1;
            let batch = batch(source, seq, records(seq % 7, 3));
            proxy.cut_at(cut(message));
            let mut answer = store.commit(batch.clone()).await;
            let (_, still_waiting) = proxy.seen();
            proxy.count();
            while let Err(error) = answer {
                assert!(error.is_retryable(), "{error:?} at message {message}");
                answer = store.commit(batch.clone()).await;
            }
            assert_eq!(reference.commit(batch.clone()).await.expect("applied").outcome, Outcome::Applied);
            if still_waiting {
                // The commit was over before the message: every step has had its cut.
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 20, "only {cuts} cuts");
    assert_eq!(everything(&store).await, everything(&reference).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_as_many_messages_for_a_thousand_rows_as_for_ten() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let proxy = Proxy::start(server_of(&url)).await;
    let store = open(&through(&url, &proxy)).await;
    let source = SourceId::mint();
    let mut messages = Vec::new();
    // The first one also prepares the statements.
    for (seq, rows) in [10, 10, 1_000].into_iter().enumerate() {
        proxy.count();
        store.commit(batch(source, seq as u64, records(seq as u64, rows))).await.expect("committed");
        messages.push(proxy.seen().0);
    }
    assert_eq!(messages[1], messages[2], "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_misses_no_row_of_a_transaction_that_is_held_open() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let store = Arc::new(open(&url).await);
    let source = SourceId::mint();
    store.commit(batch(source, 1, records(1, 2))).await.expect("committed");
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
         INSERT INTO service SELECT 'slow', 0, 0, 0, 0, 0, rev FROM revision",
    )
    .await
    .expect("in a transaction");
    let fast = tokio::spawn({
        let store = store.clone();
        let mut records = Records::default();
        records.catalogue.services.push(Service { name: "fast".into(), ..Fixtures::odd(3).record() });
        async move { store.commit(batch(source, 2, records)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let meanwhile = store.changes(&cursor, 100).await.expect("readers do not wait");
    assert_eq!(meanwhile.changes, [], "nothing is committed yet");
    slow.batch_execute("COMMIT").await.expect("committed");
    fast.await.expect("no panic").expect("committed");

    let after = store.changes(&meanwhile.next, 100).await.expect("changes");
    let names: Vec<_> = after.changes.iter().filter_map(|change| change.row[0].as_text()).collect();
    assert_eq!(names, ["slow", "fast"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_servers_may_start_at_once_on_an_empty_database() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let starts: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { open(&url).await }
            })
        })
        .collect();
    for start in starts {
        let store = start.await.expect("no panic");
        assert_eq!(store.list::<Service>(&Query::new(1)).await.expect("a table").items, []);
        store.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_writers_at_once_add_up_and_do_not_deadlock() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let reference = Database::new();
    let reference = open(&reference.url().await.expect("a database")).await;
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = open(&url).await;
                let source = SourceId::mint();
                for seq in 0..25 {
                    store.commit(batch(source, seq, numbers(writer * 25 + seq))).await.expect("committed");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    let source = SourceId::mint();
    for seq in 0..100 {
        reference.commit(batch(source, seq, numbers(seq))).await.expect("committed");
    }
    assert_eq!(everything(&open(&url).await).await, everything(&reference).await);
}

/// Rows whose result does not depend on the order of commits.
fn numbers(seed: u64) -> Records {
    let mut fixtures = Fixtures::odd(seed);
    let mut records = Records::default();
    records.catalogue.services.extend((0..20).map(|_| fixtures.record::<Service>()));
    records.catalogue.attribute_keys.extend((0..20).map(|_| fixtures.record::<AttributeKey>()));
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_what_the_descriptors_say() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let _store = open(&url).await;
    let client = connect(&url).await.expect("a connection");
    for table in TABLES {
        let columns = client
            .query(
                "SELECT a.attname::text, format_type(a.atttypid, NULL), NOT a.attnotnull, c.collname::text
                 FROM pg_attribute AS a LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
                 WHERE a.attrelid = format('%I', $1::text)::regclass AND a.attnum > 0 AND a.attgenerated = ''
                 ORDER BY a.attnum",
                &[&table.name],
            )
            .await
            .expect("the table's columns");
        assert_eq!(columns.len(), table.columns.len() + 1, "{} and its revision", table.name);
        for (column, row) in table.columns.iter().zip(&columns) {
            let (sql_type, collation) = match column.column_type {
                ColumnType::Int | ColumnType::Time => ("bigint", None),
                ColumnType::Text => ("text", Some("C")),
                ColumnType::Json => ("json", None),
                ColumnType::Sketch | ColumnType::Histogram | ColumnType::Bytes => ("bytea", None),
            };
            let found: (&str, &str, bool, Option<&str>) = (row.get(0), row.get(1), row.get(2), row.get(3));
            assert_eq!(found, (column.name, sql_type, column.nullable, collation), "{}", table.name);
        }
        let key: Vec<String> = client
            .query(
                "SELECT a.attname::text FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
                 JOIN pg_attribute AS a ON a.attnum = k.attnum
                 WHERE i.indisprimary AND i.indrelid = format('%I', $1::text)::regclass AND a.attrelid = i.indrelid
                 ORDER BY k.place",
                &[&table.name],
            )
            .await
            .expect("the primary key")
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(key, table.key().iter().map(|column| column.name).collect::<Vec<_>>(), "{}", table.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_one_sentence_without_the_password() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let admin = connect(&url).await.expect("a connection");
    let user = format!("nobody_{}", std::process::id());
    admin
        .batch_execute(&format!(
            "DO $$ BEGIN CREATE ROLE needs_password; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
             CREATE ROLE {user} LOGIN PASSWORD 'hunter2' IN ROLE needs_password;
             REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        ))
        .await
        .expect("a role");
    let as_user = url.replace("postgres://postgres@", &format!("postgres://{user}:hunter2@"));
    let name = url.rsplit('/').next().expect("a name");
    let name = name.split('?').next().expect("a name");
    let refusals = [
        (as_user.clone(), ErrorKind::Unavailable, "may not create tables"),
        (as_user.replace("hunter2", "hunter21"), ErrorKind::Unavailable, "check user and password in DATABASE_URL"),
        (as_user.replace(name, "no_such_database"), ErrorKind::Unavailable, "no database `no_such_database`"),
        ("postgres://u:hunter2@127.0.0.1:1/d".to_owned(), ErrorKind::Unavailable, "cannot be reached"),
        ("mysql://u:hunter2@h/d".to_owned(), ErrorKind::Invalid, "is not a PostgreSQL URL"),
        (url.replace("sslmode=disable", "sslmode=hunter2"), ErrorKind::Invalid, "sslmode in DATABASE_URL must be"),
    ];
    for (url, kind, sentence) in refusals {
        let error = PostgresStore::open(&url, PostgresOptions::default()).await.expect_err("refused");
        let text = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(sentence), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    admin.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await.expect("the role goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_before_its_schema_is_touched() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let admin = connect(&url).await.expect("a connection");
    let row = admin
        .query_one("SELECT current_setting('server_version'), current_setting('server_version_num')", &[])
        .await
        .expect("a version");
    let (version, number): (&str, &str) = (row.get(0), row.get(1));
    // No longer than what it replaces: 15.2 becomes 11.2.
    let version = version.split(' ').next().expect("a version");
    let (old, old_number) = (&"11.22.333"[..version.len()], &"110022"[..number.len()]);
    let rewrites = vec![(version.to_owned(), old.to_owned()), (number.to_owned(), old_number.to_owned())];
    let proxy = Proxy::rewriting(server_of(&url), rewrites).await;

    let url = through(&url, &proxy).replace("postgres@", "postgres:hunter2@");
    let error = PostgresStore::open(&url, PostgresOptions::default()).await.expect_err("too old");
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
    assert!(text.contains(&format!("the server is PostgreSQL {old}")), "{text}");
    assert!(text.contains("13 is the oldest that works"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let tables = admin.query("SELECT FROM pg_tables WHERE schemaname = 'public'", &[]).await.expect("its tables");
    assert!(tables.is_empty(), "{} tables", tables.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_believed_as_sslmode_says() {
    let authority =
        std::env::var("TALLYBOOK_POSTGRES_CA").expect("`cargo xtask test` names the authority's certificate");
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let as_mode = |host: &str, mode: &str| url.replace("127.0.0.1", host).replace("sslmode=disable", mode);
    let known = format!("&sslrootcert={authority}");
    for (host, mode, opens) in [
        ("localhost", "sslmode=require".to_owned(), true),
        ("localhost", format!("sslmode=verify-full{known}"), true),
        ("127.0.0.1", format!("sslmode=verify-full{known}"), false),
        ("127.0.0.1", format!("sslmode=verify-ca{known}"), true),
        ("localhost", "sslmode=verify-ca".to_owned(), false),
    ] {
        let url = as_mode(host, &mode);
        let opened = PostgresStore::open(&url, PostgresOptions::default()).await;
        assert_eq!(opened.is_ok(), opens, "{url}: {opened:?}");
    }
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let plain = connect(&url).await.expect("a connection").query_one(encrypted, &[]).await.expect("a row");
    assert!(!plain.get::<_, bool>(0), "sslmode=disable does not encrypt");
}
