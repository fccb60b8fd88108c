//! How a database is opened: ten starts at once, the schema, TLS, and refusals.

mod support;

use std::time::Duration;

use support::proxy::Proxy;
use support::{Database, connect, open};
use tallybook_core::{ColumnType, ErrorKind, Query, Service, Store as _, StoreExt as _, TABLES};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

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
    let at_localhost = url.replace("127.0.0.1", "localhost");
    let with_tls = |mode: &str| at_localhost.replace("sslmode=disable", mode);
    let refusals = [
        (as_user.clone(), ErrorKind::Unavailable, "may not create tables"),
        (as_user.replace(":hunter2", ""), ErrorKind::Unavailable, "password missing; check user and password"),
        (url.replace("postgres@", "no_such_user:hunter2@"), ErrorKind::Unavailable, "refuses user `no_such_user`"),
        ("user=u password=hunter2 host=127.0.0.1".to_owned(), ErrorKind::Invalid, "is not a PostgreSQL URL"),
        (format!("{as_user}&sslcert=mine.pem"), ErrorKind::Invalid, "cannot be used: unknown option `sslcert`"),
        (with_tls("sslmode=verify-ca"), ErrorKind::Unavailable, "does not offer TLS as DATABASE_URL asks for it"),
        (with_tls("sslmode=verify-ca&sslrootcert=none.pem"), ErrorKind::Invalid, "none.pem cannot be read as PEM"),
        (without_tls().await, ErrorKind::Unavailable, "server does not support TLS; check sslmode"),
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

/// The URL of a server that knows no TLS, and asks for it.
async fn without_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 8];
            // Whoever leaves in between needs no answer.
            if client.read_exact(&mut request).await.is_ok() {
                let _ = client.write_all(b"N").await;
            }
        }
    });
    format!("postgres://u:hunter2@{address}/d?sslmode=require")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_or_of_a_newer_tallybook_is_refused() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    open(&url).await.close().await.expect("closed");
    let admin = connect(&url).await.expect("a connection");
    let newer = "INSERT INTO refinery_schema_history SELECT 1000, 'newer', applied_on, checksum
        FROM refinery_schema_history LIMIT 1";
    admin.batch_execute(newer).await.expect("another migration");
    let ascii = format!("ascii_{}", std::process::id());
    let create =
        format!("CREATE DATABASE {ascii} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'");
    admin.batch_execute(&create).await.expect("another database");
    let (server, _) = url.rsplit_once('/').expect("a database");
    let refusals = [
        (url.clone(), "made by another version of Tallybook; use the newest"),
        (format!("{server}/{ascii}?sslmode=disable"), "encoded in SQL_ASCII; make one with `createdb --encoding=UTF8"),
    ];
    for (url, sentence) in refusals {
        let error = PostgresStore::open(&url, PostgresOptions::default()).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
    }
    admin.batch_execute(&format!("DROP DATABASE {ascii}")).await.expect("it goes");
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
    let proxy = Proxy::rewriting(&url, rewrites).await;

    let url = proxy.through(&url).replace("postgres@", "postgres:hunter2@");
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
    let admin = connect(&url).await.expect("a connection");
    for (host, mode, encrypted) in [
        ("localhost", "sslmode=disable".to_owned(), Some(false)),
        ("localhost", "sslmode=allow".to_owned(), Some(true)),
        ("localhost", "sslmode=prefer".to_owned(), Some(true)),
        ("localhost", "sslmode=require".to_owned(), Some(true)),
        ("127.0.0.1", format!("sslmode=require{known}"), Some(true)),
        ("localhost", format!("sslmode=verify-full{known}"), Some(true)),
        ("127.0.0.1", format!("sslmode=verify-full{known}"), None),
        ("127.0.0.1", format!("sslmode=verify-ca{known}"), Some(true)),
        ("localhost", "sslmode=verify-ca".to_owned(), None),
        ("localhost", "sslmode=verify-full".to_owned(), None),
    ] {
        let url = as_mode(host, &mode);
        let opened = PostgresStore::open(&url, PostgresOptions::default()).await;
        let of_store = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE datname = current_database() AND application_name = 'tallybook'";
        let found = admin.query_one(of_store, &[]).await.expect("the connections");
        assert_eq!(found.get::<_, Option<bool>>(0), encrypted, "{url}: {opened:?}");
        drop(opened);
        let gone = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'tallybook'";
        while admin.query_one(gone, &[]).await.expect("the connections").get::<_, i64>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
