//! Small Parquet files that lie about their size: each is refused, and costs little memory. They are made by hand, since no
//! writer would.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Write as _;

use bytes::Bytes;
use tallybook_core::{Ping, Timestamp};
use tallybook_formats::{Format, ParquetReader, Readable};

/// What a bomb unfolds to, unless it is stopped.
const UNFOLDED_MIB: usize = 1_024;
/// What all tests of this file together may take: what is unfolded for a page of rows, and what they hold beside.
const MEMORY_MIB: u64 = 512;

const LIST: u8 = 9;
const STRUCT: u8 = 12;
const PLAIN: i64 = 0;
const DICTIONARY: i64 = 8;
const DELTA_BYTE_ARRAY: i64 = 7;
const UNCOMPRESSED: i64 = 0;
const ZSTD: i64 = 6;
const MANY: i64 = i32::MAX as i64;

#[test]
fn files_made_by_hand_are_files() {
    let read = |file: &[u8]| Ping::read(Format::Parquet, file, Timestamp(0)).unwrap().records;
    let plain = file(&data_page(1, PLAIN, 6, &text("a")), UNCOMPRESSED);
    assert_eq!(read(&plain)[0].target.as_ref(), "a");
    let packed = zstd::encode_all(text("b").as_slice(), 1).unwrap();
    assert_eq!(read(&file(&data_page(1, PLAIN, 5, &packed), ZSTD))[0].target.as_ref(), "b");
    let bits = [1, 2, 0];
    let with_dictionary = [dictionary_page(1, &text("c")), data_page(1, DICTIONARY, 3, &bits)].concat();
    assert_eq!(read(&file(&with_dictionary, UNCOMPRESSED))[0].target.as_ref(), "c");
}

#[test]
fn a_page_that_unfolds_to_a_gigabyte_is_refused() {
    for says_so in [true, false] {
        let mut zeros = zstd::Encoder::new(Vec::new(), 1).unwrap();
        let (bytes, megabyte) = (UNFOLDED_MIB << 20, vec![0; 1 << 20]);
        zeros.set_pledged_src_size(says_so.then_some(bytes as u64)).unwrap();
        for _ in 0..UNFOLDED_MIB {
            zeros.write_all(&megabyte).unwrap();
        }
        let bomb = file(&data_page(1, PLAIN, bytes as i64, &zeros.finish().unwrap()), ZSTD);
        assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
        refused(&bomb, "too large when they are decompressed");
    }
}

#[test]
fn a_page_that_says_it_is_larger_than_it_is_is_refused() {
    refused(&file(&data_page(1, PLAIN, MANY, b"no zstd"), ZSTD), "damaged");
    refused(&file(&data_page(1, PLAIN, 5, b""), UNCOMPRESSED), "damaged");
}

#[test]
fn a_dictionary_that_says_it_has_more_values_than_bytes_is_refused() {
    let pages = [dictionary_page(MANY, &text("a")), data_page(1, DICTIONARY, 3, &[1, 2, 0])].concat();
    refused(&file(&pages, UNCOMPRESSED), "damaged");
}

#[test]
fn texts_that_are_told_by_others_are_refused() {
    refused(&file(&data_page(1, DELTA_BYTE_ARRAY, 4, &[0; 4]), UNCOMPRESSED), "DELTA_BYTE_ARRAY");
}

#[test]
fn metadata_that_claims_more_than_there_is_is_refused() {
    let (no_groups, root) = (list(STRUCT, &[]), element("schema", None, Some(1)));
    let schema = |elements: &[Vec<u8>]| list(STRUCT, elements);
    let leaf = element("target", Some(6), None);
    let claims = list_claiming(STRUCT, MANY as u64, &[]);
    let footers = [
        footer(&claims, &no_groups),
        footer(&schema(&[root.clone(), leaf.clone()]), &claims),
        // A group with very many columns, groups in groups, and a list where a number should be.
        footer(&schema(&[element("schema", None, Some(MANY)), leaf.clone()]), &no_groups),
        footer(&schema(&[vec![root; 4_000], vec![leaf]].concat()), &no_groups),
        fields(&[(1, LIST, claims)]),
    ];
    for footer in footers {
        refused(&ended(b"PAR1".to_vec(), &footer), "its metadata is damaged");
    }
    let mut long = b"PAR1".to_vec();
    long.resize(9 << 20, 0);
    let length = long.len() as u32 - 4;
    long.extend(length.to_le_bytes());
    refused(&[&long, &b"PAR1"[..]].concat(), "larger than 8 MiB");
}

