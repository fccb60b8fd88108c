//! What all signals share: keys, services, budgets and what is pending.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::FoldOptions;
use tallybook_core::OVERFLOW;

use super::clean::{clean, clean_name};
use super::keys::{Cursor, Keys, Kind};
use super::names::NameId;
use super::services::{ServiceId, Services, UNKNOWN_SERVICE};
use super::stats::Overflowed;
use super::texts::{TextId, Texts};
use crate::otlp::Text;
use crate::template::Scratch;

/// What waits for the next drain, estimated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    pub(super) records: u64,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Pending {
    #[inline]
    pub(super) fn grow(&mut self, bytes: isize) {
        self.bytes = self.bytes.saturating_add_signed(bytes);
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: FoldOptions,
    pub(super) texts: Texts,
    pub(super) services: Services,
    pub(super) pending: Pending,
    /// The severities with templates to be moved.
    pub(super) moved: BTreeSet<NameId>,
    pub(super) overflowed: Overflowed,
    /// Keys and event names, the overflow not counted.
    pub(super) keys: usize,
    pub(super) key_bytes: usize,
    pub(super) templates: usize,
    pub(super) template_bytes: usize,
    pub(super) scratch: Scratch,
    stamp: u64,
}

impl Shared {
    pub(super) fn new(options: FoldOptions) -> Self {
        Self {
            options,
            texts: Texts::new(),
            services: Services::new(),
            pending: Pending::default(),
            moved: BTreeSet::new(),
            overflowed: Overflowed::default(),
            keys: 0,
            key_bytes: 0,
            templates: 0,
            template_bytes: 0,
            scratch: Scratch::default(),
            stamp: 0,
        }
    }

    /// A number that no record and no group of records has had.
    #[inline]
    pub(super) fn next_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    /// The service of that name, or the overflow.
    pub(super) fn service(&mut self, name: &[u8]) -> ServiceId {
        if let Some(known) = self.services.find(name) {
            return known;
        }
        let name = if name.is_empty() { UNKNOWN_SERVICE.into() } else { clean(name) };
        if let Some(known) = self.services.find(name.as_bytes()) {
            return known;
        }
        if self.services.len() >= self.options.max_services {
            self.overflowed.services += 1;
            return ServiceId::OVERFLOW;
        }
        self.services.add(&name)
    }

    /// The slot of a key (or of an event's name) among the keys of a name, or that of the overflow.
    #[inline]
    pub(super) fn slot(&mut self, keys: &mut Keys, cursor: &mut Cursor, text: &[u8]) -> u16 {
        match keys.predicted(&self.texts, cursor, text) {
            Some(slot) => slot,
            None => self.search_slot(keys, cursor, text),
        }
    }

    fn search_slot(&mut self, keys: &mut Keys, cursor: &mut Cursor, text: &[u8]) -> u16 {
        let known = self.texts.find(text);
        if let Some(slot) = known.and_then(|known| keys.find(cursor, known)) {
            return slot;
        }
        let text = clean_name(text);
        let known = self.texts.find(text.as_bytes());
        if let Some(slot) = known.and_then(|known| keys.find(cursor, known)) {
            return slot;
        }
        self.add_slot(keys, cursor, &text)
    }

    fn add_slot(&mut self, keys: &mut Keys, cursor: &mut Cursor, text: &str) -> u16 {
        let limit = match cursor.kind() {
            Kind::EventName => self.options.max_events_per_name,
            _ => self.options.max_keys_per_name,
        };
        let held = keys.heap_bytes();
        let has_room = keys.count(cursor.kind()) < limit && self.keys < self.options.max_keys_total;
        let slot = if has_room && text != OVERFLOW {
            self.keys += 1;
            let text = self.texts.intern(text);
            keys.add(cursor, text)
        } else {
            match cursor.kind() {
                Kind::EventName => self.overflowed.events += 1,
                _ => self.overflowed.keys += 1,
            }
            keys.find(cursor, TextId::OVERFLOW).unwrap_or_else(|| keys.add(cursor, TextId::OVERFLOW))
        };
        self.key_bytes += keys.heap_bytes() - held;
        slot
    }

    /// Takes in a key that the store knows.
    pub(super) fn restore_slot(&mut self, keys: &mut Keys, kind: Kind, text: &str) {
        let mut cursor = Cursor::new(kind);
        let known = self.texts.find(text.as_bytes()).and_then(|known| keys.find(&mut cursor, known));
        if known.is_none() {
            self.add_slot(keys, &mut cursor, text);
        }
    }
}

/// A text that is repeated from record to record, held once.
#[derive(Debug, Default)]
pub(super) struct Repeated<'a> {
    sent: Text<'a>,
    held: Option<Arc<str>>,
}

impl<'a> Repeated<'a> {
    pub(super) fn new(sent: Text<'a>) -> Self {
        Self { sent, held: None }
    }

    /// Makes `known` this text, unless it is already, or this one is empty: what is not said changes nothing.
    pub(super) fn replace(&mut self, known: &mut Option<Arc<str>>) {
        let differs = known.as_ref().is_none_or(|known| known.as_bytes() != self.sent.as_bytes());
        if self.sent.is_empty() || !differs {
            return;
        }
        let held = self.held.get_or_insert_with(|| clean(self.sent.as_bytes()).as_ref().into());
        if known.as_ref() != Some(held) {
            *known = Some(held.clone());
        }
    }
}
