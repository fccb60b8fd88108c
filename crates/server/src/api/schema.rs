//! How the types of the core look in the OpenAPI document; the core itself does not know of it.

use tallybook_core::{
    AnnotationLevel, ArtifactKind, ExecutionStatus, MetricType, Scope, Severity, Signal, SpanKind, Stream, Temporality,
};
use utoipa::openapi::schema::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type,
};

pub(crate) fn one_of(names: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

fn one_of_or_null(names: impl Iterator<Item = &'static str>) -> Object {
    let names = names.map(serde_json::Value::from).chain([serde_json::Value::Null]);
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).enum_values(Some(names)).build()
}

pub(crate) fn signal() -> Object {
    one_of(Signal::ALL.iter().map(|signal| signal.as_str()))
}

pub(crate) fn signals() -> Array {
    ArrayBuilder::new().items(signal()).build()
}

pub(crate) fn nullable_signal() -> Object {
    one_of_or_null(Signal::ALL.iter().map(|signal| signal.as_str()))
}

pub(crate) fn scope() -> Object {
    one_of(Scope::ALL.iter().map(|scope| scope.as_str()))
}

pub(crate) fn nullable_scope() -> Object {
    one_of_or_null(Scope::ALL.iter().map(|scope| scope.as_str()))
}

pub(crate) fn severity() -> Object {
    one_of(Severity::ALL.iter().map(|severity| severity.as_str()))
}

pub(crate) fn metric_type() -> Object {
    one_of(MetricType::ALL.iter().map(|metric_type| metric_type.as_str()))
}

pub(crate) fn nullable_temporality() -> Object {
    one_of_or_null(Temporality::ALL.iter().map(|temporality| temporality.as_str()))
}

pub(crate) fn span_kind() -> Object {
    one_of(SpanKind::ALL.iter().map(|kind| kind.as_str()))
}

pub(crate) fn execution_status() -> Object {
    one_of(ExecutionStatus::ALL.iter().map(|status| status.as_str()))
}

pub(crate) fn annotation_level() -> Object {
    one_of(AnnotationLevel::ALL.iter().map(|level| level.as_str()))
}

pub(crate) fn artifact_kind() -> Object {
    one_of(ArtifactKind::ALL.iter().map(|kind| kind.as_str()))
}

pub(crate) fn stream() -> Object {
    one_of(Stream::ALL.iter().map(|stream| stream.as_str()))
}

/// RFC 3339, UTC.
pub(crate) fn time() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .build()
}

pub(crate) fn nullable_time() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .build()
}
