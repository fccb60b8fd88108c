//! The shop: visitors come, calls go from service to service, and each call leaves a span, a log line and data points.
//!
//! Three mistakes are built in for the catalogue to find: `payment` labels a counter with the customer, `inventory` puts
//! identifiers into span names, and `storefront` logs the session with every page.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status,
    span::{Event, SpanKind},
    status::StatusCode,
};
use rand::Rng as _;
use rand::rngs::SmallRng;
use tallybook_core::Timestamp;

use super::otlp::{body, counter, duration, duration_histogram, gauge, int, number, resource, scope, text};

const SERVICES: [&str; 5] = ["storefront", "cart", "checkout", "payment", "inventory"];
const STOREFRONT: usize = 0;
const CART: usize = 1;
const CHECKOUT: usize = 2;
const PAYMENT: usize = 3;
const INVENTORY: usize = 4;
const PODS_PER_SERVICE: usize = 3;
const PRODUCTS: u32 = 400;
const CUSTOMERS: u32 = 5_000;

/// Everything the shop says at one moment.
pub(super) struct Report {
    pub(super) traces: ExportTraceServiceRequest,
    pub(super) metrics: ExportMetricsServiceRequest,
    pub(super) logs: ExportLogsServiceRequest,
}

/// The state of the shop.
pub(super) struct Shop {
    random: SmallRng,
    orders: u64,
    payments: u64,
}

/// What one service has to tell since the last report.
#[derive(Default)]
struct Telling {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    durations: Vec<HistogramDataPoint>,
    paying_customers: Vec<u32>,
}

/// One call to a service, as the service sees it.
struct Call<'a> {
    service: usize,
    trace: &'a [u8],
    parent: &'a [u8],
    name: String,
    route: &'a str,
    failed: bool,
    attributes: Vec<KeyValue>,
}

impl Shop {
    pub(super) fn open(random: SmallRng) -> Self {
        Self { random, orders: 0, payments: 0 }
    }

    /// Lets `visits` visitors in and reports what happened.
    pub(super) fn report(&mut self, visits: usize, now: Timestamp) -> Report {
        let mut telling: [Telling; SERVICES.len()] = Default::default();
        for _ in 0..visits {
            self.visit(&mut telling, now.0.unsigned_abs());
        }
        self.publish(telling, now.0.unsigned_abs())
    }

    fn visit(&mut self, telling: &mut [Telling], now: u64) {
        let trace = self.id(16);
        let product = self.random.random_range(0..PRODUCTS);
        let customer = self.random.random_range(0..CUSTOMERS);
        let session = hex(&self.id(8));

        let page = self.call(
            telling,
            now,
            Call {
                service: STOREFRONT,
                trace: &trace,
                parent: &[],
                name: "GET /products/{id}".to_owned(),
                route: "/products/{id}",
                failed: false,
                attributes: vec![
                    text("url.path", format!("/products/{product}")),
                    text("session.id", session.clone()),
                    text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
                ],
            },
        );
        let ms = self.random.random_range(2..180);
        let line = format!("GET /products/{product} 200 in {ms}ms session={session}");
        self.log(&mut telling[STOREFRONT], now, SeverityNumber::Info, line, &trace, &page);

        let stock = self.random.random_range(0..60);
        let lookup = self.call(
            telling,
            now,
            Call {
                service: INVENTORY,
                trace: &trace,
                parent: &page,
                name: format!("GET /stock/{product}"),
                route: "/stock/{id}",
                failed: false,
                attributes: vec![int("shop.stock", stock)],
            },
        );
        if stock < 3 {
            let line = format!("stock of product {product} is low: {stock} left in warehouse fra-{}", stock + 1);
            self.log(&mut telling[INVENTORY], now, SeverityNumber::Warn, line, &trace, &lookup);
        }
        if self.random.random_bool(0.5) {
            self.put_into_cart(telling, now, &trace, &page, product, customer);
        }
        if self.random.random_bool(0.2) {
            self.check_out(telling, now, &trace, &page, customer);
        }
    }

    fn put_into_cart(
        &mut self,
        telling: &mut [Telling],
        now: u64,
        trace: &[u8],
        parent: &[u8],
        product: u32,
        customer: u32,
    ) {
        let attributes = vec![int("shop.product", product.into()), text("db.system.name", "redis")];
        let span = self.call(
            telling,
            now,
            Call {
                service: CART,
                trace,
                parent,
                name: "POST /cart".to_owned(),
                route: "/cart",
                failed: false,
                attributes,
            },
        );
        let line = format!("added product {product} to the cart of user_{customer}");
        self.log(&mut telling[CART], now, SeverityNumber::Info, line, trace, &span);
    }

