//! The services that are known.

use std::sync::Arc;

use hashbrown::HashTable;
use tallybook_core::{OVERFLOW, hash_bytes};

/// The `service.name` of a resource that has none, as OpenTelemetry says.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service";

/// A service by its place in [`Services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ServiceId(pub(super) u32);

impl ServiceId {
    /// [`OVERFLOW`].
    pub(super) const OVERFLOW: Self = Self(0);
}

#[derive(Debug)]
pub(super) struct Services {
    names: Vec<Arc<str>>,
    by_name: HashTable<ServiceId>,
}

impl Services {
    pub(super) fn new() -> Self {
        let mut services = Self { names: Vec::new(), by_name: HashTable::new() };
        services.add(OVERFLOW);
        services
    }

    /// How many there are, the overflow not counted.
    pub(super) fn len(&self) -> usize {
        self.names.len() - 1
    }

    pub(super) fn name(&self, id: ServiceId) -> &Arc<str> {
        &self.names[id.0 as usize]
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<ServiceId> {
        self.by_name.find(hash_bytes(name), |&id| self.name(id).as_bytes() == name).copied()
    }

    /// Adds a service that is not there yet.
    pub(super) fn add(&mut self, name: &str) -> ServiceId {
        let id = ServiceId(self.names.len() as u32);
        self.names.push(name.into());
        let names = &self.names;
        self.by_name.insert_unique(hash_bytes(name.as_bytes()), id, |id| hash_bytes(names[id.0 as usize].as_bytes()));
        id
    }
}
