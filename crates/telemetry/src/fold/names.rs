//! The names of one signal that are known: metrics, spans, or log severities, each of one service.

use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashTable;
use tallybook_core::OVERFLOW;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::keys::Keys;
use super::services::ServiceId;
use super::window::Place;

/// A name of a service by its place in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

/// What is known of a name of a service. `A` is what only this signal's names have.
#[derive(Debug)]
pub(super) struct Name<A> {
    pub(super) service: ServiceId,
    pub(super) text: Arc<str>,
    pub(super) keys: Keys,
    /// Where its records were counted last; it may be another name's place by now.
    pub(super) place: Place,
    pub(super) about: A,
}

#[derive(Debug)]
pub(super) struct Names<A> {
    list: Vec<Name<A>>,
    by_name: HashTable<NameId>,
    /// How many names each service has, without the overflow.
    by_service: HashMap<ServiceId, usize>,
    overflows: usize,
    text_bytes: usize,
}

impl<A> Names<A> {
    pub(super) fn new() -> Self {
        Self { list: Vec::new(), by_name: HashTable::new(), by_service: HashMap::new(), overflows: 0, text_bytes: 0 }
    }

    /// How many there are, overflows not counted.
    pub(super) fn len(&self) -> usize {
        self.list.len() - self.overflows
    }

    /// How many of them are of this service.
    pub(super) fn len_of(&self, service: ServiceId) -> usize {
        self.by_service.get(&service).copied().unwrap_or_default()
    }

    pub(super) fn get(&self, id: NameId) -> &Name<A> {
        &self.list[id.0 as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: NameId) -> &mut Name<A> {
        &mut self.list[id.0 as usize]
    }

    #[inline]
    pub(super) fn find(&self, service: ServiceId, name: &[u8]) -> Option<NameId> {
        let same = |id: &NameId| {
            let known = self.get(*id);
            known.service == service && known.text.as_bytes() == name
        };
        self.by_name.find(hash(service, name), same).copied()
    }

    /// Adds a name that is not there yet.
    pub(super) fn add(&mut self, service: ServiceId, text: Arc<str>, about: A) -> NameId {
        let id = NameId(self.list.len() as u32);
        let name_hash = hash(service, text.as_bytes());
        self.text_bytes += text.len();
        if text.as_ref() == OVERFLOW {
            self.overflows += 1;
        } else {
            *self.by_service.entry(service).or_default() += 1;
        }
        self.list.push(Name { service, text, keys: Keys::default(), place: Place::default(), about });
        let list = &self.list;
        self.by_name.insert_unique(name_hash, id, |id| {
            let known = &list[id.0 as usize];
            hash(known.service, known.text.as_bytes())
        });
        id
    }

    /// Bytes held without the keys, about.
    pub(super) fn memory_bytes(&self) -> usize {
        // An allocation has a header of its own, and an `Arc` two counters.
        self.text_bytes + self.list.len() * (size_of::<Name<A>>() + 32) + self.by_name.allocation_size()
    }
}

#[inline]
fn hash(service: ServiceId, name: &[u8]) -> u64 {
    xxh3_64_with_seed(name, u64::from(service.0))
}
