//! A small catalogue, put into a store as a flush would.

use std::sync::Arc;

use tallybook_core::{
    ALL_SERVICES, Ack, Attribute, AttributeKey, AttributeKeyBucket, Batch, BatchId, CatalogueDelta, Event, Log, Metric,
    MetricBucket, MetricType, Records, Scope, Service, Severity, Signal, Sketch, SourceId, Span, SpanPattern, Store,
    Template, TemplateBucket, Timestamp, Window, hash_bytes,
};

/// When everything was seen first, unless said otherwise.
pub(crate) const LONG_AGO: Timestamp = Timestamp(1_600_000_000_000_000_000);

/// `count` distinct values.
pub(crate) fn distinct(count: u64) -> Arc<Sketch> {
    let mut sketch = Sketch::default();
    for value in 0..count {
        sketch.insert(hash_bytes(&value.to_le_bytes()));
    }
    Arc::new(sketch)
}

#[derive(Default)]
pub(crate) struct Catalogue(pub(crate) CatalogueDelta);

/// The rows for a service and for all of them.
fn both(service: &str) -> [Arc<str>; 2] {
    [service.into(), ALL_SERVICES.into()]
}

impl Catalogue {
    pub(crate) fn service(&mut self, name: &str, records: u64) {
        self.0.services.push(Service {
            name: name.into(),
            metric_points: records,
            spans: 2 * records,
            log_records: 3 * records,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
        });
    }

    pub(crate) fn metric(&mut self, service: &str, name: &str, metric_type: MetricType, samples: u64, series: u64) {
        self.0.metrics.extend(both(service).map(|service| Metric {
            service,
            name: name.into(),
            metric_type,
            unit: Some("ms".into()),
            description: None,
            temporality: None,
            monotonic: None,
            bounds: (metric_type == MetricType::Histogram).then(|| Arc::from([1.0, f64::INFINITY])),
            quantiles: None,
            scope_name: Some("lib".into()),
            scope_version: None,
            sample_count: samples,
            active_series: 0,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
            series: distinct(series),
        }));
    }

    pub(crate) fn span(&mut self, service: &str, name: &str, pattern: &str, spans: u64, errors: u64) {
        self.0.spans.extend(both(service).map(|service| Span {
            service,
            name: name.into(),
            pattern: pattern.into(),
            scope_name: None,
            scope_version: None,
            sample_count: spans,
            kind_unspecified: 0,
            kind_internal: 0,
            kind_server: spans - errors,
            kind_client: errors,
            kind_producer: 0,
            kind_consumer: 0,
            status_unset: spans - errors,
            status_ok: 0,
            status_error: errors,
            events: 0,
            links: 0,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
        }));
        self.0.span_patterns.extend(both(service).map(|service| SpanPattern {
            service,
            pattern: pattern.into(),
            example: name.into(),
            sample_count: spans,
            name_count: 0,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
            names: Arc::new(Sketch::of(hash_bytes(name.as_bytes()))),
        }));
    }

    pub(crate) fn log(&mut self, service: &str, severity: Severity, records: u64) {
        self.0.logs.extend(both(service).map(|service| Log {
            service,
            severity,
            sample_count: records,
            body_string: records,
            body_kvlist: 0,
            body_array: 0,
            body_other: 0,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
        }));
    }

    pub(crate) fn template(&mut self, service: &str, severity: Severity, template: &str, records: u64) {
        self.0.templates.push(Template {
            service: service.into(),
            severity,
            template: template.into(),
            example: None,
            count: records,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
        });
    }

    pub(crate) fn event(&mut self, signal: Signal, service: &str, name: &str, event: &str, count: u64) {
        self.0.events.extend(both(service).map(|service| Event {
            signal,
            service,
            name: name.into(),
            event: event.into(),
            count,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
        }));
    }

    /// A key of a name, and the key over everything.
    pub(crate) fn key(&mut self, of: (Signal, &str, &str), scope: Scope, key: &str, count: u64, values: u64) {
        let (signal, service, name) = of;
        self.0.attribute_keys.extend(both(service).map(|service| AttributeKey {
            signal,
            service,
            name: name.into(),
            scope,
            key: key.into(),
            count,
            cardinality: 0,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
            distinct_values: distinct(values),
        }));
        let of_signal = |wanted| if signal == wanted { count } else { 0 };
        self.0.attributes.push(Attribute {
            key: key.into(),
            scope,
            count,
            metric_count: of_signal(Signal::Metric),
            span_count: of_signal(Signal::Span),
            log_count: of_signal(Signal::Log),
            cardinality: 0,
            first_seen: LONG_AGO,
            last_seen: LONG_AGO,
            distinct_values: distinct(values),
        });
    }

