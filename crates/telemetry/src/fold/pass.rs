//! The walk over one request of one signal, as far as all signals walk alike.

use tallybook_core::Timestamp;

use super::book::Book;
use super::keys::{Cursor, Kind};
use super::names::NameId;
use super::services::ServiceId;
use super::shared::{Repeated, Shared};
use super::tally::Tally;
use super::texts::TextId;
use super::window::{Clock, Place};
use crate::otlp::{AnyValue, Attributes, Resource, Scope, SeriesHash, Text, hash_text, hash_value};

/// Records come in groups that share their resource and scope. What a group shares is counted once for each name in it,
/// when the group ends: resource attributes cost nothing per record, and yet count for each.
#[derive(Debug)]
pub(super) struct Pass<'f, 'a, A, F> {
    pub(super) shared: &'f mut Shared,
    pub(super) book: &'f mut Book<A, F>,
    pub(super) clock: Clock,
    /// `service.name`, and the service of that name since the first record: a resource without records does not count.
    service_name: Text<'a>,
    service: Option<ServiceId>,
    pub(super) scope_name: Repeated<'a>,
    pub(super) scope_version: Repeated<'a>,
    resource: Vec<SharedAttribute<'a>>,
    scope: Vec<SharedAttribute<'a>>,
    touched: Vec<Touched>,
    group: u64,
    records: u64,
}

/// An attribute of a resource or scope.
#[derive(Debug)]
struct SharedAttribute<'a> {
    key: Text<'a>,
    hash: u64,
}

/// A name that has records in the present group, and those records.
#[derive(Debug)]
struct Touched {
    place: Place,
    tally: Tally,
}

/// The record that is counted: where, and when it happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) time: Timestamp,
    stamp: u64,
}

impl<'f, 'a, A, F: Default> Pass<'f, 'a, A, F> {
    pub(super) fn new(shared: &'f mut Shared, book: &'f mut Book<A, F>, clock: Clock) -> Self {
        book.windows.forget_current();
        let group = shared.next_stamp();
        Self {
            shared,
            book,
            clock,
            service_name: Text::default(),
            service: None,
            scope_name: Repeated::default(),
            scope_version: Repeated::default(),
            resource: Vec::new(),
            scope: Vec::new(),
            touched: Vec::new(),
            group,
            records: 0,
        }
    }

    pub(super) fn resource(&mut self, resource: &Resource<'a>) {
        self.end_group();
        let name = resource.attributes.iter().find_map(|pair| match pair.value {
            AnyValue::String(name) if pair.key.as_bytes() == b"service.name" => Some(name),
            _ => None,
        });
        self.service_name = name.unwrap_or_default();
        self.service = None;
        read_shared(&mut self.resource, resource.attributes);
        self.scope.clear();
    }

    /// The service that the present resource belongs to.
    #[inline]
    pub(super) fn service(&mut self) -> ServiceId {
        *self.service.get_or_insert_with(|| self.shared.service(self.service_name.as_bytes()))
    }

    pub(super) fn scope(&mut self, scope: &Scope<'a>) {
        // Scopes without attributes of their own, as nearly all are, leave the group as it is.
        if !(self.scope.is_empty() && scope.attributes.is_empty()) {
            self.end_group();
        }
        read_shared(&mut self.scope, scope.attributes);
        self.scope_name = Repeated::new(scope.name);
        self.scope_version = Repeated::new(scope.version);
    }

    /// The hash of the resource's attributes, to which a data point adds its own.
    pub(super) fn resource_series(&self) -> SeriesHash {
        let mut series = SeriesHash::default();
        for attribute in &self.resource {
            series.add(hash_text(attribute.key), attribute.hash);
        }
        series
    }

