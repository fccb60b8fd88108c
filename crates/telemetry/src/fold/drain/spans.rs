//! The rows of spans.

use std::sync::Arc;

use tallybook_core::{CatalogueDelta, Sketch, Span, SpanPattern, hash_bytes};

use super::sums::{Facts, Sum};
use super::{Sums, View, rows_of};
use crate::fold::spans::{SpanAbout, SpanFacts};
use crate::fold::tally::Tally;

impl Facts for SpanFacts {
    fn unite(&mut self, other: &Self) {
        self.kinds.iter_mut().zip(other.kinds).for_each(|(own, other)| *own += other);
        self.statuses.iter_mut().zip(other.statuses).for_each(|(own, other)| *own += other);
        self.events += other.events;
        self.links += other.links;
    }
}

pub(super) fn rows(view: &mut View<'_, SpanAbout>, sums: &Sums<'_, SpanFacts>, delta: &mut CatalogueDelta) {
    delta.spans.extend(rows_of(view, sums).map(|(service, names, sum)| {
        // The latest service that says, which the last name is of.
        let said =
            |of: fn(&SpanAbout) -> &Option<Arc<str>>| names.iter().rev().find_map(|&n| of(view.about(n)).clone());
        let (sample_count, first_seen, last_seen) = sum.tally.parts();
        let SpanFacts { kinds, statuses, events, links } = sum.facts.as_ref();
        Span {
            service: service.clone(),
            name: view.name(sum.name).clone(),
            pattern: view.about(sum.name).pattern.clone(),
            scope_name: said(|about| &about.scope_name),
            scope_version: said(|about| &about.scope_version),
            sample_count,
            kind_unspecified: kinds[0],
            kind_internal: kinds[1],
            kind_server: kinds[2],
            kind_client: kinds[3],
            kind_producer: kinds[4],
            kind_consumer: kinds[5],
            status_unset: statuses[0],
            status_ok: statuses[1],
            status_error: statuses[2],
            events: *events,
            links: *links,
            first_seen,
            last_seen,
        }
    }));

    let mut patterns: Vec<(&Arc<str>, &Sum<'_, SpanFacts>)> =
        rows_of(view, sums).map(|(service, _, sum)| (service, sum)).collect();
    let pattern = |sum: &Sum<'_, SpanFacts>| &view.about(sum.name).pattern;
    patterns.sort_by(|a, b| (a.0, pattern(a.1)).cmp(&(b.0, pattern(b.1))));
    for same in patterns.chunk_by(|a, b| (a.0, pattern(a.1)) == (b.0, pattern(b.1))) {
        let (mut tally, mut names) = (Tally::default(), Sketch::default());
        for (_, sum) in same {
            tally.unite(sum.tally);
            names.insert(hash_bytes(view.name(sum.name).as_bytes()));
        }
        let (sample_count, first_seen, last_seen) = tally.parts();
        // Ids follow each other, so the least is the name that was seen first.
        let Some(example) = same.iter().map(|(_, sum)| sum.name).min() else { continue };
        delta.span_patterns.push(SpanPattern {
            service: same[0].0.clone(),
            pattern: pattern(same[0].1).clone(),
            example: view.name(example).clone(),
            sample_count,
            name_count: 0,
            first_seen,
            last_seen,
            names: Arc::new(names),
        });
    }
}