    fn check_out(&mut self, telling: &mut [Telling], now: u64, trace: &[u8], parent: &[u8], customer: u32) {
        self.orders += 1;
        let order = uuid_like(&self.id(16));
        let declined = self.random.random_bool(0.07);
        let span = self.call(
            telling,
            now,
            Call {
                service: CHECKOUT,
                trace,
                parent,
                name: "POST /orders".to_owned(),
                route: "/orders",
                failed: declined,
                attributes: vec![text("shop.order", order.clone()), text("shop.currency", "EUR")],
            },
        );
        self.payments += 1;
        telling[PAYMENT].paying_customers.push(customer);
        let attributes = vec![text("payment.provider", "acme-pay"), text("customer.id", format!("user_{customer}"))];
        let charge = self.call(
            telling,
            now,
            Call {
                service: PAYMENT,
                trace,
                parent: &span,
                name: "POST /charges".to_owned(),
                route: "/charges",
                failed: declined,
                attributes,
            },
        );
        if declined {
            let line = format!("card of user_{customer} declined by 10.2.{}.17:443: insufficient funds", customer % 8);
            self.log(&mut telling[PAYMENT], now, SeverityNumber::Error, line, trace, &charge);
            let line = format!("order {order} could not be paid");
            self.log(&mut telling[CHECKOUT], now, SeverityNumber::Error, line, trace, &span);
        } else {
            let total = f64::from(self.random.random_range(500..20_000)) / 100.0;
            let line = format!("order {order} placed by user_{customer}@example.com, total {total} EUR");
            self.log(&mut telling[CHECKOUT], now, SeverityNumber::Info, line, trace, &span);
        }
    }

    /// Records a span and a duration of the called service; gives the span's id.
    fn call(&mut self, telling: &mut [Telling], now: u64, call: Call<'_>) -> Vec<u8> {
        let span_id = self.id(8);
        let seconds = self.random.random_range(0.002..0.4);
        let status = if call.failed { 402 } else { 200 };
        let method = call.name.split(' ').next().unwrap_or_default().to_owned();
        let measured = vec![
            text("http.request.method", method),
            text("http.route", call.route),
            int("http.response.status_code", status),
        ];
        let mut attributes = measured.clone();
        attributes.extend(call.attributes);
        let events = if call.failed {
            let attributes =
                vec![text("exception.type", "PaymentDeclined"), text("exception.message", "insufficient funds")];
            vec![Event { time_unix_nano: now, name: "exception".to_owned(), attributes, ..Event::default() }]
        } else {
            Vec::new()
        };
        let code = if call.failed { StatusCode::Error } else { StatusCode::Unset };
        let told = &mut telling[call.service];
        told.durations.push(duration(measured, now, seconds));
        told.spans.push(Span {
            trace_id: call.trace.to_vec(),
            span_id: span_id.clone(),
            parent_span_id: call.parent.to_vec(),
            name: call.name,
            kind: SpanKind::Server.into(),
            start_time_unix_nano: now - (seconds * 1e9) as u64,
            end_time_unix_nano: now,
            attributes,
            events,
            status: Some(Status { code: code.into(), ..Status::default() }),
            ..Span::default()
        });
        span_id
    }

    fn log(
        &mut self,
        telling: &mut Telling,
        now: u64,
        severity: SeverityNumber,
        line: String,
        trace: &[u8],
        span: &[u8],
    ) {
        let thread = self.random.random_range(1..17);
        telling.logs.push(LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: severity.into(),
            body: Some(body(line)),
            attributes: vec![text("thread.name", format!("worker-{thread}")), text("code.function.name", "handle")],
            trace_id: trace.to_vec(),
            span_id: span.to_vec(),
            ..LogRecord::default()
        });
    }

    fn publish(&mut self, telling: [Telling; SERVICES.len()], now: u64) -> Report {
        let mut traces = Vec::new();
        let mut metrics = Vec::new();
        let mut logs = Vec::new();
        for (service, told) in telling.into_iter().enumerate() {
            let pod = self.random.random_range(0..PODS_PER_SERVICE);
            let resource = Some(resource(SERVICES[service], pod));
            let memory = self.random.random_range(1e8..4e8);
            let mut told_metrics = vec![
                duration_histogram("http.server.request.duration", "Duration of HTTP server requests.", told.durations),
                gauge("process.memory.usage", "By", "Memory in use.", vec![number(Vec::new(), now, memory)]),
            ];
            if service == CHECKOUT {
                let points = vec![number(vec![text("shop.currency", "EUR")], now, self.orders as f64)];
                told_metrics.push(counter("shop.orders", "{order}", "Orders placed.", points));
            }
            if service == PAYMENT {
                let attempt = |customer| {
                    let labels =
                        vec![text("customer.id", format!("user_{customer}")), text("payment.provider", "acme-pay")];
                    number(labels, now, 1.0)
                };
                let points = told.paying_customers.into_iter().map(attempt).collect();
                told_metrics.push(counter("payment.attempts", "{attempt}", "Attempts to charge a card.", points));
            }
            let scope = Some(scope("shop/http"));
            traces.push(ResourceSpans {
                resource: resource.clone(),
                scope_spans: vec![ScopeSpans { scope: scope.clone(), spans: told.spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            });
            metrics.push(ResourceMetrics {
                resource: resource.clone(),
                scope_metrics: vec![ScopeMetrics {
                    scope: scope.clone(),
                    metrics: told_metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            });
            logs.push(ResourceLogs {
                resource,
                scope_logs: vec![ScopeLogs { scope, log_records: told.logs, ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            });
        }
        Report {
            traces: ExportTraceServiceRequest { resource_spans: traces },
            metrics: ExportMetricsServiceRequest { resource_metrics: metrics },
            logs: ExportLogsServiceRequest { resource_logs: logs },
        }
    }

    fn id(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| self.random.random()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn uuid_like(bytes: &[u8]) -> String {
    let text = hex(bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}
