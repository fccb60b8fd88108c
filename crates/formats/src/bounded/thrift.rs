//! Whether the metadata of a Parquet file is what the format says, before `parquet` makes room for what it claims: no list
//! has more elements than there are bytes, no value is of another type than its place has, and the schema is no deep tree.

use parquet::errors::{ParquetError, Result};

/// What stands in a place (Thrift's compact protocol).
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Byte,
    Int,
    Double,
    Bytes,
    Struct(Fields),
    List(&'static Self),
    /// The list of the elements of the schema.
    Schema,
}

use Kind::{Bool, Byte, Bytes, Double, Int, List, Schema, Struct};

pub(super) type Fields = &'static [(i64, Kind)];

// Those that `parquet` reads; it passes over others as they are.
pub(super) const FOOTER: Fields = &[
    (1, Int),
    (2, Schema),
    (3, Int),
    (4, List(&Struct(ROW_GROUP))),
    (5, PAIRS),
    (6, Bytes),
    (7, List(&Struct(UNION))),
];
pub(super) const OFFSET_INDEX: Fields = &[(1, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))), (2, INTS)];
pub(super) const COLUMN_INDEX: Fields =
    &[(1, List(&Bool)), (2, List(&Bytes)), (3, List(&Bytes)), (4, Int), (5, INTS), (6, INTS), (7, INTS)];

const INTS: Kind = List(&Int);
const PAIRS: Kind = List(&Struct(&[(1, Bytes), (2, Bytes)]));
/// One of several structs, which have few fields.
const UNION: Fields = &[(1, LEAF), (2, LEAF), (3, LEAF), (4, LEAF)];
const LEAF: Kind = Struct(&[]);
// The elements of the schema: numbers, but for these.
const SCHEMA_NAME: i64 = 4;
const SCHEMA_CHILDREN: i64 = 5;
const SCHEMA_LOGICAL_TYPE: i64 = 10;
const TIME: Kind = Struct(&[(1, Bool), (2, Struct(UNION))]);
const LOGICAL_TYPE: Fields = &[
    (1, LEAF),
    (2, LEAF),
    (3, LEAF),
    (4, LEAF),
    (5, Struct(&[(1, Int), (2, Int)])),
    (6, LEAF),
    (7, TIME),
    (8, TIME),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, LEAF),
    (12, LEAF),
    (13, LEAF),
    (14, LEAF),
    (15, LEAF),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Bytes)])),
    (18, Struct(&[(1, Bytes), (2, Int)])),
];
const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN))),
    (2, Int),
    (3, Int),
    (4, List(&Struct(&[(1, Int), (2, Bool), (3, Bool)]))),
    (5, Int),
    (6, Int),
    (7, Int),
];
const COLUMN: Fields = &[(1, Bytes), (2, Int), (3, Struct(COLUMN_METADATA)), (4, Int), (5, Int), (6, Int), (7, Int)];
const COLUMN_METADATA: Fields = &[
    (1, Int),
    (2, INTS),
    (3, List(&Bytes)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, PAIRS),
    (9, Int),
    (10, Int),
    (11, Int),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (14, Int),
    (15, Int),
    (16, Struct(&[(1, Int), (2, INTS), (3, INTS)])),
    (17, Struct(&[(1, Struct(BOX)), (2, INTS)])),
];
const STATISTICS: Fields = &[(1, Bytes), (2, Bytes), (3, Int), (4, Int), (5, Bytes), (6, Bytes), (7, Bool), (8, Bool)];
const BOX: Fields =
    &[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)];

/// Structs and lists within each other, and groups of columns likewise.
const MAX_DEPTH: usize = 16;
/// Columns and groups of columns.
const MAX_SCHEMA_ELEMENTS: usize = 4_096;
const MAX_NAME_BYTES: u64 = 1_024;

/// Refuses bytes that are no struct with these fields.
pub(super) fn check(bytes: &[u8], fields: Fields) -> Result<()> {
    Walk { bytes }.structure(fields, MAX_DEPTH).ok_or_else(|| {
        ParquetError::General("its metadata is damaged, or larger than that of any file of records".to_owned())
    })
}

/// Types as they are on the wire.
mod wire {
    pub(super) const STOP: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BYTES: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const STRUCT: u8 = 12;
}

impl Kind {
    fn fits(self, wire: u8) -> bool {
        match self {
            Bool => matches!(wire, wire::TRUE | wire::FALSE),
            Byte => wire == wire::BYTE,
            Int => (wire::I16..=wire::I64).contains(&wire),
            Double => wire == wire::DOUBLE,
            Bytes => wire == wire::BYTES,
            Struct(_) => wire == wire::STRUCT,
            List(_) | Schema => wire == wire::LIST,
        }
    }
}

