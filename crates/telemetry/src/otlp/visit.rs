//! The walk over a checked request.

use super::list::{View, fields};
use super::metric::{DataPoint, Metric, MetricKind};
use super::record::{LogRecord, Resource, Scope, Span};
use crate::wire::Value;
use tallybook_core::Signal;

/// Sees the parts of a request in the order of their nesting.
///
/// `resource` comes before everything of its resource and `scope` before everything of its scope, with an empty one
/// where the sender left it out. `metric` comes before the data points it describes, once for each kind of data it has,
/// or once without a kind when it has none. [`super::Counts::records`] is how often `log`, `span` and `data_point` are
/// called.
pub trait Visitor<'a> {
    /// A resource; what follows belongs to it.
    fn resource(&mut self, resource: &Resource<'a>);
    /// A scope; what follows belongs to it.
    fn scope(&mut self, scope: &Scope<'a>);
    /// A log record.
    fn log(&mut self, record: &LogRecord<'a>);
    /// A span.
    fn span(&mut self, span: &Span<'a>);
    /// A metric; the data points that follow belong to it.
    fn metric(&mut self, metric: &Metric<'a>);
    /// A data point.
    fn data_point(&mut self, point: &DataPoint<'a>);
}

pub(super) fn visit<'a>(signal: Signal, request: &'a [u8], visitor: &mut impl Visitor<'a>) {
    for resource_records in messages(request, 1) {
        visitor.resource(&first(resource_records).unwrap_or_default());
        for scope_records in messages(resource_records, 2) {
            visitor.scope(&first(scope_records).unwrap_or_default());
            for record in messages(scope_records, 2) {
                match signal {
                    Signal::Log => visitor.log(&LogRecord::read(record)),
                    Signal::Span => visitor.span(&Span::read(record)),
                    Signal::Metric => metric(record, visitor),
                }
            }
        }
    }
}

fn metric<'a>(message: &'a [u8], visitor: &mut impl Visitor<'a>) {
    let metric = Metric::read(message);
    let mut has_data = false;
    for (field, _) in fields(message) {
        if let (Some(kind), Value::Bytes(data)) = (MetricKind::of_field(field.number), field.value) {
            has_data = true;
            visitor.metric(&metric.with_data(kind, data));
            for point in messages(data, 1) {
                visitor.data_point(&DataPoint::read(kind, point));
            }
        }
    }
    if !has_data {
        visitor.metric(&metric);
    }
}

/// The messages in the fields with this number.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(field, _)| match field.value {
        Value::Bytes(bytes) if field.number == number => Some(bytes),
        _ => None,
    })
}

/// The resource or scope of a group of records. It may come after them, but only the first one counts.
fn first<'a, T: View<'a>>(message: &'a [u8]) -> Option<T> {
    messages(message, 1).next().map(T::read)
}
