//! Which backups stay, and how much of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tallybook_core::Timestamp;

use crate::Result;
use crate::manifest::Manifest;
use crate::source::database_name;
use crate::target::Target;

/// Which backups stay. The one that was just taken always does, whole.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Of everything that has no rule of its own.
    pub all: Rule,
    /// Of databases of others, by name.
    pub databases: BTreeMap<String, Rule>,
}

/// How long something stays in backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// In this many, the newest ones; in all, where it is not said.
    pub count: Option<usize>,
    /// In those that are not older.
    pub age: Option<Duration>,
}

impl Keep {
    /// What stays of the backup at that place, the newest one being at 0.
    pub(crate) fn what_stays(&self, place: usize, manifest: &Manifest, now: Timestamp) -> Manifest {
        let mut stays = manifest.clone();
        if place > 0 {
            stays.files.retain(|entry| {
                let own = database_name(&entry.path).and_then(|name| self.databases.get(name));
                !own.unwrap_or(&self.all).lets_go(place, manifest, now)
            });
            stays.let_go += manifest.files.len() - stays.files.len();
        }
        stays
    }
}

impl Rule {
    fn lets_go(self, place: usize, manifest: &Manifest, now: Timestamp) -> bool {
        let too_many = self.count.is_some_and(|count| place >= count);
        let age = self.age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let too_old = age.is_some_and(|age| manifest.taken_at().is_ok_and(|taken_at| taken_at < now.earlier(age)));
        too_many || too_old
    }
}

/// Removes what need not stay.
pub(crate) fn prune(target: &Target, keep: &Keep, now: Timestamp) -> Result<()> {
    for (place, found) in target.list()?.iter().enumerate() {
        // One that cannot be read says nothing of its age, and is not counted on.
        let Ok(manifest) = &found.manifest else { continue };
        let stays = keep.what_stays(place, manifest, now);
        if stays.files.is_empty() {
            target.remove(found)?;
        } else if stays.let_go > 0 {
            found.thin(&stays)?;
        }
    }
    Ok(())
}
