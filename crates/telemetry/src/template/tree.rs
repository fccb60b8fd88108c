//! The tree above the templates, flattened: a leaf is found by one hash of the shape and one constant word.
//!
//! Where a template hangs depends on its text alone, and so does everything else that routing looks at. A miner that
//! learns the texts of another one therefore continues where that one stopped, whatever the order.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::miner::TemplateId;
use super::words::Words;

/// The leaves in which a line looks for its template. Drain descends by token count and first tokens; the shape implies
/// the count, and leading masks (time stamps) tell nothing, so constant words serve as the first tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Of the first anchor: where a template with these words hangs.
    pub(super) own: u64,
    /// Of the second anchor: where it would hang if the first became variable.
    pub(super) next: u64,
    /// Of no anchor: where it would hang if all became variable.
    pub(super) bare: u64,
}

impl Place {
    pub(super) fn of(words: &Words) -> Self {
        let bare = mix(words.shape, u64::MAX);
        let mut anchors = words.anchors();
        let mut leaf = || anchors.next().map_or(bare, |at| leaf_of(words, at));
        Self { own: leaf(), next: leaf(), bare }
    }

    /// All leaves at which a template that covers these words can hang, those of the first anchors first.
    pub(super) fn leaves(self, words: &Words) -> impl Iterator<Item = u64> {
        words.anchors().map(|at| leaf_of(words, at)).chain([self.bare])
    }
}

fn leaf_of(words: &Words, anchor: usize) -> u64 {
    mix(words.shape ^ anchor as u64, words.hashes[anchor])
}

/// A folded multiplication: every bit of either number reaches the result.
fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left ^ 0x9e37_79b9_7f4a_7c15) * u128::from(right ^ 0xd6e8_feb8_6659_fd93);
    product as u64 ^ (product >> 64) as u64
}

/// The templates that hang at one place, and how many hang at the places that it is the `next` or `bare` one of.
#[derive(Debug)]
struct Leaf {
    key: u64,
    templates: Vec<TemplateId>,
    siblings: usize,
    same_shape: usize,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    leaves: HashTable<Leaf>,
}

impl Tree {
    /// The templates at the leaf `key`.
    pub(super) fn templates(&self, key: u64) -> &[TemplateId] {
        self.find(key).map_or(&[], |leaf| &leaf.templates)
    }

    /// How many templates would hang where one at `place` would, if the first anchor were variable.
    pub(super) fn siblings(&self, place: Place) -> usize {
        self.find(place.next).map_or(0, |leaf| leaf.siblings)
    }

    /// How many templates have the shape of `place`.
    pub(super) fn same_shape(&self, place: Place) -> usize {
        self.find(place.bare).map_or(0, |leaf| leaf.same_shape)
    }

    pub(super) fn hang(&mut self, place: Place, id: TemplateId) {
        self.change(place.own, |leaf| leaf.templates.push(id));
        self.change(place.next, |leaf| leaf.siblings += 1);
        self.change(place.bare, |leaf| leaf.same_shape += 1);
    }

    pub(super) fn take(&mut self, place: Place, id: TemplateId) {
        self.change(place.own, |leaf| leaf.templates.retain(|&other| other != id));
        self.change(place.next, |leaf| leaf.siblings -= 1);
        self.change(place.bare, |leaf| leaf.same_shape -= 1);
    }

    /// Bytes on the heap, for `templates` templates.
    pub(super) fn memory_bytes(&self, templates: usize) -> usize {
        self.leaves.allocation_size() + (templates + self.leaves.len()) * 2 * size_of::<TemplateId>()
    }

    fn find(&self, key: u64) -> Option<&Leaf> {
        self.leaves.find(key, |leaf| leaf.key == key)
    }

    fn change(&mut self, key: u64, change: impl FnOnce(&mut Leaf)) {
        let entry = self.leaves.entry(key, |leaf| leaf.key == key, |leaf| leaf.key);
        let new = || Leaf { key, templates: Vec::new(), siblings: 0, same_shape: 0 };
        let mut leaf = match entry {
            Entry::Occupied(found) => found,
            Entry::Vacant(free) => free.insert(new()),
        };
        change(leaf.get_mut());
        let Leaf { key: _, templates, siblings, same_shape } = leaf.get();
        if templates.is_empty() && *siblings == 0 && *same_shape == 0 {
            leaf.remove();
        }
    }
}
