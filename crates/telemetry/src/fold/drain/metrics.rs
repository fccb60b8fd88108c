//! The rows of metrics.

use std::sync::Arc;

use tallybook_core::{CatalogueDelta, Metric, MetricBucket, MetricType, Sketch};

use super::sums::{Facts, Sum};
use super::{Sums, View, rows_of};
use crate::fold::keys::Kind;
use crate::fold::metrics::MetricAbout;
use crate::fold::names::NameId;

impl Facts for () {
    fn unite(&mut self, (): &Self) {}
}

pub(super) fn rows(view: &mut View<'_, MetricAbout>, sums: &Sums<'_, ()>, delta: &mut CatalogueDelta) {
    delta.metrics.extend(rows_of(view, sums).map(|(service, names, sum)| {
        let MetricAbout {
            metric_type,
            unit,
            description,
            temporality,
            monotonic,
            bounds,
            quantiles,
            scope_name,
            scope_version,
        } = latest(view, names);
        let (sample_count, first_seen, last_seen) = sum.tally.parts();
        Metric {
            service: service.clone(),
            name: view.name(sum.name).clone(),
            // A metric without a type has no data points.
            metric_type: metric_type.unwrap_or(MetricType::Gauge),
            unit,
            description,
            temporality,
            monotonic,
            bounds,
            quantiles,
            scope_name,
            scope_version,
            sample_count,
            active_series: 0,
            first_seen,
            last_seen,
            series: series(sum),
        }
    }));
    delta.metric_buckets.extend(sums.buckets.iter().map(|bucket| MetricBucket {
        window: bucket.length,
        start: bucket.start,
        service: view.service(bucket.sum.name).clone(),
        name: view.name(bucket.sum.name).clone(),
        sample_count: bucket.sum.tally.count,
        active_series: 0,
        series: series(&bucket.sum),
    }));
}

fn series(sum: &Sum<'_, ()>) -> Arc<Sketch> {
    let series = sum.keys.iter().find(|key| key.key.kind() == Kind::Series);
    series.map(|series| series.values.clone()).unwrap_or_default()
}

/// What the services say of a metric, the latest last.
fn latest(view: &View<'_, MetricAbout>, names: &[NameId]) -> MetricAbout {
    names.iter().fold(MetricAbout::default(), |known, &name| {
        let latest = view.about(name).clone();
        MetricAbout {
            metric_type: latest.metric_type.or(known.metric_type),
            unit: latest.unit.or(known.unit),
            description: latest.description.or(known.description),
            temporality: latest.temporality.or(known.temporality),
            monotonic: latest.monotonic.or(known.monotonic),
            bounds: latest.bounds.or(known.bounds),
            quantiles: latest.quantiles.or(known.quantiles),
            scope_name: latest.scope_name.or(known.scope_name),
            scope_version: latest.scope_version.or(known.scope_version),
        }
    })
}
