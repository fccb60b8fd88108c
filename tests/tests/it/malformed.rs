//! Requests that are no OTLP, or strange OTLP: they are refused in the encoding they came in, and the server lives.

use anyhow::{Context as _, Result};
use prost::Message as _;
use serde_json::json;
use tallybook_tests::otlp::{INFO, Signal, gauge, log, logs, metrics, now, span, text, traces};
use tallybook_tests::server::{Client, Encoding};
use tallybook_tests::setup::Setup;

/// Deeper than any honest value, and than any stack that is not guarded.
const DEPTH: usize = 20_000;
/// INVALID_ARGUMENT.
const INVALID: u32 = 3;
const DAY_NANOS: u64 = 86_400_000_000_000;

#[tokio::test]
async fn malformed_protobuf_is_refused_in_protobuf() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    for signal in Signal::ALL {
        for (what, body) in malformed_protobuf(signal) {
            let answer = server.post(signal, Encoding::Protobuf, None, body.clone()).await?;
            assert_eq!(answer.status, 400, "{signal:?}, {what}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/x-protobuf"), "{signal:?}, {what}");
            let status = answer.rpc_status()?;
            assert_eq!(status.code, INVALID.cast_signed(), "{signal:?}, {what}: {status:?}");
            assert!(!status.message.is_empty(), "{signal:?}, {what}");

            let answer = server.call(signal, None, &body).await?;
            assert_eq!(answer.grpc_code()?, INVALID, "{signal:?}, {what}");
        }
    }
    knows_nothing_and_lives(&server).await?;
    server.stop().await
}

#[tokio::test]
async fn malformed_json_is_refused_in_json() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    for signal in Signal::ALL {
        for (what, body) in malformed_json(signal) {
            let answer = server.post(signal, Encoding::Json, None, body).await?;
            assert_eq!(answer.status, 400, "{signal:?}, {what}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"), "{signal:?}, {what}");
            let status = answer.rpc_status()?;
            assert_eq!(status.code, INVALID.cast_signed(), "{signal:?}, {what}: {status:?}");
            assert!(!status.message.is_empty(), "{signal:?}, {what}");
        }
    }
    knows_nothing_and_lives(&server).await?;
    server.stop().await
}

async fn knows_nothing_and_lives(client: &Client) -> Result<()> {
    assert_eq!(client.accounting().await?.merged, 0, "a request counts whole or not at all");
    assert_eq!(client.list("services").await?.len(), 0);
    client.send(&logs("checkout", vec![log("still here")])).await?;
    assert_eq!(client.accounting().await?.merged, 1);
    Ok(())
}

fn valid(signal: Signal) -> Vec<u8> {
    match signal {
        Signal::Logs => logs("checkout", vec![log("one"), log("two")]).encode_to_vec(),
        Signal::Metrics => metrics("checkout", vec![gauge("queue", vec![vec![text("a", "b")]])]).encode_to_vec(),
        Signal::Traces => traces("checkout", vec![span("GET /")]).encode_to_vec(),
    }
}

