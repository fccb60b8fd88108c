//! Sums over windows and services. Where only one of them contributed, as is usual, nothing is copied or united.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use tallybook_core::{Sketch, Timestamp, Window as Length};

use crate::fold::keys::KeyId;
use crate::fold::names::{NameId, Names};
use crate::fold::services::Services;
use crate::fold::tally::Tally;
use crate::fold::texts::Texts;
use crate::fold::window::{Bucket, Window};

/// What only one signal counts of a name.
pub(super) trait Facts: Clone + 'static {
    /// Adds what was counted elsewhere.
    fn unite(&mut self, other: &Self);
}

/// What was counted of one key.
#[derive(Clone, Debug)]
pub(super) struct KeySum {
    pub(super) key: KeyId,
    pub(super) tally: Tally,
    pub(super) values: Arc<Sketch>,
}

/// What was counted of one name: in one window, or in several, or of several services.
#[derive(Clone, Debug)]
pub(super) struct Sum<'a, F: Clone> {
    pub(super) name: NameId,
    pub(super) tally: Tally,
    /// The stamp of the latest record.
    pub(super) latest: u64,
    pub(super) facts: Cow<'a, F>,
    /// In the order of their kinds and texts.
    pub(super) keys: Cow<'a, [KeySum]>,
}

/// What was counted of one name in one window.
pub(super) struct Part<F: Facts> {
    bucket: Bucket,
    sum: Sum<'static, F>,
}

impl<F: Facts> Sum<'_, F> {
    /// The sum over all of `sums`, under the name of the first.
    fn of<'a>(sums: &[&'a Sum<'_, F>], texts: &Texts) -> Option<Sum<'a, F>> {
        let (first, others) = sums.split_first()?;
        let mut sum = Sum {
            name: first.name,
            tally: first.tally,
            latest: first.latest,
            facts: Cow::Borrowed(first.facts.as_ref()),
            keys: Cow::Borrowed(first.keys.as_ref()),
        };
        for other in others {
            sum.tally.unite(other.tally);
            sum.latest = sum.latest.max(other.latest);
            sum.facts.to_mut().unite(&other.facts);
        }
        if !others.is_empty() {
            sum.keys = Cow::Owned(unite_keys(sums.iter().flat_map(|sum| sum.keys.iter()).collect(), texts));
        }
        Some(sum)
    }
}

fn unite_keys(mut keys: Vec<&KeySum>, texts: &Texts) -> Vec<KeySum> {
    // Stable, so that runs that are in order already are merged instead of sorted.
    keys.sort_by(|a, b| compare_keys(a.key, b.key, texts));
    let same = |a: &&KeySum, b: &&KeySum| a.key == b.key;
    let united = keys.chunk_by(same).filter_map(|same| {
        let (first, others) = same.split_first()?;
        let mut sum = KeySum::clone(first);
        for other in others {
            sum.tally.unite(other.tally);
            unite(&mut sum.values, &other.values);
        }
        Some(sum)
    });
    united.collect()
}

pub(super) fn unite(sketch: &mut Arc<Sketch>, other: &Arc<Sketch>) {
    if !Arc::ptr_eq(sketch, other) && !other.is_empty() {
        Arc::make_mut(sketch).unite(other);
    }
}

pub(super) fn compare_keys(a: KeyId, b: KeyId, texts: &Texts) -> Ordering {
    a.kind().cmp(&b.kind()).then_with(|| texts.get(a.text()).cmp(texts.get(b.text())))
}

