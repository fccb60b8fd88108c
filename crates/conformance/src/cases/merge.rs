//! Promise 3: rows are folded by their rules, sketches bit for bit.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use rand::Rng as _;
use tallybook_core::{
    Attribute, DeadLetter, Log, MAX_KEY_BYTES, Metric, Records, Row, Service, Sketch, Store, TABLES, Template,
    Timestamp, Value, hash_bytes,
};

use super::store_cases;
use crate::Fixtures;
use crate::support::{Contents, all, assert_same, commit, contents};

store_cases! {
    p03_counts_add_and_times_widen,
    p03_the_last_value_stays_unless_it_is_null,
    p03_the_first_example_stays_and_a_missing_one_is_filled_in,
    p03_of_a_kept_row_the_first_stays,
    p03_a_key_may_come_many_times_in_one_batch,
    p03_sketches_unite_bit_for_bit_and_the_estimate_follows,
    p03_numbers_stop_at_the_greatest_there_is,
    p03_every_table_folds_as_core_does,
    p03_long_texts_come_back_whole,
}

async fn p03_counts_add_and_times_widen(store: &Arc<dyn Store>) {
    let log = Log { first_seen: Timestamp(20), last_seen: Timestamp(30), ..Fixtures::odd(10).record() };
    for (count, first, last) in [(1, 20, 30), (10, 10, 15), (100, 25, 40)] {
        let log = Log {
            sample_count: count,
            body_string: 2 * count,
            body_kvlist: 0,
            first_seen: Timestamp(first),
            last_seen: Timestamp(last),
            ..log.clone()
        };
        let mut records = Records::default();
        records.catalogue.logs.push(log);
        commit(&**store, records).await;
    }
    let [found] = &all::<Log>(&**store).await[..] else { panic!("one row") };
    assert_eq!((found.sample_count, found.body_string, found.body_kvlist), (111, 222, 0));
    assert_eq!((found.first_seen, found.last_seen), (Timestamp(10), Timestamp(40)));
}

async fn p03_the_last_value_stays_unless_it_is_null(store: &Arc<dyn Store>) {
    let metric: Metric = Fixtures::odd(11).record();
    for (unit, monotonic, bounds) in [
        (None, Some(false), None),
        (Some("s"), None, Some(&[0.5, f64::INFINITY][..])),
        (Some("ms"), Some(true), Some(&[1.0, 2.5][..])),
        (None, None, None),
    ] {
        let mut records = Records::default();
        records.catalogue.metrics.push(Metric {
            unit: unit.map(Into::into),
            monotonic,
            bounds: bounds.map(Into::into),
            description: None,
            ..metric.clone()
        });
        commit(&**store, records).await;
    }
    let [found] = &all::<Metric>(&**store).await[..] else { panic!("one row") };
    assert_eq!(found.unit.as_deref(), Some("ms"));
    assert_eq!(found.monotonic, Some(true));
    assert_eq!(found.bounds.as_deref(), Some(&[1.0, 2.5][..]));
    assert_eq!(found.description, None);
}

async fn p03_the_first_example_stays_and_a_missing_one_is_filled_in(store: &Arc<dyn Store>) {
    let template: Template = Fixtures::odd(12).record();
    for (example, expected) in
        [(None, None), (Some("first"), Some("first")), (Some("second"), Some("first")), (None, Some("first"))]
    {
        let mut records = Records::default();
        records.catalogue.templates.push(Template { example: example.map(Into::into), ..template.clone() });
        commit(&**store, records).await;
        assert_eq!(all::<Template>(&**store).await[0].example.as_deref(), expected);
    }
}

async fn p03_of_a_kept_row_the_first_stays(store: &Arc<dyn Store>) {
    let letter = |error: &str| DeadLetter { error: error.into(), ..Fixtures::odd(13).record() };
    let both = Records { dead_letters: vec![letter("first"), letter("second")], ..Records::default() };
    commit(&**store, both).await;
    commit(&**store, Records { dead_letters: vec![letter("third")], ..Records::default() }).await;
    assert_eq!(all::<DeadLetter>(&**store).await, [letter("first")]);
}

async fn p03_a_key_may_come_many_times_in_one_batch(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(14);
    let (one, other): (Metric, Metric) = (fixtures.record(), fixtures.record());
    let mut records = Records::default();
    for (unit, count) in [(Some("s"), 1), (None, 10), (Some("By"), 100)] {
        for metric in [&one, &other] {
            records.catalogue.metrics.push(Metric {
                unit: unit.map(Into::into),
                sample_count: count,
                ..metric.clone()
            });
        }
    }
    commit(&**store, records).await;
    let found = all::<Metric>(&**store).await;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|metric| metric.unit.as_deref() == Some("By") && metric.sample_count == 111));
}

