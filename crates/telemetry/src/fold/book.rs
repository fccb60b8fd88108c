//! What one signal has: the names that are known, and what was counted since the last drain.

use std::sync::Arc;

use tallybook_core::OVERFLOW;

use super::clean::clean_name;
use super::keys::Keys;
use super::names::{NameId, Names};
use super::services::ServiceId;
use super::shared::Shared;
use super::window::Windows;

/// `A` is what is known of each name, `F` what is counted of it.
#[derive(Debug)]
pub(super) struct Book<A, F> {
    pub(super) names: Names<A>,
    pub(super) windows: Windows<F>,
}

impl<A, F: Default> Book<A, F> {
    pub(super) fn new() -> Self {
        Self { names: Names::new(), windows: Windows::new() }
    }

    /// The id of a name, or of the overflow; `about` says what is known of a new name.
    #[inline]
    pub(super) fn name(
        &mut self,
        shared: &mut Shared,
        service: ServiceId,
        name: &[u8],
        limits: NameLimits,
        about: impl FnOnce(&Arc<str>) -> A,
    ) -> NameId {
        match self.names.find(service, name) {
            Some(known) => known,
            None => self.add_name(shared, service, name, limits, about),
        }
    }

    /// The keys of a name that is known.
    pub(super) fn keys(&mut self, service: ServiceId, name: &str) -> Option<&mut Keys> {
        let known = self.names.find(service, name.as_bytes())?;
        Some(&mut self.names.get_mut(known).keys)
    }

    fn add_name(
        &mut self,
        shared: &mut Shared,
        service: ServiceId,
        name: &[u8],
        limits: NameLimits,
        about: impl FnOnce(&Arc<str>) -> A,
    ) -> NameId {
        let name = clean_name(name);
        if let Some(known) = self.names.find(service, name.as_bytes()) {
            return known;
        }
        let full = self.names.len_of(service) >= limits.per_service || self.names.len() >= limits.total;
        if !full {
            let name = Arc::from(name.as_ref());
            let about = about(&name);
            return self.names.add(service, name, about);
        }
        shared.overflowed.names += 1;
        if let Some(overflow) = self.names.find(service, OVERFLOW.as_bytes()) {
            return overflow;
        }
        let name = Arc::from(OVERFLOW);
        let about = about(&name);
        self.names.add(service, name, about)
    }
}

/// How many names there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameLimits {
    pub(super) per_service: usize,
    pub(super) total: usize,
}