/// What all windows hold, in the order of services and names.
pub(super) fn parts<A, F: Facts>(
    windows: Vec<Window<F>>,
    names: &Names<A>,
    services: &Services,
    texts: &Texts,
) -> Vec<Part<F>> {
    let mut parts = Vec::with_capacity(windows.iter().map(|window| window.rows.len()).sum());
    for Window { bucket, rows, .. } in windows {
        for row in rows {
            let slots = &names.get(row.name).keys;
            let counted = row.keys.into_iter().zip(0..).filter(|(key, _)| !key.tally.is_empty());
            let mut keys: Vec<KeySum> = counted
                .map(|(key, slot)| KeySum { key: slots.get(slot), tally: key.tally, values: key.values.into_sketch() })
                .collect();
            keys.sort_unstable_by(|a, b| compare_keys(a.key, b.key, texts));
            let sum = Sum {
                name: row.name,
                tally: row.tally,
                latest: row.latest,
                facts: Cow::Owned(row.facts),
                keys: Cow::Owned(keys),
            };
            parts.push(Part { bucket, sum });
        }
    }
    let key = |part: &Part<F>| {
        let name = names.get(part.sum.name);
        (services.name(name.service), &name.text, part.bucket)
    };
    parts.sort_by(|a, b| key(a).cmp(&key(b)));
    parts
}

/// Sums over all windows, in the order of services and names.
pub(super) fn by_name<'a, F: Facts>(parts: &'a [Part<F>], texts: &Texts) -> Vec<Sum<'a, F>> {
    let same = |a: &Part<F>, b: &Part<F>| a.sum.name == b.sum.name;
    let sums = parts.chunk_by(same).filter_map(|parts| {
        let sums: Vec<_> = parts.iter().map(|part| &part.sum).collect();
        Sum::of(&sums, texts)
    });
    sums.collect()
}

/// What was counted of one name of all services.
pub(super) struct OverServices<'a, F: Clone> {
    pub(super) sum: Sum<'a, F>,
    /// The name of each service that sends it, the latest last.
    pub(super) names: Vec<NameId>,
}

/// Sums over all services, in the order of names.
pub(super) fn over_services<'a, A, F: Facts>(
    sums: &'a [Sum<'_, F>],
    names: &Names<A>,
    texts: &Texts,
) -> Vec<OverServices<'a, F>> {
    let name = |sum: &Sum<'_, F>| &names.get(sum.name).text;
    let mut ordered: Vec<&Sum<'_, F>> = sums.iter().collect();
    ordered.sort_by(|a, b| name(a).cmp(name(b)).then(a.latest.cmp(&b.latest)));
    let over = ordered.chunk_by(|a, b| name(a) == name(b)).filter_map(|sums| {
        let names = sums.iter().map(|sum| sum.name).collect();
        Some(OverServices { sum: Sum::of(sums, texts)?, names })
    });
    over.collect()
}

/// The sums of one hour or day.
pub(super) struct InBucket<'a, F: Clone> {
    pub(super) length: Length,
    pub(super) start: Timestamp,
    pub(super) sum: Sum<'a, F>,
}

/// Sums by day, then by hour, each in the order of time, services and names.
pub(super) fn by_bucket<'a, F: Facts>(parts: &'a [Part<F>], texts: &Texts) -> Vec<InBucket<'a, F>> {
    let mut buckets = Vec::new();
    for length in [Length::Day, Length::Hour] {
        let start = |part: &Part<F>| match (length, part.bucket) {
            (Length::Hour, Bucket::Hour(start)) => Some(start),
            (Length::Hour, _) => None,
            (Length::Day, bucket) => bucket.day(),
        };
        let mut ordered: Vec<(Timestamp, &Sum<'_, F>)> =
            parts.iter().filter_map(|part| Some((start(part)?, &part.sum))).collect();
        // Stable, so that services and names stay in order.
        ordered.sort_by_key(|(start, _)| *start);
        for same in ordered.chunk_by(|a, b| (a.0, a.1.name) == (b.0, b.1.name)) {
            let sums: Vec<_> = same.iter().map(|(_, sum)| *sum).collect();
            buckets.extend(Sum::of(&sums, texts).map(|sum| InBucket { length, start: same[0].0, sum }));
        }
    }
    buckets
}
