"""Sends a fixed set of spans, metrics and log records with OpenTelemetry's SDK for Python.

Usage: shop.py grpc|http ENDPOINT
"""

import logging
import sys
import warnings

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

# The handler has moved to a package of its own, but it is the one that applications have today.
warnings.simplefilter("ignore", DeprecationWarning)


def exporters(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from grpc import Compression

        options = {"endpoint": endpoint, "insecure": True, "compression": Compression.Gzip}
        return OTLPSpanExporter(**options), OTLPMetricExporter(**options), OTLPLogExporter(**options)

    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def of(exporter, signal):
        return exporter(endpoint=f"{endpoint}/v1/{signal}", compression=Compression.Gzip)

    return of(OTLPSpanExporter, "traces"), of(OTLPMetricExporter, "metrics"), of(OTLPLogExporter, "logs")


def send_spans(provider):
    tracer = provider.get_tracer("shop", "1.2.3")
    for number in range(10):
        attributes = {"http.route": "/cart", "user.id": f"user_{number}"}
        with tracer.start_as_current_span("GET /cart", kind=SpanKind.SERVER, attributes=attributes) as span:
            if number < 3:
                span.add_event("cache.miss", {"cache.key": f"cart-{number}"})
            if number == 0:
                span.set_status(Status(StatusCode.ERROR, "out of stock"))
            if number == 1:
                span.set_status(Status(StatusCode.OK))


def send_metrics(provider):
    meter = provider.get_meter("shop", "1.2.3")
    orders = meter.create_counter("shop.orders", unit="{order}", description="Orders placed.")
    duration = meter.create_histogram("shop.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
    queue = meter.create_gauge("shop.queue")
    for number in range(10):
        orders.add(1, {"region": "ab"[number % 2]})
        duration.record(number / 10)
        queue.set(number)


def send_logs(provider):
    logger = logging.getLogger("shop")
    logger.addHandler(LoggingHandler(logger_provider=provider))
    logger.propagate = False
    for number in range(10):
        logger.warning("user %d logged in", number, extra={"region": "ab"[number % 2]})


def main():
    _, protocol, endpoint = sys.argv
    span_exporter, metric_exporter, log_exporter = exporters(protocol, endpoint)
    resource = Resource.create({"service.name": "shop", "service.version": "1.2.3"})

    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(span_exporter))
    meters = MeterProvider([PeriodicExportingMetricReader(metric_exporter)], resource=resource)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter))

    send_spans(tracers)
    send_metrics(meters)
    send_logs(loggers)
    for provider in (tracers, meters, loggers):
        provider.shutdown()


main()
