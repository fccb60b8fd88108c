//! The rows of spans.

use std::sync::Arc;

use tallybook_core::{CatalogueDelta, Sketch, Span, SpanPattern, hash_bytes};

use super::sums::Facts;
use super::{Sums, View, rows_of};
use crate::fold::names::NameId;
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

    let mut patterns: Vec<Named<'_>> = rows_of(view, sums)
        .filter_map(|(service, names, sum)| Some(Named { service, first: *names.iter().min()?, tally: sum.tally }))
        .collect();
    let key = |named: &Named<'_>| (named.service.clone(), view.about(named.first).pattern.clone());
    patterns.sort_by_cached_key(key);
    for same in patterns.chunk_by(|a, b| key(a) == key(b)) {
        let (mut tally, mut names) = (Tally::default(), Sketch::default());
        for named in same {
            tally.unite(named.tally);
            names.insert(hash_bytes(view.name(named.first).as_bytes()));
        }
        let Some(first) = same.iter().map(|named| named.first).min() else { continue };
        let (sample_count, first_seen, last_seen) = tally.parts();
        delta.span_patterns.push(SpanPattern {
            service: same[0].service.clone(),
            pattern: view.about(first).pattern.clone(),
            example: view.name(first).clone(),
            sample_count,
            name_count: 0,
            first_seen,
            last_seen,
            names: Arc::new(names),
        });
    }
}

/// A name, of one service or of all.
struct Named<'a> {
    service: &'a Arc<str>,
    /// Of the services that send it, the id of the first: ids follow each other.
    first: NameId,
    tally: Tally,
}
