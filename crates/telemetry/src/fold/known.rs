//! What a fold takes over from the store: when it starts, and while others write to the same store.

use tallybook_core::{ALL_SERVICES, AttributeKey, Event, Metric, Service, Severity, Signal, Span, Template};

use super::Fold;
use super::keys::{Keys, Kind};
use super::logs::{LogAbout, NO_LIMITS};
use super::metrics::MetricAbout;
use super::services::ServiceId;
use super::spans::SpanAbout;
use super::templates::Origin;

/// Rows of a store, or a part of them: what came before a restart. Rows of all services together are passed over; of
/// all others only what identifies or describes them is read, so sketches may be left out.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the table its type documents")]
pub struct Known {
    pub services: Vec<Service>,
    pub metrics: Vec<Metric>,
    pub spans: Vec<Span>,
    pub attribute_keys: Vec<AttributeKey>,
    pub events: Vec<Event>,
    /// Those with a count of 0 became part of others and are passed over.
    pub templates: Vec<Template>,
}

impl Fold {
    /// Takes over what a store knows, so that budgets and templates go on after a restart as if nothing had happened.
    /// May be called many times with a part each; what a budget has no room for is left out.
    /// Where one template covers another, the next drain moves the rows of the covered one.
    pub fn restore(&mut self, known: &Known) {
        // What is left out now is counted when it is sent again, not here.
        let overflowed = self.shared.overflowed;
        let Known { services, metrics, spans, attribute_keys, events, templates } = known;
        for service in services {
            self.shared.service(service.name.as_bytes());
        }
        for metric in metrics {
            self.restore_metric(metric);
        }
        for span in spans {
            self.restore_span(span);
        }
        for AttributeKey { signal, service, name, scope, key, .. } in attribute_keys {
            self.restore_key(*signal, service, name, (*scope).into(), key);
        }
        for Event { signal, service, name, event, .. } in events {
            self.restore_key(*signal, service, name, Kind::EventName, event);
        }
        for template in templates {
            self.restore_template(template, Origin::Before);
        }
        self.shared.overflowed = overflowed;
    }

    /// Takes in templates that other writers brought to the store meanwhile. Where one covers another, or two are as alike as a
    /// line and the template that takes it in, the next drain moves their rows, so that all writers come to count under one text.
    pub fn meet(&mut self, templates: &[Template]) {
        let overflowed = self.shared.overflowed;
        for template in templates {
            self.restore_template(template, Origin::Others);
        }
        self.shared.overflowed = overflowed;
    }
}

impl Fold {
    /// The service of a row; none where it is all services, or there is no room for it.
    fn restored_service(&mut self, name: &str) -> Option<ServiceId> {
        if name == ALL_SERVICES {
            return None;
        }
        let service = self.shared.service(name.as_bytes());
        (self.shared.services.name(service).as_ref() == name).then_some(service)
    }

    fn restore_metric(&mut self, metric: &Metric) {
        let Some(service) = self.restored_service(&metric.service) else { return };
        let limits = self.metric_limits();
        let about = MetricAbout {
            metric_type: Some(metric.metric_type),
            unit: metric.unit.clone(),
            description: metric.description.clone(),
            temporality: metric.temporality,
            monotonic: metric.monotonic,
            bounds: metric.bounds.clone(),
            quantiles: metric.quantiles.clone(),
            scope_name: metric.scope_name.clone(),
            scope_version: metric.scope_version.clone(),
        };
        self.metrics.name(&mut self.shared, service, metric.name.as_bytes(), limits, |_| about);
    }

    fn restore_span(&mut self, span: &Span) {
        let Some(service) = self.restored_service(&span.service) else { return };
        let limits = self.span_limits();
        let about = |_: &_| SpanAbout {
            pattern: span.pattern.clone(),
            scope_name: span.scope_name.clone(),
            scope_version: span.scope_version.clone(),
        };
        self.spans.name(&mut self.shared, service, span.name.as_bytes(), limits, about);
    }

    fn restore_key(&mut self, signal: Signal, service: &str, name: &str, kind: Kind, text: &str) {
        let Some(service) = self.restored_service(service) else { return };
        let keys: Option<&mut Keys> = match signal {
            Signal::Metric => self.metrics.keys(service, name),
            Signal::Span => self.spans.keys(service, name),
            Signal::Log => {
                let Some(severity) = Severity::parse(name) else { return };
                self.logs.name(&mut self.shared, service, name.as_bytes(), NO_LIMITS, |_| LogAbout::new(severity));
                self.logs.keys(service, name)
            }
        };
        if let Some(keys) = keys {
            self.shared.restore_slot(keys, kind, text);
        }
    }

    fn restore_template(&mut self, template: &Template, from: Origin) {
        let Some(service) = self.restored_service(&template.service) else { return };
        if template.count == 0 {
            return;
        }
        let severity = template.severity;
        let name = severity.as_str().as_bytes();
        let id = self.logs.name(&mut self.shared, service, name, NO_LIMITS, |_| LogAbout::new(severity));
        self.logs.restore(&mut self.shared, id, &template.template, from);
    }
}
