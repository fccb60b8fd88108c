//! The rows that all signals make alike: attribute keys and their buckets, events, attributes over everything, services.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tallybook_core::{
    Attribute, AttributeKey, AttributeKeyBucket, CatalogueDelta, Event, Service, Signal, Sketch, Timestamp,
};

use super::sums::{Facts, compare_keys, unite};
use super::{Sums, View, rows_of};
use crate::fold::keys::{KeyId, Kind};
use crate::fold::services::ServiceId;
use crate::fold::shared::Shared;
use crate::fold::tally::Tally;

/// What is summed up over all signals.
#[derive(Default)]
pub(super) struct KeyRows {
    attributes: HashMap<KeyId, AttributeSum>,
    services: HashMap<ServiceId, ServiceSum>,
    /// By the name of the window, its start and the name of the signal: the order of the table.
    buckets: BTreeMap<(&'static str, Timestamp, &'static str), Vec<AttributeKeyBucket>>,
}

#[derive(Default)]
struct ServiceSum {
    tally: Tally,
    by_signal: BySignal,
}

#[derive(Default)]
struct AttributeSum {
    tally: Tally,
    by_signal: BySignal,
    values: Arc<Sketch>,
}

#[derive(Default)]
struct BySignal {
    metric: u64,
    span: u64,
    log: u64,
}

impl BySignal {
    fn add(&mut self, signal: Signal, count: u64) {
        match signal {
            Signal::Metric => self.metric += count,
            Signal::Span => self.span += count,
            Signal::Log => self.log += count,
        }
    }
}

impl KeyRows {
    pub(super) fn rows<A, F: Facts>(
        &mut self,
        signal: Signal,
        view: &View<'_, A>,
        sums: &Sums<'_, F>,
        delta: &mut CatalogueDelta,
    ) {
        let texts = &view.shared.texts;
        for (service, _, sum) in rows_of(view, sums) {
            let name = view.name(sum.name);
            for key in sum.keys.iter() {
                let (service, name, text) = (service.clone(), name.clone(), texts.get(key.key.text()).clone());
                let (count, first_seen, last_seen) = key.tally.parts();
                match key.key.kind().scope() {
                    Some(scope) => delta.attribute_keys.push(AttributeKey {
                        signal,
                        service,
                        name,
                        scope,
                        key: text,
                        count,
                        cardinality: 0,
                        first_seen,
                        last_seen,
                        distinct_values: key.values.clone(),
                    }),
                    None if key.key.kind() == Kind::EventName => {
                        delta.events.push(Event { signal, service, name, event: text, count, first_seen, last_seen });
                    }
                    None => {}
                }
            }
        }
        for sum in sums.services {
            let service = self.services.entry(view.names.get(sum.name).service).or_default();
            service.tally.unite(sum.tally);
            service.by_signal.add(signal, sum.tally.count);
            for key in sum.keys.iter().filter(|key| key.key.kind().scope().is_some()) {
                let attribute = self.attributes.entry(key.key).or_default();
                attribute.tally.unite(key.tally);
                attribute.by_signal.add(signal, key.tally.count);
                if attribute.values.is_empty() {
                    attribute.values = key.values.clone();
                } else {
                    unite(&mut attribute.values, &key.values);
                }
            }
        }
        for bucket in sums.buckets {
            let order = (bucket.length.as_str(), bucket.start, signal.as_str());
            let rows = self.buckets.entry(order).or_default();
            let (service, name) = (view.service(bucket.sum.name), view.name(bucket.sum.name));
            rows.extend(bucket.sum.keys.iter().filter_map(|key| {
                Some(AttributeKeyBucket {
                    window: bucket.length,
                    start: bucket.start,
                    signal,
                    service: service.clone(),
                    name: name.clone(),
                    scope: key.key.kind().scope()?,
                    key: texts.get(key.key.text()).clone(),
                    count: key.tally.count,
                    cardinality: 0,
                    distinct_values: key.values.clone(),
                })
            }));
        }
    }

    pub(super) fn finish(self, shared: &Shared, delta: &mut CatalogueDelta) {
        let texts = &shared.texts;
        let mut attributes: Vec<(KeyId, AttributeSum)> = self.attributes.into_iter().collect();
        attributes.sort_unstable_by(|(a, _), (b, _)| {
            texts.get(a.text()).cmp(texts.get(b.text())).then_with(|| compare_keys(*a, *b, texts))
        });
        delta.attributes.extend(attributes.into_iter().filter_map(|(key, sum)| {
            let (count, first_seen, last_seen) = sum.tally.parts();
            Some(Attribute {
                key: texts.get(key.text()).clone(),
                scope: key.kind().scope()?,
                count,
                metric_count: sum.by_signal.metric,
                span_count: sum.by_signal.span,
                log_count: sum.by_signal.log,
                cardinality: 0,
                first_seen,
                last_seen,
                distinct_values: sum.values,
            })
        }));
        delta.services.extend(self.services.into_iter().map(|(id, sum)| {
            let (_, first_seen, last_seen) = sum.tally.parts();
            Service {
                name: shared.services.name(id).clone(),
                metric_points: sum.by_signal.metric,
                spans: sum.by_signal.span,
                log_records: sum.by_signal.log,
                first_seen,
                last_seen,
            }
        }));
        delta.services.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        delta.attribute_key_buckets.extend(self.buckets.into_values().flatten());
    }
}