fn malformed_protobuf(signal: Signal) -> Vec<(&'static str, Vec<u8>)> {
    let valid = valid(signal);
    // A whole request first: it must not count either.
    let after_valid = |bytes: &[u8]| [&valid, bytes].concat();
    vec![
        ("cut off", valid[..valid.len() - 1].to_vec()),
        ("cut in the middle", valid[..valid.len() / 2].to_vec()),
        ("a length beyond the end", after_valid(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        ("a length beyond 64 bits", after_valid(&[[0x0a].as_slice(), &[0xff; 11]].concat())),
        ("a number where a message belongs", after_valid(&[0x08, 0x01])),
        ("a field with number 0", after_valid(&[0x00, 0x01])),
        ("a wire type that there is not", after_valid(&[0x0f])),
        ("a resource that is a number", after_valid(&nested(&[1], &[0x08, 0x01]))),
        ("a value inside of values", after_valid(&nested(&[1, 1, 1, 2], &deep_value()))),
        ("text", b"resource_logs { }".to_vec()),
    ]
}

/// `bytes` as the content of fields within each other.
fn nested(fields: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut message = bytes.to_vec();
    for field in fields.iter().rev() {
        let mut outer = vec![field << 3 | 2];
        prost::encoding::encode_varint(message.len() as u64, &mut outer);
        outer.append(&mut message);
        message = outer;
    }
    message
}

/// An `AnyValue` that is an array of an array of …
fn deep_value() -> Vec<u8> {
    const ARRAY_VALUE: u8 = 5;
    const VALUES: u8 = 1;
    nested(&[ARRAY_VALUE, VALUES].repeat(DEPTH), b"")
}

fn malformed_json(signal: Signal) -> Vec<(&'static str, Vec<u8>)> {
    let (resources, scopes, records) = match signal {
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
    };
    let record = |record: serde_json::Value| {
        json!({ resources: [{ scopes: [{ records: [{}, record] }] }] }).to_string().into_bytes()
    };
    let in_value = |value: &str| {
        format!(r#"{{"{resources}":[{{"resource":{{"attributes":[{{"key":"a","value":{value}}}]}}}}]}}"#).into_bytes()
    };
    let deep = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(DEPTH), "]}}".repeat(DEPTH));
    let mut cases = vec![
        ("cut off", format!(r#"{{"{resources}":[{{"#).into_bytes()),
        ("a list", b"[]".to_vec()),
        ("a number where a list belongs", json!({ resources: 5 }).to_string().into_bytes()),
        ("a list where an object belongs", json!({ resources: [[]] }).to_string().into_bytes()),
        ("a record that is text", record(json!("text"))),
        ("more after the end", format!(r#"{{"{resources}":[]}} {{}}"#).into_bytes()),
        ("a value inside of values", in_value(&deep)),
        ("lists within lists", "[".repeat(DEPTH).into_bytes()),
        ("an integer beyond 64 bits", in_value(r#"{"intValue":"99999999999999999999"}"#)),
    ];
    if signal == Signal::Metrics {
        cases.push(("points that are text", record(json!({ "name": "a", "gauge": { "dataPoints": "text" } }))));
    } else {
        cases.push(("an id that is not hex", record(json!({ "traceId": "not hex at all" }))));
    }
    cases
}

#[tokio::test]
async fn text_that_is_not_utf8_is_kept_readable() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    // Same length, so that the lengths around it stay true.
    let broken = |request: Vec<u8>| {
        let mut bytes = request;
        while let Some(at) = bytes.windows(3).position(|window| window == b"BAD") {
            bytes[at..at + 3].copy_from_slice(&[0xff, 0xfe, 0xc0]);
        }
        bytes
    };
    let mut record = log("BAD body");
    record.attributes = vec![text("BAD key", "BAD value")];
    let requests = [
        (Signal::Logs, logs("BAD service", vec![record]).encode_to_vec()),
        (Signal::Traces, traces("BAD service", vec![span("BAD span")]).encode_to_vec()),
        (Signal::Metrics, metrics("BAD service", vec![gauge("BAD metric", vec![Vec::new()])]).encode_to_vec()),
    ];
    for (signal, request) in requests {
        let answer = server.post(signal, Encoding::Protobuf, None, broken(request)).await?;
        assert_eq!(answer.status, 200, "{signal:?}: {}", answer.text());
    }
    let in_json = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "BAD service" } }] },
        "scopeLogs": [{ "logRecords": [{ "severityNumber": INFO, "body": { "stringValue": "BAD body" } }] }],
    }] });
    let answer = server.post(Signal::Logs, Encoding::Json, None, broken(in_json.to_string().into_bytes())).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.api("logs/INFO").await?["sample_count"], 2);
    for (list, name) in [("services", "name"), ("spans", "name"), ("metrics", "name"), ("logs/templates", "template")] {
        let items = server.list(list).await?;
        assert_eq!(items.len(), 1, "{items:?}");
        let name = items[0][name].as_str().context("a name")?;
        assert!(name.contains('\u{fffd}'), "{list}: {name}");
    }
    let keys = server.list("attributes?scope=attribute").await?;
    assert!(keys.iter().any(|key| key["key"].as_str().is_some_and(|key| key.contains('\u{fffd}'))), "{keys:?}");
    server.stop().await
}

#[tokio::test]
async fn times_that_cannot_be_are_taken_as_the_time_of_arrival() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let begun = now();
    // The last is negative where times are signed.
    let strange = [0, 1, now() + 100 * 365 * DAY_NANOS, i64::MAX as u64, u64::MAX];
    for time_unix_nano in strange {
        let mut record = log("user 1 logged in");
        (record.time_unix_nano, record.severity_number) = (time_unix_nano, INFO);
        server.send(&logs("checkout", vec![record])).await?;
        let mut span = span("GET /");
        (span.start_time_unix_nano, span.end_time_unix_nano) = (time_unix_nano, 1);
        server.send(&traces("checkout", vec![span])).await?;
    }
    let service = server.list("services").await?.remove(0);
    assert_eq!(service["log_records"], strange.len());
    assert_eq!(service["spans"], strange.len());
    for list in ["services", "logs", "spans", "logs/templates", "attributes"] {
        for item in server.list(list).await? {
            let time = |name: &str| -> Result<u64> {
                let time: jiff::Timestamp = item[name].as_str().context("a time")?.parse()?;
                Ok(time.as_nanosecond().try_into()?)
            };
            let (first, last) = (time("first_seen")?, time("last_seen")?);
            assert!(begun <= first && first <= last && last <= now(), "{list}: {item}");
        }
    }
    server.stop().await
}
