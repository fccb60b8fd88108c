//! Hashes of values as sketches and series need them.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValueList, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use tallybook_core::Signal;
use tallybook_telemetry::otlp::SeriesHash;

use crate::samples::{pair, string};
use crate::seen::hashes;

fn hash(value: Option<Value>) -> u64 {
    let record = LogRecord { body: Some(AnyValue { value }), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    hashes(Signal::Log, &request).expect("a valid request")[0]
}

fn array(values: Vec<AnyValue>) -> Value {
    Value::ArrayValue(ArrayValue { values })
}

#[test]
fn hashes_never_change() {
    let mut series = SeriesHash::default();
    series.add(1, 2);
    let hashes = [
        hash(Some(Value::StringValue(String::new()))),
        hash(Some(Value::StringValue("user_1".into()))),
        hash(Some(Value::IntValue(5))),
        hash(Some(Value::DoubleValue(f64::NAN))),
        hash(Some(array(vec![string("a"), string("b")]))),
        series.finish(),
    ];
    // They are stored with sketches: a change here makes every stored sketch wrong.
    let stored = [
        7_324_863_301_487_430_588,
        8_011_931_862_662_045_990,
        4_892_519_342_357_718_188,
        17_323_194_316_380_031_290,
        8_519_211_964_641_923_410,
        12_415_938_798_350_247,
    ];
    assert_eq!(hashes, stored);
}

#[test]
fn values_that_differ_in_type_or_content_differ_in_hash() {
    let bytes = |text: &str| Some(Value::BytesValue(text.into()));
    let list = |pairs: &[(&str, &str)]| {
        let values = pairs.iter().map(|(key, value)| pair(key, string(value))).collect();
        Some(Value::KvlistValue(KeyValueList { values }))
    };
    let nested = AnyValue { value: Some(array(vec![string("a")])) };
    let values = [
        None,
        Some(Value::StringValue(String::new())),
        bytes(""),
        Some(array(vec![])),
        list(&[]),
        Some(Value::StringValue("5".into())),
        Some(Value::IntValue(5)),
        Some(Value::DoubleValue(5.0)),
        bytes("5"),
        Some(Value::BoolValue(false)),
        Some(Value::BoolValue(true)),
        Some(Value::IntValue(0)),
        Some(Value::IntValue(1)),
        Some(Value::DoubleValue(0.0)),
        Some(Value::DoubleValue(f64::NAN)),
        Some(Value::StringValue("\0\0\0\0\0\0\0\0".into())),
        Some(array(vec![string("a")])),
        Some(array(vec![string("a"), string("b")])),
        Some(array(vec![string("b"), string("a")])),
        Some(array(vec![nested.clone()])),
        Some(array(vec![AnyValue::default()])),
        list(&[("a", "b")]),
        list(&[("b", "a")]),
        list(&[("a", "b"), ("c", "d")]),
        Some(array(vec![AnyValue { value: list(&[("a", "b")]) }])),
    ];
    let count = values.len();
    assert_eq!(values.into_iter().map(hash).collect::<HashSet<_>>().len(), count);
}

#[test]
fn every_nan_has_the_same_hash() {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 0x8000_0000_0000_00FF);
    assert!(other_nan.is_nan());
    assert_eq!(hash(Some(Value::DoubleValue(other_nan))), hash(Some(Value::DoubleValue(f64::NAN))));
}

fn series(pairs: &[(u64, u64)]) -> u64 {
    let mut series = SeriesHash::default();
    for (key, value) in pairs {
        series.add(*key, *value);
    }
    series.finish()
}

#[test]
fn a_series_is_the_same_in_any_order_of_its_attributes() {
    let all = [(1, 10), (2, 20), (3, 30)];
    let hash = series(&all);
    assert_eq!(series(&[(3, 30), (1, 10), (2, 20)]), hash);
    for other in [&[][..], &all[..2], &[(1, 10), (2, 30), (3, 20)], &[(10, 1), (2, 20), (3, 30)], &[(1, 10), (1, 10)]] {
        assert_ne!(series(other), hash, "{other:?}");
    }
    assert_ne!(series(&[(1, 10), (1, 10)]), series(&[]));
}

#[test]
fn series_of_small_numbers_do_not_collide() {
    let mut seen = HashSet::new();
    for first in 0..300 {
        for second in 0..300 {
            seen.insert(series(&[(1, first), (2, second)]));
        }
    }
    assert_eq!(seen.len(), 90_000);
    // All 16 top bits must be in use, because sketches choose their register by them.
    assert!(seen.iter().map(|hash| hash >> 48).collect::<HashSet<_>>().len() > 40_000);
}
