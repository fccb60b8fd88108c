//! Log records: severities, bodies and templates.

use std::sync::Arc;

use tallybook_core::Severity;

use super::body::{self, BodyKind};
use super::book::{Book, NameLimits};
use super::keys::Kind;
use super::names::NameId;
use super::pass::{Pass, Record};
use super::severity::severity;
use super::shared::{Pending, Shared};
use super::tally::Tally;
use super::templates::{Origin, Templates};
use super::window::Bucket;
use crate::otlp::{AnyValue, DataPoint, LogRecord, Metric, Resource, Scope, Span, Visitor};
use crate::template::{Retired, TemplateId};

/// What is known of a severity of a service.
#[derive(Debug)]
pub(super) struct LogAbout {
    pub(super) severity: Severity,
    /// None before the first body.
    pub(super) templates: Option<Box<Templates>>,
}

impl LogAbout {
    pub(super) fn new(severity: Severity) -> Self {
        Self { severity, templates: None }
    }
}

/// What is counted of a severity.
#[derive(Clone, Debug, Default)]
pub(super) struct LogFacts {
    /// By [`BodyKind`].
    pub(super) bodies: [u64; BodyKind::COUNT],
    /// By template.
    pub(super) templates: Vec<Tally>,
}

pub(super) type LogBook = Book<LogAbout, LogFacts>;

impl LogFacts {
    /// What is counted of a template, about to be added to.
    #[inline]
    fn template(&mut self, id: TemplateId, bucket: Bucket, pending: &mut Pending) -> &mut Tally {
        let id = id.0 as usize;
        if id >= self.templates.len() {
            pending.bytes += (id + 1 - self.templates.len()) * size_of::<Tally>();
            self.templates.resize(id + 1, Tally::default());
        }
        let tally = &mut self.templates[id];
        if tally.is_empty() {
            pending.rows += bucket.rows();
        }
        tally
    }
}

impl LogBook {
    /// Takes in a template that the store knows.
    pub(super) fn restore(&mut self, shared: &mut Shared, name: NameId, template: &Arc<str>, from: Origin) {
        let templates = &mut self.names.get_mut(name).about.templates;
        let templates = templates.get_or_insert_with(|| Box::new(Templates::new(&shared.options)));
        let learnt = templates.restore(shared, template, from);
        if templates.has_moves() {
            shared.moved.insert(name);
        }
        self.replace(shared, name, &learnt.retired, learnt.id);
    }

    /// Counts what is counted of templates that were replaced as the one that did.
    fn replace(&mut self, shared: &mut Shared, name: NameId, retired: &[Retired], by: TemplateId) {
        if retired.is_empty() {
            return;
        }
        shared.moved.insert(name);
        for (row, bucket) in self.windows.rows_of(name) {
            for gone in retired {
                let counted = row.facts.templates.get_mut(gone.id.0 as usize).map(std::mem::take);
                if let Some(counted) = counted.filter(|counted| !counted.is_empty()) {
                    shared.pending.rows -= bucket.rows();
                    row.facts.template(by, bucket, &mut shared.pending).unite(counted);
                }
            }
        }
    }
}

/// There are but seven severities, so they need no budget.
pub(super) const NO_LIMITS: NameLimits = NameLimits { per_service: usize::MAX, total: usize::MAX };

pub(super) struct LogPass<'f, 'a> {
    pub(super) pass: Pass<'f, 'a, LogAbout, LogFacts>,
    /// The severities of the present service, once they are met.
    names: [Option<NameId>; Severity::ALL.len()],
}

impl<'f, 'a> LogPass<'f, 'a> {
    pub(super) fn new(pass: Pass<'f, 'a, LogAbout, LogFacts>) -> Self {
        Self { pass, names: Default::default() }
    }

    fn name(&mut self, severity: Severity) -> NameId {
        let service = self.pass.service();
        let Pass { shared, book, .. } = &mut self.pass;
        *self.names[severity as usize].get_or_insert_with(|| {
            book.name(shared, service, severity.as_str().as_bytes(), NO_LIMITS, |_| LogAbout::new(severity))
        })
    }

    fn body(&mut self, record: Record, name: NameId, body: AnyValue<'a>) {
        let kind = BodyKind::of(body);
        self.pass.facts(record).bodies[kind as usize] += 1;
        match body {
            AnyValue::Empty => {}
            AnyValue::String(text) => self.template(record, name, &text.to_str(), body),
            AnyValue::KvList(pairs) => {
                self.pass.attributes(record, Kind::Body, pairs, |_, _| {});
                match body::message(pairs) {
                    Some(message) => self.template(record, name, &message.to_str(), AnyValue::String(message)),
                    None => self.template(record, name, &body::shape(body), body),
                }
            }
            _ => self.template(record, name, &body::shape(body), body),
        }
    }

    /// Counts the template of a record whose body is mined as `line`.
    fn template(&mut self, record: Record, name: NameId, line: &str, body: AnyValue<'a>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Pass { shared, book, .. } = &mut self.pass;
        let about = &mut book.names.get_mut(name).about;
        let templates = about.templates.get_or_insert_with(|| Box::new(Templates::new(&shared.options)));
        let routed = templates.route(shared, line, |max_bytes| body::example(body, max_bytes));
        book.replace(shared, name, &routed.retired, routed.id);
        let (row, bucket) = book.windows.row_mut(record.place);
        row.facts.template(routed.id, bucket, &mut shared.pending).add(record.time);
    }
}

impl<'a> Visitor<'a> for LogPass<'_, 'a> {
    fn resource(&mut self, resource: &Resource<'a>) {
        self.pass.resource(resource);
        self.names = Default::default();
    }

    fn scope(&mut self, scope: &Scope<'a>) {
        self.pass.scope(scope);
    }

    fn log(&mut self, log: &LogRecord<'a>) {
        let name = self.name(severity(log.severity_number, log.severity_text.as_bytes()));
        let record = self.pass.record(name, log.time_unix_nano, log.observed_time_unix_nano);
        self.pass.attributes(record, Kind::Attribute, log.attributes, |_, _| {});
        if !log.event_name.is_empty() {
            self.pass.event(record, log.event_name);
        }
        self.body(record, name, log.body);
    }

    fn span(&mut self, _: &Span<'a>) {}
    fn metric(&mut self, _: &Metric<'a>) {}
    fn data_point(&mut self, _: &DataPoint<'a>) {}
}
