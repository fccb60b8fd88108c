//! From what was counted to rows of the catalogue. The work is in proportion to the keys that were touched; every table
//! comes out in the order of its key. Estimates stay 0: [`tallybook_core::Table::normalise`] computes them.

mod keys;
mod logs;
mod metrics;
mod spans;
mod sums;

use std::sync::Arc;

use tallybook_core::{ALL_SERVICES, CatalogueDelta, Signal};

use self::keys::KeyRows;
use self::sums::{Facts, InBucket, OverServices, Sum};
use super::Fold;
use super::book::Book;
use super::names::{NameId, Names};
use super::shared::Shared;

/// Takes everything that was counted since the last drain.
pub(super) fn drain(fold: &mut Fold) -> CatalogueDelta {
    let Fold { shared, metrics, spans, logs, .. } = fold;
    let mut delta = CatalogueDelta::default();
    let mut keys = KeyRows::default();
    // In the order of the signals' names, as the tables are that all signals share.
    let moved = std::mem::take(&mut shared.moved);
    book(shared, logs, Signal::Log, &mut keys, &mut delta, |view, sums, delta| {
        logs::moves(view, &moved, delta);
        logs::rows(view, sums, delta);
    });
    book(shared, metrics, Signal::Metric, &mut keys, &mut delta, metrics::rows);
    book(shared, spans, Signal::Span, &mut keys, &mut delta, spans::rows);
    keys.finish(shared, &mut delta);
    delta
}

fn book<A, F: Facts>(
    shared: &Shared,
    book: &mut Book<A, F>,
    signal: Signal,
    keys: &mut KeyRows,
    delta: &mut CatalogueDelta,
    rows: impl FnOnce(&mut View<'_, A>, &Sums<'_, F>, &mut CatalogueDelta),
) {
    let windows = book.windows.drain();
    let mut view = View { shared, names: &mut book.names, all_services: ALL_SERVICES.into() };
    let parts = sums::parts(windows, view.names, &shared.services, &shared.texts);
    let services = sums::by_name(&parts, &shared.texts);
    let all = sums::over_services(&services, view.names, &shared.texts);
    let buckets = sums::by_bucket(&parts, &shared.texts);
    let sums = Sums { all: &all, services: &services, buckets: &buckets };
    keys.rows(signal, &view, &sums, delta);
    rows(&mut view, &sums, delta);
}

/// What was counted of one signal.
struct Sums<'a, F: Clone> {
    all: &'a [OverServices<'a, F>],
    services: &'a [Sum<'a, F>],
    buckets: &'a [InBucket<'a, F>],
}

/// What is known of one signal.
struct View<'a, A> {
    shared: &'a Shared,
    names: &'a mut Names<A>,
    all_services: Arc<str>,
}

impl<A> View<'_, A> {
    fn name(&self, id: NameId) -> &Arc<str> {
        &self.names.get(id).text
    }

    fn service(&self, id: NameId) -> &Arc<str> {
        self.shared.services.name(self.names.get(id).service)
    }

    fn about(&self, id: NameId) -> &A {
        &self.names.get(id).about
    }
}

/// The sums of all services together, then those of each: with the service of their rows, the order of all tables that
/// have a service in their key.
fn rows_of<'a, F: Facts, A>(
    view: &'a View<'_, A>,
    sums: &'a Sums<'_, F>,
) -> impl Iterator<Item = (&'a Arc<str>, &'a [NameId], &'a Sum<'a, F>)> {
    let all = sums.all.iter().map(|over| (&view.all_services, over.names.as_slice(), &over.sum));
    let services = sums.services.iter().map(|sum| (view.service(sum.name), std::slice::from_ref(&sum.name), sum));
    all.chain(services)
}
