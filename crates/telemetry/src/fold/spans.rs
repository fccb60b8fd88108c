//! Spans, their events and links.

use std::sync::Arc;

use super::book::{Book, NameLimits};
use super::clean::clean;
use super::keys::Kind;
use super::pass::Pass;
use super::pattern::pattern;
use crate::otlp::{DataPoint, LogRecord, Metric, Resource, Scope, Span, Visitor};

/// What is known of a span name.
#[derive(Clone, Debug)]
pub(super) struct SpanAbout {
    pub(super) pattern: Arc<str>,
    pub(super) scope_name: Option<Arc<str>>,
    pub(super) scope_version: Option<Arc<str>>,
}

impl SpanAbout {
    pub(super) fn new(name: &Arc<str>) -> Self {
        // Masks are longer than single digits.
        let pattern = pattern(name).map_or_else(|| name.clone(), |pattern| clean(pattern.as_bytes()).as_ref().into());
        Self { pattern, scope_name: None, scope_version: None }
    }
}

/// What is counted of a span name.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanFacts {
    /// By number: unspecified, internal, server, client, producer, consumer.
    pub(super) kinds: [u64; 6],
    /// By number: unset, ok, error.
    pub(super) statuses: [u64; 3],
    pub(super) events: u64,
    pub(super) links: u64,
}

pub(super) type SpanBook = Book<SpanAbout, SpanFacts>;

pub(super) struct SpanPass<'f, 'a> {
    pub(super) pass: Pass<'f, 'a, SpanAbout, SpanFacts>,
    limits: NameLimits,
}

impl<'f, 'a> SpanPass<'f, 'a> {
    pub(super) fn new(pass: Pass<'f, 'a, SpanAbout, SpanFacts>, limits: NameLimits) -> Self {
        Self { pass, limits }
    }
}

impl<'a> Visitor<'a> for SpanPass<'_, 'a> {
    fn resource(&mut self, resource: &Resource<'a>) {
        self.pass.resource(resource);
    }

    fn scope(&mut self, scope: &Scope<'a>) {
        self.pass.scope(scope);
    }

    fn span(&mut self, span: &Span<'a>) {
        let service = self.pass.service();
        let Pass { shared, book, scope_name, scope_version, .. } = &mut self.pass;
        let name = book.name(shared, service, span.name.as_bytes(), self.limits, SpanAbout::new);
        let about = &mut book.names.get_mut(name).about;
        scope_name.replace(&mut about.scope_name);
        scope_version.replace(&mut about.scope_version);

        let record = self.pass.record(name, span.start_time_unix_nano, span.end_time_unix_nano);
        self.pass.attributes(record, Kind::Attribute, span.attributes, |_, _| {});
        let (mut events, mut links) = (0, 0);
        for event in span.events {
            events += 1;
            self.pass.event(record, event.name);
            self.pass.attributes(record, Kind::Event, event.attributes, |_, _| {});
        }
        for link in span.links {
            links += 1;
            self.pass.attributes(record, Kind::Link, link.attributes, |_, _| {});
        }
        let facts = self.pass.facts(record);
        // A number that the protocol does not know says as little as 0.
        facts.kinds[usize::try_from(span.kind).ok().filter(|&kind| kind < 6).unwrap_or(0)] += 1;
        facts.statuses[usize::try_from(span.status_code).ok().filter(|&code| code < 3).unwrap_or(0)] += 1;
        facts.events += events;
        facts.links += links;
    }

    fn log(&mut self, _: &LogRecord<'a>) {}
    fn metric(&mut self, _: &Metric<'a>) {}
    fn data_point(&mut self, _: &DataPoint<'a>) {}
}