    pub(crate) fn hour_of_metric(&mut self, hour: Timestamp, service: &str, name: &str, series: u64) {
        self.0.metric_buckets.push(MetricBucket {
            window: Window::Hour,
            start: hour.hour(),
            service: service.into(),
            name: name.into(),
            sample_count: series,
            active_series: 0,
            series: distinct(series),
        });
    }

    pub(crate) fn hour_of_key(&mut self, hour: Timestamp, of: (Signal, &str, &str), key: &str, values: u64) {
        let (signal, service, name) = of;
        self.0.attribute_key_buckets.push(AttributeKeyBucket {
            window: Window::Hour,
            start: hour.hour(),
            signal,
            service: service.into(),
            name: name.into(),
            scope: Scope::Attribute,
            key: key.into(),
            count: values,
            cardinality: 0,
            distinct_values: distinct(values),
        });
    }

    pub(crate) fn hour_of_template(&mut self, hour: Timestamp, service: &str, template: &str, count: u64) {
        self.0.template_buckets.push(TemplateBucket {
            window: Window::Hour,
            start: hour.hour(),
            service: service.into(),
            severity: Severity::Info,
            template: template.into(),
            count,
        });
    }

    pub(crate) async fn put_into(self, store: &dyn Store) {
        let records = Records { catalogue: self.0, ..Records::default() };
        let id = BatchId { source: SourceId::mint(), seq: 1 };
        store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.unwrap();
    }

    /// Some of everything, with names that hold `/`, and numbers that are alike.
    pub(crate) fn shop() -> Self {
        let mut shop = Self::default();
        shop.service("cart", 10);
        shop.service("front/end", 20);
        shop.service("mail", 10);
        for (at, name) in ["up", "http/server/duration", "queue.length", "a", "b", "c", "d"].into_iter().enumerate() {
            let metric_type = if at == 1 { MetricType::Histogram } else { MetricType::Gauge };
            shop.metric("cart", name, metric_type, 100, 10 * (at as u64 % 3 + 1));
            if at < 3 {
                shop.metric("mail", name, metric_type, 50, 5);
            }
            shop.key((Signal::Metric, "cart", name), Scope::Attribute, "pod", 100, 10 * (at as u64 % 4 + 1));
            shop.key((Signal::Metric, "cart", name), Scope::Resource, "service.name", 100, 1);
        }
        shop.key((Signal::Metric, "cart", "up"), Scope::Attribute, "rare", 25, 20);
        for (name, pattern, spans, errors) in [
            ("GET /", "GET /", 10, 0),
            ("GET /a/1", "GET /a/<*>", 7, 7),
            ("GET /a/2", "GET /a/<*>", 10, 3),
            ("mail", "mail", 5, 1),
        ] {
            shop.span("front/end", name, pattern, spans, errors);
            shop.key((Signal::Span, "front/end", name), Scope::Attribute, "http.route", spans, 30);
        }
        shop.key((Signal::Span, "front/end", "GET /"), Scope::Event, "exception.type", 5, 2);
        shop.event(Signal::Span, "front/end", "GET /", "exception", 6);
        for (at, &severity) in Severity::ALL.iter().enumerate() {
            let records = 10 * (at as u64 + 1);
            shop.log("cart", severity, records);
            shop.log("mail", severity, 10);
            shop.template("cart", severity, "cart <*> is empty", records / 2);
            shop.template("cart", severity, "paid <*> with <*>", records / 2);
            shop.template("mail", severity, "sent to <*>", 10);
            shop.template("mail", severity, "became another", 0);
            shop.key((Signal::Log, "cart", severity.as_str()), Scope::Attribute, "user/id", records, 50);
        }
        shop.key((Signal::Log, "cart", "INFO"), Scope::Body, "message", 8, 3);
        shop.event(Signal::Log, "cart", "INFO", "login", 2);
        shop
    }
}