    /// Begins a record that happened at `own`, or at `other` where it does not say.
    #[inline]
    pub(super) fn record(&mut self, name: NameId, own: u64, other: u64) -> Record {
        let time = self.clock.time(own, other);
        let windows = &mut self.book.windows;
        let window = windows.at(time, &self.clock);
        let known = self.book.names.get_mut(name);
        let place = windows
            .place(window, name, known.place)
            .unwrap_or_else(|| windows.add(window, name, &mut self.shared.pending));
        known.place = place;
        let (row, _) = windows.row_mut(place);
        if row.group != self.group {
            row.group = self.group;
            row.touched = self.touched.len() as u32;
            self.touched.push(Touched { place, tally: Tally::default() });
        }
        self.touched[row.touched as usize].tally.add(time);
        self.records += 1;
        Record { place, time, stamp: self.shared.next_stamp() }
    }

    /// Counts attributes of a record; `each` gets the hashes of their keys and values.
    #[inline]
    pub(super) fn attributes(
        &mut self,
        record: Record,
        kind: Kind,
        attributes: Attributes<'_>,
        mut each: impl FnMut(u64, u64),
    ) {
        let (row, bucket) = self.book.windows.row_mut(record.place);
        let keys = &mut self.book.names.get_mut(row.name).keys;
        let mut cursor = Cursor::new(kind);
        for pair in attributes {
            let hash = hash_value(pair.value);
            let slot = self.shared.slot(keys, &mut cursor, pair.key.as_bytes());
            let text = keys.get(slot).text();
            let is_own = text != TextId::OVERFLOW;
            each(if is_own { self.shared.texts.hash(text) } else { hash_text(pair.key) }, hash);
            let key = row.key(slot, keys.len(), bucket, &mut self.shared.pending);
            let grown = key.add(record.stamp, record.time, hash);
            self.shared.pending.grow(grown);
        }
    }

    /// Counts an event of that name on a record.
    pub(super) fn event(&mut self, record: Record, name: Text<'_>) {
        let (row, bucket) = self.book.windows.row_mut(record.place);
        let keys = &mut self.book.names.get_mut(row.name).keys;
        let slot = self.shared.slot(keys, &mut Cursor::new(Kind::EventName), name.as_bytes());
        row.key(slot, keys.len(), bucket, &mut self.shared.pending).tally.add(record.time);
    }

    /// Counts the series of a data point.
    #[inline]
    pub(super) fn series(&mut self, record: Record, hash: u64) {
        let (row, bucket) = self.book.windows.row_mut(record.place);
        let keys = &mut self.book.names.get_mut(row.name).keys;
        let slot = keys.series();
        let grown = row.key(slot, keys.len(), bucket, &mut self.shared.pending).add(record.stamp, record.time, hash);
        self.shared.pending.grow(grown);
    }

    /// What only this signal counts of the record's name.
    #[inline]
    pub(super) fn facts(&mut self, record: Record) -> &mut F {
        &mut self.book.windows.row_mut(record.place).0.facts
    }

    /// Counts what the records since the last group share.
    fn end_group(&mut self) {
        for touched in self.touched.drain(..) {
            let stamp = self.shared.next_stamp();
            let (row, bucket) = self.book.windows.row_mut(touched.place);
            row.tally.unite(touched.tally);
            row.latest = stamp;
            let keys = &mut self.book.names.get_mut(row.name).keys;
            for (kind, attributes) in [(Kind::Resource, &self.resource), (Kind::Scope, &self.scope)] {
                let mut cursor = Cursor::new(kind);
                for attribute in attributes {
                    let slot = self.shared.slot(keys, &mut cursor, attribute.key.as_bytes());
                    let key = row.key(slot, keys.len(), bucket, &mut self.shared.pending);
                    let grown = key.add_shared(stamp, touched.tally, attribute.hash);
                    self.shared.pending.grow(grown);
                }
            }
        }
        self.group = self.shared.next_stamp();
    }

    /// Ends the walk; gives how many records were counted, and how many of them not when they say.
    pub(super) fn finish(mut self) -> (u64, u64) {
        self.end_group();
        self.shared.pending.records += self.records;
        (self.records, self.clock.corrected)
    }
}

fn read_shared<'a>(into: &mut Vec<SharedAttribute<'a>>, attributes: Attributes<'a>) {
    into.clear();
    into.extend(attributes.iter().map(|pair| SharedAttribute { key: pair.key, hash: hash_value(pair.value) }));
}
