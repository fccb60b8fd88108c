//! What a server says of itself is what was done to it.

mod support;

use std::time::{Duration, Instant};

use support::{Database, connect};
use tallybook_core::{ErrorKind, Store as _};
use tallybook_store_postgres::{PostgresOptions, PostgresState, PostgresStore};

async fn look(url: &str) -> PostgresState {
    PostgresState::look(url).await.expect("the server answers")
}

async fn migrated(database: &Database) -> String {
    let url = database.url().await.expect("a database");
    let store = PostgresStore::open(&url, PostgresOptions::default()).await.expect("the store opens");
    store.close().await.expect("the store closes");
    url
}

#[tokio::test]
async fn looking_at_an_empty_database_makes_nothing_in_it() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let state = look(&url).await;
    assert_eq!(state.applied_migration, None);
    assert!(state.known_migration > 0 && state.bytes > 1 << 20 && !state.is_standby && state.autovacuum);
    assert!(state.connections > 0 && state.connections < state.max_connections);
    let client = connect(&url).await.unwrap();
    let tables = client.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).await.unwrap();
    assert_eq!(tables.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn an_index_that_is_gone_is_missed_and_its_statement_mends_it() {
    let database = Database::new();
    let url = migrated(&database).await;
    let whole = look(&url).await;
    assert_eq!(whole.applied_migration, Some(whole.known_migration));
    assert_eq!((whole.missing_indexes, whole.invalid_indexes), (vec![], vec![]));

    let client = connect(&url).await.unwrap();
    client.batch_execute("DROP INDEX execution_by_status; DROP INDEX service_rev").await.unwrap();
    client
        .batch_execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'metric_by_name'::regclass")
        .await
        .unwrap();
    let damaged = look(&url).await;
    assert_eq!(
        damaged.missing_indexes,
        [
            "CREATE INDEX service_rev ON service (rev)",
            "CREATE INDEX execution_by_status ON execution (status, created_at, id)"
        ]
    );
    assert_eq!(damaged.invalid_indexes, ["metric_by_name"]);
    for statement in damaged.missing_indexes {
        client.batch_execute(&statement).await.unwrap();
    }
    assert_eq!(look(&url).await.missing_indexes, [""; 0]);
}

#[tokio::test]
async fn an_open_transaction_a_slot_and_dead_rows_are_seen() {
    let database = Database::new();
    let url = migrated(&database).await;
    assert!(look(&url).await.oldest_transaction.is_none());
    let client = connect(&format!("{url}&application_name=forgotten")).await.unwrap();
    client.batch_execute("BEGIN; SELECT 1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let oldest = look(&url).await.oldest_transaction.expect("one is open");
    assert_eq!(oldest.application, "forgotten");
    assert!(oldest.age >= Duration::from_millis(20) && oldest.age < Duration::from_secs(60), "{:?}", oldest.age);
    client.batch_execute("ROLLBACK").await.unwrap();

    // The shared cluster has this name once.
    let slot = format!("doctor_{}", std::process::id());
    client.execute("SELECT pg_create_physical_replication_slot($1::text::name, true)", &[&slot]).await.unwrap();
    let found = look(&url).await.slots.into_iter().find(|found| found.name == slot);
    client.execute("SELECT pg_drop_replication_slot($1::text::name)", &[&slot]).await.unwrap();
    let found = found.expect("the slot is seen");
    assert!(!found.active && !found.lost, "{found:?}");

    client
        .batch_execute(
            "CREATE TABLE pile (n int) WITH (autovacuum_enabled = off);
             INSERT INTO pile SELECT generate_series(1, 1000); DELETE FROM pile WHERE n > 300",
        )
        .await
        .unwrap();
    // A session tells of what it did a little later, or at its end.
    drop(client);
    let begun = Instant::now();
    loop {
        let most = look(&url).await.most_dead;
        if most.as_ref().is_some_and(|most| (most.table.as_str(), most.live, most.dead) == ("pile", 300, 700)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{most:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_plain_user_may_look_and_a_server_that_is_away_is_one_sentence() {
    let database = Database::new();
    let url = migrated(&database).await;
    let role = format!("looker_{}", std::process::id());
    let client = connect(&url).await.unwrap();
    let read = format!("GRANT SELECT ON refinery_schema_history TO {role}");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN; {read}")).await.unwrap();
    let looked = PostgresState::look(&url.replace("postgres@", &format!("{role}@"))).await;
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    let state = looked.expect("a plain user may look");
    assert_eq!((state.applied_migration, state.missing_indexes), (Some(state.known_migration), vec![]));

    let error = PostgresState::look("postgres://me:hunter2@127.0.0.1:1/none").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("DATABASE_URL") && !error.to_string().contains("hunter2"), "{error}");
}