fn refused(file: &[u8], why: &str) {
    let error = Ping::read(Format::Parquet, file, Timestamp(0)).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
    let reader = ParquetReader::<Ping>::new(Bytes::copy_from_slice(file), Timestamp(0));
    assert!(reader.and_then(|mut reader| reader.next_page()).is_err(), "an import reads what a request may not bring");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib / 1_024 < MEMORY_MIB, "{} MiB", kib / 1_024);
}

/// A file with one ping, whose `target` is in these pages.
fn file(pages: &[u8], codec: i64) -> Vec<u8> {
    let time = data_page(1, PLAIN, 8, &1_700_000_000_000_000_000_i64.to_le_bytes());
    let schema = list(
        STRUCT,
        &[element("schema", None, Some(2)), element("target", Some(6), None), element("timestamp", Some(2), None)],
    );
    let columns = list(
        STRUCT,
        &[
            column("target", 6, codec, 4, pages.len()),
            column("timestamp", 2, UNCOMPRESSED, 4 + pages.len(), time.len()),
        ],
    );
    let group = fields(&[(1, LIST, columns), (2, INT, int(100)), (3, INT, int(1))]);
    ended([b"PAR1", pages, &time].concat(), &footer(&schema, &list(STRUCT, &[group])))
}

fn ended(mut file: Vec<u8>, footer: &[u8]) -> Vec<u8> {
    file.extend(footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(b"PAR1");
    file
}

fn footer(schema: &[u8], groups: &[u8]) -> Vec<u8> {
    fields(&[(1, INT, int(1)), (2, LIST, schema.to_vec()), (3, INT, int(1)), (4, LIST, groups.to_vec())])
}

fn element(name: &str, kind: Option<i64>, children: Option<i64>) -> Vec<u8> {
    let kind = kind.map(|kind| (1, INT, int(kind)));
    let repetition = (3, INT, int(0));
    let children = children.map(|children| (5, INT, int(children)));
    let all = kind.into_iter().chain([repetition, (4, BYTES, bytes(name.as_bytes()))]).chain(children);
    fields(&all.collect::<Vec<_>>())
}

fn column(name: &str, kind: i64, codec: i64, place: usize, length: usize) -> Vec<u8> {
    let metadata = fields(&[
        (1, INT, int(kind)),
        (2, LIST, list(INT, &[int(PLAIN)])),
        (3, LIST, list(BYTES, &[bytes(name.as_bytes())])),
        (4, INT, int(codec)),
        (5, INT, int(1)),
        (6, INT, int(100)),
        (7, INT, int(length as i64)),
        (9, INT, int(place as i64)),
    ]);
    fields(&[(2, INT, int(place as i64)), (3, STRUCT, metadata)])
}

fn data_page(values: i64, encoding: i64, unfolded: i64, data: &[u8]) -> Vec<u8> {
    let header = fields(&[(1, INT, int(values)), (2, INT, int(encoding)), (3, INT, int(3)), (4, INT, int(3))]);
    page(0, unfolded, (5, header), data)
}

fn dictionary_page(values: i64, data: &[u8]) -> Vec<u8> {
    page(2, data.len() as i64, (7, fields(&[(1, INT, int(values)), (2, INT, int(PLAIN))])), data)
}

fn page(kind: i64, unfolded: i64, (place, header): (u8, Vec<u8>), data: &[u8]) -> Vec<u8> {
    let sizes = [(1, INT, int(kind)), (2, INT, int(unfolded)), (3, INT, int(data.len() as i64))];
    let header = fields(&[&sizes[..], &[(place, STRUCT, header)]].concat());
    [&header, data].concat()
}

/// As a plain page has it.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

// Thrift's compact protocol. Fields go by rising numbers.

const INT: u8 = 5;
const BYTES: u8 = 8;

fn fields(fields: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = 0;
    for (id, kind, value) in fields {
        out.push((id - last) << 4 | kind);
        out.extend(value);
        last = *id;
    }
    out.push(0);
    out
}

fn list(kind: u8, elements: &[Vec<u8>]) -> Vec<u8> {
    list_claiming(kind, elements.len() as u64, elements)
}

fn list_claiming(kind: u8, count: u64, elements: &[Vec<u8>]) -> Vec<u8> {
    [&[0xf0 | kind][..], &varint(count), &elements.concat()].concat()
}

fn bytes(text: &[u8]) -> Vec<u8> {
    [&varint(text.len() as u64), text].concat()
}

fn int(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
