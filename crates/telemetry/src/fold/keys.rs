//! The keys of one name. Records of one name carry their attributes in the same order, so each key remembers which one
//! came after it, and the next record finds its keys without a search.

use tallybook_core::Scope;

use super::texts::{TextId, Texts};

/// What a slot counts. In the order of the names of the scopes at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Attribute,
    Body,
    Event,
    Link,
    Resource,
    Scope,
    /// Not an attribute key but the name of an event.
    EventName,
    /// The one slot of a metric that counts its series.
    Series,
}

impl Kind {
    const COUNT: usize = 8;
    const ALL: [Self; Self::COUNT] = [
        Self::Attribute,
        Self::Body,
        Self::Event,
        Self::Link,
        Self::Resource,
        Self::Scope,
        Self::EventName,
        Self::Series,
    ];

    /// The scope of an attribute key.
    pub(super) fn scope(self) -> Option<Scope> {
        match self {
            Self::Attribute => Some(Scope::Attribute),
            Self::Body => Some(Scope::Body),
            Self::Event => Some(Scope::Event),
            Self::Link => Some(Scope::Link),
            Self::Resource => Some(Scope::Resource),
            Self::Scope => Some(Scope::Scope),
            Self::EventName | Self::Series => None,
        }
    }
}

impl From<Scope> for Kind {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Attribute => Self::Attribute,
            Scope::Body => Self::Body,
            Scope::Event => Self::Event,
            Scope::Link => Self::Link,
            Scope::Resource => Self::Resource,
            Scope::Scope => Self::Scope,
        }
    }
}

/// A kind and a text in 32 bits, so that a search through the keys of a name compares numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyId(u32);

/// Bits of a [`KeyId`] that hold the text; the rest hold the kind.
const TEXT_BITS: u32 = 29;

/// Texts that a [`KeyId`] can tell apart.
pub(super) const MAX_TEXTS: usize = 1 << TEXT_BITS;

impl KeyId {
    pub(super) fn new(kind: Kind, text: TextId) -> Self {
        Self((kind as u32) << TEXT_BITS | text.0)
    }

    pub(super) fn kind(self) -> Kind {
        Kind::ALL[(self.0 >> TEXT_BITS) as usize]
    }

    pub(super) fn text(self) -> TextId {
        TextId(self.0 & (MAX_TEXTS as u32 - 1))
    }
}

/// No slot.
const NONE: u16 = u16::MAX;

/// The keys of one name, by slot.
#[derive(Debug)]
pub(super) struct Keys {
    slots: Vec<Slot>,
    /// By kind: the slot that began the latest record.
    first: [u16; Kind::COUNT],
    /// By kind: slots, without that of the overflow.
    counts: [u16; Kind::COUNT],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: KeyId,
    /// The slot that came after this one in the latest record.
    next: u16,
}

/// A place among the keys of one kind in one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    kind: Kind,
    previous: u16,
}

impl Cursor {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, previous: NONE }
    }

    pub(super) fn kind(self) -> Kind {
        self.kind
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { slots: Vec::new(), first: [NONE; Kind::COUNT], counts: [0; Kind::COUNT] }
    }
}

impl Keys {
    /// The most slots that one kind may have, so that a slot is always 16 bits.
    pub(super) const MAX_PER_KIND: usize = 5_000;

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn get(&self, slot: u16) -> KeyId {
        self.slots[usize::from(slot)].key
    }

    /// The slot of `text` where the latest record had it, too.
    #[inline]
    pub(super) fn predicted(&self, texts: &Texts, cursor: &mut Cursor, text: &[u8]) -> Option<u16> {
        let slot = match self.slots.get(usize::from(cursor.previous)) {
            Some(previous) => previous.next,
            None => self.first[cursor.kind as usize],
        };
        let key = self.slots.get(usize::from(slot))?.key;
        let hit = key.kind() == cursor.kind && texts.get(key.text()).as_bytes() == text;
        hit.then(|| {
            cursor.previous = slot;
            slot
        })
    }

    /// The slot of `text`, wherever it is; remembered as the one after the previous.
    pub(super) fn find(&mut self, cursor: &mut Cursor, text: TextId) -> Option<u16> {
        let key = KeyId::new(cursor.kind, text);
        let slot = self.slots.iter().position(|slot| slot.key == key)? as u16;
        self.move_to(cursor, slot);
        Some(slot)
    }

    /// How many keys of this kind there are, the overflow not counted.
    pub(super) fn count(&self, kind: Kind) -> usize {
        usize::from(self.counts[kind as usize])
    }

    /// A slot for a key that has none yet.
    pub(super) fn add(&mut self, cursor: &mut Cursor, text: TextId) -> u16 {
        let slot = self.slots.len() as u16;
        self.slots.push(Slot { key: KeyId::new(cursor.kind, text), next: NONE });
        if text != TextId::OVERFLOW {
            self.counts[cursor.kind as usize] += 1;
        }
        self.move_to(cursor, slot);
        slot
    }

    /// The slot that counts the series of a metric.
    #[inline]
    pub(super) fn series(&mut self) -> u16 {
        match self.first[Kind::Series as usize] {
            NONE => self.add(&mut Cursor::new(Kind::Series), TextId::OVERFLOW),
            slot => slot,
        }
    }

    fn move_to(&mut self, cursor: &mut Cursor, slot: u16) {
        match self.slots.get_mut(usize::from(cursor.previous)) {
            Some(previous) => previous.next = slot,
            None => self.first[cursor.kind as usize] = slot,
        }
        cursor.previous = slot;
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slots of a record's keys, and how many of them had to be searched for.
    fn record(keys: &mut Keys, texts: &mut Texts, record: &[&str]) -> (Vec<u16>, usize) {
        let mut cursor = Cursor::new(Kind::Attribute);
        let mut searched = 0;
        let slots = record.iter().map(|key| {
            keys.predicted(texts, &mut cursor, key.as_bytes()).unwrap_or_else(|| {
                searched += 1;
                let text = texts.intern(key);
                keys.find(&mut cursor, text).unwrap_or_else(|| keys.add(&mut cursor, text))
            })
        });
        (slots.collect(), searched)
    }

    #[test]
    fn keys_in_their_usual_order_are_not_searched_for() {
        let (mut keys, mut texts) = (Keys::default(), Texts::new());
        assert_eq!(record(&mut keys, &mut texts, &["a", "b", "c"]), (vec![0, 1, 2], 3));
        assert_eq!(record(&mut keys, &mut texts, &["a", "b", "c"]), (vec![0, 1, 2], 0));
        assert_eq!(record(&mut keys, &mut texts, &["c", "a"]), (vec![2, 0], 2));
        assert_eq!(record(&mut keys, &mut texts, &["c", "a"]), (vec![2, 0], 0));
    }

    #[test]
    fn one_text_of_two_kinds_has_two_slots() {
        let (mut keys, mut texts) = (Keys::default(), Texts::new());
        let text = texts.intern("host.name");
        let slots: Vec<u16> = [Kind::Attribute, Kind::Resource, Kind::Series]
            .into_iter()
            .map(|kind| keys.add(&mut Cursor::new(kind), text))
            .collect();
        assert_eq!(slots, [0, 1, 2]);
        assert_eq!(keys.get(1), KeyId::new(Kind::Resource, text));
        assert_eq!((keys.get(1).kind(), keys.get(1).text()), (Kind::Resource, text));
        assert!(keys.predicted(&texts, &mut Cursor::new(Kind::Body), b"host.name").is_none());
    }
}
