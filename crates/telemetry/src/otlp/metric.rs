//! Metrics and their data points as views of the request's bytes. Fields may come in any order; the last one counts.

use super::list::{Doubles, List, View, fields};
use super::value::{Attributes, Text};
use crate::wire::Value;

/// One metric, without its data points.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metric<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it measures, in words.
    pub description: Text<'a>,
    /// The unit of its values, by the UCUM.
    pub unit: Text<'a>,
    /// What its data points are, or nothing when it has no data.
    pub kind: Option<MetricKind>,
    /// 1 delta, 2 cumulative, 0 when not given or without meaning; other numbers can occur.
    pub temporality: i32,
    /// Whether a sum never falls.
    pub monotonic: bool,
}

/// What the data points of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricKind {
    /// Values as they were measured.
    Gauge,
    /// Values that add up.
    Sum,
    /// Counts in buckets with explicit bounds.
    Histogram,
    /// Counts in buckets whose bounds grow exponentially.
    ExponentialHistogram,
    /// Quantiles that the source computed.
    Summary,
}

impl MetricKind {
    /// The kind whose data are in this field of a metric.
    pub(super) fn of_field(number: u32) -> Option<Self> {
        match number {
            5 => Some(Self::Gauge),
            7 => Some(Self::Sum),
            9 => Some(Self::Histogram),
            10 => Some(Self::ExponentialHistogram),
            11 => Some(Self::Summary),
            _ => None,
        }
    }
}

/// One data point of a metric, whatever its kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataPoint<'a> {
    /// When it was measured: nanoseconds since the Unix epoch, 0 when unknown.
    pub time_unix_nano: u64,
    /// When its series or its interval began: nanoseconds since the Unix epoch, 0 when unknown.
    pub start_time_unix_nano: u64,
    /// What tells its series from others of the metric.
    pub attributes: Attributes<'a>,
    /// The upper bounds of the buckets but the last, which has none; empty unless this is a histogram.
    pub explicit_bounds: Doubles<'a>,
    /// The quantiles; empty unless this is a summary.
    pub quantiles: List<'a, Quantile>,
    /// Bit 0 says that there is no value on purpose, such as at the end of a series.
    pub flags: u32,
}

/// One quantile of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantile {
    /// From 0 (the minimum) to 1 (the maximum).
    pub quantile: f64,
    /// The value at this quantile.
    pub value: f64,
}

impl<'a> Metric<'a> {
    /// Reads all but what is in the data.
    pub(super) fn read(message: &'a [u8]) -> Self {
        let mut metric = Self::default();
        for (field, _) in fields(message) {
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => metric.name = Text::new(name),
                (2, Value::Bytes(description)) => metric.description = Text::new(description),
                (3, Value::Bytes(unit)) => metric.unit = Text::new(unit),
                _ => {}
            }
        }
        metric
    }

    /// The metric with what its data say about it.
    pub(super) fn with_data(self, kind: MetricKind, data: &[u8]) -> Self {
        let mut metric = Self { kind: Some(kind), ..self };
        let has_temporality =
            matches!(kind, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram);
        for (field, _) in fields(data) {
            match (field.number, field.value) {
                (2, Value::Varint(number)) if has_temporality => metric.temporality = number as i32,
                (3, Value::Varint(flag)) if kind == MetricKind::Sum => metric.monotonic = flag != 0,
                _ => {}
            }
        }
        metric
    }
}

impl<'a> DataPoint<'a> {
    pub(super) fn read(kind: MetricKind, message: &'a [u8]) -> Self {
        let (attributes, flags) = match kind {
            MetricKind::Gauge | MetricKind::Sum | MetricKind::Summary => (7, 8),
            MetricKind::Histogram => (9, 10),
            MetricKind::ExponentialHistogram => (1, 10),
        };
        let mut point = Self::default();
        for (field, from) in fields(message) {
            match (field.number, field.value) {
                (2, Value::Fixed64(time)) => point.start_time_unix_nano = time,
                (3, Value::Fixed64(time)) => point.time_unix_nano = time,
                (6, _) if kind == MetricKind::Summary => point.quantiles.begin(from, 6),
                (7, _) if kind == MetricKind::Histogram => point.explicit_bounds.begin(from, 7),
                (number, _) if number == attributes => point.attributes.begin(from, attributes),
                (number, Value::Varint(bits)) if number == flags => point.flags = bits as u32,
                _ => {}
            }
        }
        point
    }
}

impl<'a> View<'a> for Quantile {
    fn read(message: &'a [u8]) -> Self {
        let mut quantile = Self::default();
        for (field, _) in fields(message) {
            match (field.number, field.value) {
                (1, Value::Fixed64(bits)) => quantile.quantile = f64::from_bits(bits),
                (2, Value::Fixed64(bits)) => quantile.value = f64::from_bits(bits),
                _ => {}
            }
        }
        quantile
    }
}