/// What is left of the bytes. Its methods pass over a value; `None` where it is not what it should be.
struct Walk<'b> {
    bytes: &'b [u8],
}

impl Walk<'_> {
    fn structure(&mut self, fields: Fields, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let mut id = 0;
        while let wire @ wire::TRUE.. = self.field(&mut id)? {
            let kind = fields.iter().find(|(known, _)| *known == id).map(|(_, kind)| *kind);
            // The value of a bool is its type.
            if !matches!(wire, wire::TRUE | wire::FALSE) {
                self.value(kind, wire, depth)?;
            } else if kind.is_some_and(|kind| !kind.fits(wire)) {
                return None;
            }
        }
        Some(())
    }

    /// The type of the next field, whose number becomes `id`; [`wire::STOP`] at the end of the struct.
    fn field(&mut self, id: &mut i64) -> Option<u8> {
        let head = self.byte()?;
        let (step, wire) = (head >> 4, head & 0xf);
        if wire != wire::STOP {
            *id = if step == 0 { self.int()? } else { *id + i64::from(step) };
            i16::try_from(*id).ok()?;
        }
        Some(wire)
    }

    /// A value of type `wire`, of which is known that it should be a `kind`.
    fn value(&mut self, kind: Option<Kind>, wire: u8, depth: usize) -> Option<()> {
        if kind.is_some_and(|kind| !kind.fits(wire)) {
            return None;
        }
        match (wire, kind) {
            (wire::TRUE | wire::FALSE | wire::BYTE, _) => self.byte().map(drop),
            (wire::I16..=wire::I64, _) => self.int().map(drop),
            (wire::DOUBLE, _) => self.pass(8),
            (wire::BYTES, _) => self.text(u64::MAX),
            (wire::LIST, Some(Schema)) => self.schema(depth),
            (wire::LIST, Some(List(kind))) => self.list(Some(*kind), depth),
            (wire::LIST, _) => self.list(None, depth),
            (wire::STRUCT, Some(Struct(fields))) => self.structure(fields, depth),
            (wire::STRUCT, _) => self.structure(&[], depth),
            _ => None,
        }
    }

    fn list(&mut self, kind: Option<Kind>, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let (wire, count) = self.list_head()?;
        (0..count).try_for_each(|_| self.value(kind, wire, depth))
    }

    /// The type of a list's elements, and how many there are.
    fn list_head(&mut self) -> Option<(u8, usize)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        let count = usize::try_from(count).ok().filter(|count| *count <= self.bytes.len())?;
        Some((head & 0xf, count))
    }

    /// The elements of a tree, each before those below it.
    fn schema(&mut self, depth: usize) -> Option<()> {
        let (wire, count) = self.list_head()?;
        if count > MAX_SCHEMA_ELEMENTS || (count > 0 && wire != wire::STRUCT) {
            return None;
        }
        // Of the groups that an element is in, how many are still to come.
        let mut awaited: Vec<usize> = Vec::new();
        for _ in 0..count {
            let children = self.schema_element(depth)?;
            if let Some(awaited) = awaited.last_mut() {
                *awaited -= 1;
            }
            awaited.push(children);
            while awaited.last() == Some(&0) {
                awaited.pop();
            }
            if awaited.len() > MAX_DEPTH || awaited.iter().sum::<usize>() > count {
                return None;
            }
        }
        Some(())
    }

    /// How many elements are below this one.
    fn schema_element(&mut self, depth: usize) -> Option<usize> {
        let (mut id, mut children) = (0, 0);
        while let wire @ wire::TRUE.. = self.field(&mut id)? {
            match (id, wire) {
                (SCHEMA_NAME, wire::BYTES) => self.text(MAX_NAME_BYTES)?,
                (SCHEMA_CHILDREN, wire::I16..=wire::I64) => children = usize::try_from(self.int()?).ok()?,
                (SCHEMA_LOGICAL_TYPE, wire::STRUCT) => self.structure(LOGICAL_TYPE, depth)?,
                (1..=9, wire::I16..=wire::I64) => drop(self.int()?),
                (1..=SCHEMA_LOGICAL_TYPE, _) => return None,
                (_, wire::TRUE | wire::FALSE) => {}
                _ => self.value(None, wire, depth)?,
            }
        }
        Some(children)
    }

    fn text(&mut self, longest: u64) -> Option<()> {
        let length = self.varint().filter(|length| *length <= longest)?;
        self.pass(usize::try_from(length).ok()?)
    }

    fn int(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn pass(&mut self, length: usize) -> Option<()> {
        self.bytes = self.bytes.get(length..)?;
        Some(())
    }
}
