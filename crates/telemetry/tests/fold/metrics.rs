//! Metrics: what describes them, their data points and series.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, Metric as ProtoMetric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, summary_data_point::ValueAtQuantile,
};
use tallybook_core::{ALL_SERVICES, Metric, MetricBucket, MetricType, Scope, Temporality, Window};

use crate::support::{Catalogue, Pairs, SHOP, TIME, gauge, metric, metrics, pairs, point, scope, scoped_metrics};

fn histogram(bounds: &[f64]) -> ProtoMetric {
    let point = HistogramDataPoint {
        time_unix_nano: TIME,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: vec![1; bounds.len() + 1],
        ..HistogramDataPoint::default()
    };
    metric("latency", Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 }))
}

fn sum(name: &str, temporality: i32, is_monotonic: bool) -> ProtoMetric {
    let data_points = vec![point(&[])];
    metric(name, Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic }))
}

fn shop(name: &'static str) -> impl Fn(&Metric) -> bool {
    move |row| &*row.service == "shop" && &*row.name == name
}

#[test]
fn the_bounds_are_those_of_the_latest_histogram() {
    let mut catalogue = Catalogue::default();
    catalogue.metrics(&metrics(SHOP, vec![histogram(&[1.0, 2.0])]));
    assert_eq!(catalogue.row(shop("latency")).bounds.as_deref(), Some(&[1.0, 2.0][..]));
    catalogue.metrics(&metrics(SHOP, vec![histogram(&[1.0, 5.0, 10.0])]));
    for service in ["shop", ALL_SERVICES] {
        let row = catalogue.row(|row: &Metric| &*row.service == service);
        assert_eq!(row.bounds.as_deref(), Some(&[1.0, 5.0, 10.0][..]));
        assert_eq!((row.metric_type, row.temporality), (MetricType::Histogram, Some(Temporality::Delta)));
        assert_eq!((row.active_series, row.prometheus_series()), (1, 6));
    }
}

#[test]
fn every_type_is_told_apart_with_what_describes_it() {
    let mut catalogue = Catalogue::default();
    let point = ExponentialHistogramDataPoint { time_unix_nano: TIME, ..ExponentialHistogramDataPoint::default() };
    let exponential = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 };
    let quantile = |quantile| ValueAtQuantile { quantile, value: 1.0 };
    let point = SummaryDataPoint {
        time_unix_nano: TIME,
        quantile_values: vec![quantile(0.5), quantile(0.99)],
        ..SummaryDataPoint::default()
    };
    let mut described = gauge("gauge", vec![crate::support::point(&[])]);
    (described.unit, described.description) = ("By".into(), "Memory in use.".into());
    let all = vec![
        described,
        sum("up_and_down", 2, false),
        sum("counter", 1, true),
        metric("exponential", Data::ExponentialHistogram(exponential)),
        metric("summary", Data::Summary(Summary { data_points: vec![point] })),
    ];
    catalogue.metrics(&scoped_metrics(SHOP, scope("runtime", "3", &[]), all));
    let gauge = catalogue.row(shop("gauge"));
    assert_eq!((gauge.metric_type, gauge.temporality, gauge.monotonic), (MetricType::Gauge, None, None));
    assert_eq!((gauge.unit.as_deref(), gauge.description.as_deref()), (Some("By"), Some("Memory in use.")));
    assert_eq!((gauge.scope_name.as_deref(), gauge.scope_version.as_deref()), (Some("runtime"), Some("3")));
    let row = catalogue.row(shop("up_and_down"));
    assert_eq!((row.temporality, row.monotonic), (Some(Temporality::Cumulative), Some(false)));
    let row = catalogue.row(shop("counter"));
    assert_eq!(
        (row.metric_type, row.temporality, row.monotonic),
        (MetricType::Sum, Some(Temporality::Delta), Some(true))
    );
    assert_eq!(catalogue.row(shop("exponential")).metric_type, MetricType::ExponentialHistogram);
    let row = catalogue.row(shop("summary"));
    assert_eq!((row.metric_type, row.quantiles.as_deref()), (MetricType::Summary, Some(&[0.5, 0.99][..])));
    assert_eq!(row.prometheus_series(), 4);
}

#[test]
fn what_describes_a_metric_is_the_latest_that_is_said() {
    let mut catalogue = Catalogue::default();
    let described = |unit: &str, description: &str| {
        let mut metric = gauge("cpu", vec![point(&[])]);
        (metric.unit, metric.description) = (unit.into(), description.into());
        metrics(SHOP, vec![metric])
    };
    catalogue.metrics(&described("s", "old"));
    catalogue.flush();
    catalogue.metrics(&described("ms", "new"));
    catalogue.metrics(&described("", ""));
    catalogue.metrics(&metrics(SHOP, vec![sum("cpu", 2, true)]));
    for service in ["shop", ALL_SERVICES] {
        let row = catalogue.row(|row: &Metric| &*row.service == service);
        assert_eq!((row.unit.as_deref(), row.description.as_deref()), (Some("ms"), Some("new")));
        assert_eq!((row.metric_type, row.monotonic), (MetricType::Sum, Some(true)));
    }
}

