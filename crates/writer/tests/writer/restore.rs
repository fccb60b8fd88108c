//! What a fold knows after a restart.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use tallybook_core::{ErrorKind, Query, Signal, Store, StoreExt, Template, Timestamp};
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Stats, Writer, WriterOptions, restore};

use crate::support::{Unruly, write};

pub(crate) async fn write_logs(writer: &Writer, bodies: impl IntoIterator<Item = String>) {
    let record = |body| LogRecord {
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body)) }),
        severity_number: 9,
        ..LogRecord::default()
    };
    let log_records = bodies.into_iter().map(record).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    writer.telemetry(Signal::Log, request.into(), Timestamp::now()).await.unwrap();
}

/// Starts a writer on what the store holds, and has it do its work.
async fn run(store: &std::sync::Arc<Unruly>, work: impl AsyncFnOnce(&Writer)) -> Stats {
    let mut fold = Fold::new(FoldOptions::default());
    restore(store.as_ref(), &mut fold).await.unwrap();
    let writer = Writer::start(store.clone(), fold, WriterOptions::default());
    work(&writer).await;
    assert!(writer.stop(Duration::from_secs(10)).await.drained);
    writer.stats()
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_all_names_keys_and_templates() {
    let store = Unruly::new();
    let logins = |users: std::ops::Range<u32>| users.map(|user| format!("user number {user} logged in"));
    let before = run(&store, async |writer| {
        // More than a page.
        write(writer, (0..12_000).map(|name| format!("operation_{name}"))).await.unwrap();
        write_logs(writer, logins(0..100)).await;
        write_logs(writer, ["cache warmed".to_owned()]).await;
    })
    .await;
    let after = run(&store, async |writer| write_logs(writer, logins(100..200)).await).await;

    let known = |stats: &Stats| {
        let fold = &stats.fold;
        (fold.services, fold.metrics, fold.spans, fold.keys, fold.templates)
    };
    assert_eq!(known(&after), known(&before));
    assert_eq!(before.fold.spans, 12_000);
    let templates: Vec<Template> = store.list_all(Query::new(100)).await.unwrap();
    let mut counts: Vec<u64> = templates.iter().map(|template| template.count).filter(|count| *count > 0).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 200], "{templates:?}");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let store = Unruly::new();
    store.close().await.unwrap();
    let mut fold = Fold::new(FoldOptions::default());
    let error = restore(store.as_ref(), &mut fold).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
