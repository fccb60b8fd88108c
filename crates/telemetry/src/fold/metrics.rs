//! Metrics and their data points.

use std::sync::Arc;

use tallybook_core::{MetricType, Temporality};

use super::book::{Book, NameLimits};
use super::keys::Kind;
use super::names::NameId;
use super::pass::Pass;
use super::shared::Repeated;
use crate::otlp::{DataPoint, LogRecord, Metric, MetricKind, Resource, Scope, SeriesHash, Span, Visitor};

/// What is known of a metric: as the latest data point has it, or the latest one that says.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricAbout {
    pub(super) metric_type: Option<MetricType>,
    pub(super) unit: Option<Arc<str>>,
    pub(super) description: Option<Arc<str>>,
    pub(super) temporality: Option<Temporality>,
    pub(super) monotonic: Option<bool>,
    pub(super) bounds: Option<Arc<[f64]>>,
    pub(super) quantiles: Option<Arc<[f64]>>,
    pub(super) scope_name: Option<Arc<str>>,
    pub(super) scope_version: Option<Arc<str>>,
}

/// All that is counted of a metric are its keys; one of them stands for its series.
pub(super) type MetricBook = Book<MetricAbout, ()>;

/// Bit 0 of a data point's flags: it has no value on purpose.
const NO_RECORDED_VALUE: u32 = 1;

pub(super) struct MetricPass<'f, 'a> {
    pub(super) pass: Pass<'f, 'a, MetricAbout, ()>,
    /// The metric whose data points come.
    metric: Metric<'a>,
    /// Known since its first data point: a metric without one does not count.
    name: Option<NameId>,
    resource_series: SeriesHash,
    limits: NameLimits,
    /// Data points of metrics without a name.
    pub(super) nameless: u64,
}

impl<'f, 'a> MetricPass<'f, 'a> {
    pub(super) fn new(pass: Pass<'f, 'a, MetricAbout, ()>, limits: NameLimits) -> Self {
        Self {
            pass,
            metric: Metric::default(),
            name: None,
            resource_series: SeriesHash::default(),
            limits,
            nameless: 0,
        }
    }

    /// The metric's id; known of it is now what this request says.
    fn update(&mut self) -> NameId {
        let metric = &self.metric;
        let service = self.pass.service();
        let Pass { shared, book, scope_name, scope_version, .. } = &mut self.pass;
        let name = book.name(shared, service, metric.name.as_bytes(), self.limits, |_| MetricAbout::default());
        let about = &mut book.names.get_mut(name).about;
        about.metric_type = metric.kind.map(metric_type).or(about.metric_type);
        about.temporality = metric.kind.and_then(|kind| temporality(kind, metric.temporality)).or(about.temporality);
        if metric.kind == Some(MetricKind::Sum) {
            about.monotonic = Some(metric.monotonic);
        }
        Repeated::new(metric.unit).replace(&mut about.unit);
        Repeated::new(metric.description).replace(&mut about.description);
        scope_name.replace(&mut about.scope_name);
        scope_version.replace(&mut about.scope_version);
        self.name = Some(name);
        name
    }

    /// Keeps the bounds or quantiles of a data point that has a value.
    fn update_parts(&mut self, name: NameId, point: &DataPoint<'a>) {
        let (Some(kind @ (MetricKind::Histogram | MetricKind::Summary)), 0) =
            (self.metric.kind, point.flags & NO_RECORDED_VALUE)
        else {
            return;
        };
        let about = &mut self.pass.book.names.get_mut(name).about;
        if kind == MetricKind::Histogram {
            replace(&mut about.bounds, || point.explicit_bounds.iter());
        } else {
            replace(&mut about.quantiles, || point.quantiles.iter().map(|quantile| quantile.quantile));
        }
    }
}

impl<'a> Visitor<'a> for MetricPass<'_, 'a> {
    fn resource(&mut self, resource: &Resource<'a>) {
        self.pass.resource(resource);
        self.resource_series = self.pass.resource_series();
    }

    fn scope(&mut self, scope: &Scope<'a>) {
        self.pass.scope(scope);
    }

    fn metric(&mut self, metric: &Metric<'a>) {
        self.metric = *metric;
        self.name = None;
    }

    fn data_point(&mut self, point: &DataPoint<'a>) {
        if self.metric.name.is_empty() {
            self.nameless += 1;
            return;
        }
        let name = self.name.unwrap_or_else(|| self.update());
        self.update_parts(name, point);
        let record = self.pass.record(name, point.time_unix_nano, 0);
        let mut series = self.resource_series;
        self.pass.attributes(record, Kind::Attribute, point.attributes, |key, value| series.add(key, value));
        self.pass.series(record, series.finish());
    }

    fn log(&mut self, _: &LogRecord<'a>) {}
    fn span(&mut self, _: &Span<'a>) {}
}

/// Makes `known` these numbers, unless it is already.
fn replace<I: Iterator<Item = f64>>(known: &mut Option<Arc<[f64]>>, numbers: impl Fn() -> I) {
    // By their bits, since NaN differs from itself.
    let is_same = |known: &Arc<[f64]>| numbers().map(f64::to_bits).eq(known.iter().map(|number| number.to_bits()));
    if !known.as_ref().is_some_and(is_same) {
        *known = Some(numbers().collect());
    }
}

fn metric_type(kind: MetricKind) -> MetricType {
    match kind {
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Sum => MetricType::Sum,
        MetricKind::Histogram => MetricType::Histogram,
        MetricKind::ExponentialHistogram => MetricType::ExponentialHistogram,
        MetricKind::Summary => MetricType::Summary,
    }
}

fn temporality(kind: MetricKind, number: i32) -> Option<Temporality> {
    match (kind, number) {
        (MetricKind::Gauge | MetricKind::Summary, _) => None,
        (_, 1) => Some(Temporality::Delta),
        (_, 2) => Some(Temporality::Cumulative),
        _ => Some(Temporality::Unspecified),
    }
}