#[test]
fn the_service_that_reported_last_describes_a_metric_of_all_services() {
    let mut catalogue = Catalogue::default();
    for (service, unit) in [("b", "s"), ("a", "ms"), ("c", "")] {
        let mut metric = gauge("cpu", vec![point(&[])]);
        metric.unit = unit.into();
        catalogue.metrics(&metrics(&[("service.name", service)], vec![metric]));
    }
    assert_eq!(catalogue.row(|row: &Metric| &*row.service == ALL_SERVICES).unit.as_deref(), Some("ms"));
}

#[test]
fn series_are_distinct_label_sets_in_any_order_with_the_resource() {
    let mut catalogue = Catalogue::default();
    let sets: [Pairs<'_>; 5] =
        [&[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1")], &[("a", "2"), ("b", "1")], &[("a", "1")], &[]];
    let points = || sets.iter().map(|set| point(set)).collect();
    for host in ["x", "y"] {
        for _ in 0..2 {
            let resource: Pairs<'_> = &[("service.name", "shop"), ("host.name", host)];
            catalogue.metrics(&metrics(resource, vec![gauge("cpu", points())]));
            catalogue.flush();
        }
    }
    let row = catalogue.row(shop("cpu"));
    assert_eq!((row.sample_count, row.active_series), (20, 8));
    let buckets: Vec<_> = catalogue.rows::<MetricBucket>();
    let sizes: Vec<_> = buckets.iter().map(|row| (row.window, row.sample_count, row.active_series)).collect();
    assert_eq!(sizes, [(Window::Day, 20, 8), (Window::Hour, 20, 8)]);
}

#[test]
fn series_stay_distinct_where_their_keys_overflow() {
    let options = tallybook_telemetry::FoldOptions { max_keys_per_name: 1, ..Default::default() };
    let mut catalogue = Catalogue::new(options);
    let sets: [Pairs<'_>; 3] = [&[("a", "1")], &[("a", "1"), ("b", "1")], &[("a", "1"), ("c", "1")]];
    catalogue.metrics(&metrics(SHOP, vec![gauge("cpu", sets.iter().map(|set| point(set)).collect())]));
    assert_eq!(catalogue.row(shop("cpu")).active_series, 3);
    assert_eq!(catalogue.key("shop", "cpu", Scope::Attribute, "<overflow>").count, 2);
}

#[test]
fn a_point_without_a_value_counts_but_does_not_describe() {
    let mut catalogue = Catalogue::default();
    catalogue.metrics(&metrics(SHOP, vec![histogram(&[1.0, 2.0])]));
    let stale = HistogramDataPoint { time_unix_nano: TIME, flags: 1, ..HistogramDataPoint::default() };
    let stale = Histogram { data_points: vec![stale], aggregation_temporality: 1 };
    catalogue.metrics(&metrics(SHOP, vec![metric("latency", Data::Histogram(stale))]));
    let row = catalogue.row(shop("latency"));
    assert_eq!((row.sample_count, row.bounds.as_deref()), (2, Some(&[1.0, 2.0][..])));
}

#[test]
fn points_of_a_metric_without_a_name_are_rejected_with_a_message() {
    let mut catalogue = Catalogue::default();
    let request = metrics(SHOP, vec![gauge("", vec![point(&[]), point(&[])]), gauge("cpu", vec![point(&[])])]);
    let observed = catalogue.metrics(&request);
    assert_eq!((observed.records, observed.rejected), (1, 2));
    assert!(observed.message.is_some_and(|message| message.contains("name")));
    assert_eq!(catalogue.service("shop").metric_points, 1);
    assert_eq!(catalogue.fold.stats().rejected, 2);
}

#[test]
fn a_metric_without_data_points_is_not_there() {
    let mut catalogue = Catalogue::default();
    let request =
        metrics(SHOP, vec![gauge("empty", vec![]), ProtoMetric { name: "no data".into(), ..Default::default() }]);
    assert_eq!(catalogue.metrics(&request).records, 0);
    assert!(catalogue.rows::<Metric>().is_empty());
    assert_eq!(catalogue.fold.stats().metrics, 0);
}

#[test]
fn label_keys_are_counted_with_their_first_and_last_moment() {
    let mut catalogue = Catalogue::default();
    let at = |seconds: u64| NumberDataPoint {
        time_unix_nano: TIME + seconds,
        attributes: pairs(&[("core", &seconds.to_string())]),
        ..NumberDataPoint::default()
    };
    catalogue.metrics(&metrics(SHOP, vec![gauge("cpu", vec![at(5), at(3), at(9)])]));
    let key = catalogue.key("shop", "cpu", Scope::Attribute, "core");
    assert_eq!((key.count, key.cardinality), (3, 3));
    assert_eq!((key.first_seen.0 as u64, key.last_seen.0 as u64), (TIME + 3, TIME + 9));
    let row = catalogue.row(shop("cpu"));
    assert_eq!((row.first_seen, row.last_seen), (key.first_seen, key.last_seen));
}