async fn p03_sketches_unite_bit_for_bit_and_the_estimate_follows(store: &Arc<dyn Store>) {
    let sketch_of = |values: std::ops::Range<u32>| {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.insert(hash_bytes(&value.to_le_bytes()));
        }
        sketch
    };
    // Empty, exact up to its last place, just dense, dense: each beside itself and every other.
    let sketches = [0..0, 0..1, 5..60, 0..128, 0..129, 100..5_000].map(sketch_of);
    let template: Attribute = Fixtures::odd(15).record();
    let mut expected = BTreeMap::new();
    let (mut firsts, mut seconds) = (Records::default(), Records::default());
    for (a, first) in sketches.iter().enumerate() {
        for (b, second) in sketches.iter().enumerate() {
            let key: Arc<str> = format!("{a} {b}").into();
            let row = |sketch: &Sketch| Attribute {
                key: key.clone(),
                distinct_values: Arc::new(sketch.clone()),
                cardinality: 999,
                ..template.clone()
            };
            firsts.catalogue.attributes.push(row(first));
            seconds.catalogue.attributes.push(row(second));
            let mut united = first.clone();
            united.unite(second);
            expected.insert(key, united);
        }
    }
    commit(&**store, firsts).await;
    commit(&**store, seconds).await;
    let found = all::<Attribute>(&**store).await;
    assert_eq!(found.len(), expected.len());
    for attribute in found {
        let united = &expected[&attribute.key];
        assert_eq!(attribute.distinct_values.encode(), united.encode(), "{}", attribute.key);
        assert_eq!(attribute.cardinality, united.estimate(), "{}", attribute.key);
    }
}

async fn p03_numbers_stop_at_the_greatest_there_is(store: &Arc<dyn Store>) {
    let service = Service {
        log_records: i64::MAX as u64,
        metric_points: i64::MAX as u64 - 3,
        // More than a row can hold.
        spans: u64::MAX,
        first_seen: Timestamp(i64::MIN),
        last_seen: Timestamp(i64::MAX),
        ..Fixtures::odd(16).record()
    };
    for _ in 0..3 {
        let mut records = Records::default();
        records.catalogue.services = vec![service.clone(), service.clone()];
        commit(&**store, records).await;
    }
    let [found] = &all::<Service>(&**store).await[..] else { panic!("one row") };
    let most = i64::MAX as u64;
    assert_eq!((found.log_records, found.metric_points, found.spans), (most, most, most));
    assert_eq!((found.first_seen, found.last_seen), (Timestamp(i64::MIN), Timestamp(i64::MAX)));
}

async fn p03_every_table_folds_as_core_does(store: &Arc<dyn Store>) {
    let mut expected: Vec<BTreeMap<Vec<Value>, Row>> = TABLES.iter().map(|_| BTreeMap::new()).collect();
    let (mut odd, mut few) = (Fixtures::odd(17), Fixtures::few(18));
    for batch in 0..20 {
        let fixtures = if batch % 2 == 0 { &mut odd } else { &mut few };
        // Pings and ticks have rules of their own.
        let records = Records { pings: Vec::new(), ticks: Vec::new(), ..fixtures.records(150) };
        let Ok(()) = records.for_each_table(|table, rows| {
            let at = TABLES.iter().position(|known| known.name == table.name).expect("a known table");
            for row in rows {
                match expected[at].get_mut(&row[..table.key_len()]) {
                    None => drop(expected[at].insert(row[..table.key_len()].to_vec(), row)),
                    Some(known) => drop(table.merge(known, row)),
                }
            }
            Ok::<_, Infallible>(())
        });
        commit(&**store, records).await;
    }
    let rows = expected.into_iter().map(|rows| rows.into_values().collect()).collect();
    assert_same(&contents(&**store).await, &Contents { rows, ticks: Vec::new() });
}

async fn p03_long_texts_come_back_whole(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(19);
    // Random, so that an index that can only hold what compresses well fails here.
    let mut long = |bytes: usize| {
        let mut text = String::new();
        while text.len() < bytes {
            text.push(fixtures.random.random_range('a'..='\u{ffff}'));
            text += &fixtures.word();
        }
        Arc::<str>::from(text)
    };
    let (text, example) = (long(MAX_KEY_BYTES - 200), long(64 << 10));
    // Differs from the other in its last character only.
    let texts = [Arc::<str>::from(format!("{text}1")), Arc::from(format!("{text}2"))];
    let template: Template = Fixtures::odd(20).record();
    for _ in 0..2 {
        let mut records = Records::default();
        records.catalogue.templates.extend(texts.iter().map(|text| Template {
            template: text.clone(),
            example: Some(example.clone()),
            count: 1,
            ..template.clone()
        }));
        commit(&**store, records).await;
    }
    let found = all::<Template>(&**store).await;
    assert_eq!(found.iter().map(|template| &template.template).collect::<Vec<_>>(), texts.iter().collect::<Vec<_>>());
    assert!(found.iter().all(|template| template.count == 2 && template.example.as_ref() == Some(&example)));
}
