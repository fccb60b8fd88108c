//! Reading what others write, right and wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write as _;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tallybook_core::{Ping, Tick, TickFlags, Timestamp};
use tallybook_formats::{BadRecord, Format, FormatError, ParquetReader, Read, Readable, Reader};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn ticks(format: Format, text: &str) -> Read<Tick> {
    Tick::read(format, text.as_bytes(), NOW).unwrap()
}

/// What is wrong with a single JSON record.
fn defect<R: Readable>(text: &str) -> String {
    let read = R::read(Format::Ndjson, text.as_bytes(), NOW).unwrap();
    assert_eq!((read.records.len(), read.bad.len()), (0, 1), "{text}");
    read.bad[0].error.clone()
}

#[test]
fn prices_keep_their_zeros_as_strings_and_as_numbers() {
    let read = ticks(
        Format::Json,
        r#"[{"symbol":"EURUSD","timestamp":1700000000123,"bid":1.08500,"ask":"1.08510","volume":1e2,"lp":"x","seq":7},
            {"broker_id":3,"spread":0.1,"symbol":"EUR\u0055SD","time":"2023-11-14T22:13:20.5Z","bid":null,"ask":1}]"#,
    );
    assert_eq!(read.bad, []);
    let [first, second] = read.records.as_slice() else { panic!("two ticks: {read:?}") };
    assert_eq!(first.bid.unwrap().to_string(), "1.08500");
    assert_eq!(first.ask.unwrap().to_string(), "1.08510");
    assert_eq!(first.volume.unwrap().to_string(), "100");
    assert_eq!((first.time.0, first.seq), (1_700_000_000_123_000_000, 7));
    assert_eq!((first.flags, first.received), (TickFlags::default(), NOW));
    assert_eq!((second.symbol.as_ref(), second.bid), ("EURUSD", None));
    assert_eq!(second.flags, TickFlags::ONE_SIDED.with(TickFlags::SEQ_ASSIGNED));
}

#[test]
fn what_is_wrong_with_a_tick_is_said_in_one_sentence() {
    for (text, error) in [
        (r#"{"timestamp":1,"bid":1}"#, "`symbol` is missing"),
        (r#"{"symbol":"A","bid":1}"#, "`timestamp` is missing"),
        (r#"{"symbol":"A","time":1}"#, "neither bid nor ask is there"),
        (r#"{"symbol":"A","time":1,"bid":"NaN"}"#, "`bid` is not a decimal number: `NaN`"),
        (r#"{"symbol":"A","time":1,"ask":1e300}"#, "`ask` has more than 18 digits: `1e300`"),
        (r#"{"symbol":"A","time":1,"bid":[1]}"#, "`bid` is a list, not a text or a number"),
        (r#"{"symbol":{},"time":1,"bid":1}"#, "`symbol` is an object, not a text or a number"),
        (r#"{"symbol":"A","time":1,"bid":1,"seq":-1}"#, "`seq` is not a whole number from 0 to 2^64 - 1: `-1`"),
        (r#"{"symbol":"A","time":1,"timestamp":1,"bid":1}"#, "`timestamp` or `time` is given twice"),
        (r#"{"symbol":"A","time":-1,"bid":1}"#, "the time lies outside of 1970 to 2200"),
        (r#"{"symbol":"A","time":32503680000,"bid":1}"#, "the time lies outside of 1970 to 2200"),
        (r#"{"symbol":"","time":1,"bid":1}"#, "the symbol is empty"),
        (
            r#"{"symbol":"A","time":"now","bid":1}"#,
            "`timestamp` is neither an RFC 3339 time nor a number of s, ms, us or ns since 1970: `now`",
        ),
    ] {
        assert_eq!(defect::<Tick>(text), error);
    }
    for text in ["{", "5", "[]", r#"{"symbol":"A","time":1,"bid":NaN}"#, r#"{"symbol":"A","time":1,"bid":1} x"#] {
        assert!(defect::<Tick>(text).starts_with("the record is no JSON object"), "{text}: {}", defect::<Tick>(text));
    }
}

#[test]
fn a_bad_line_costs_only_itself_and_is_named() {
    let mut text = String::from("\u{feff}ask,ignored,Symbol,timestamp,bid,lp\r\n");
    for line in 2..=100_000 {
        let bid = if line == 70_000 { "oops" } else { "1.08500" };
        let time = 1_700_000_000_000_i64 + line;
        write!(text, "1.0851,x,EURUSD,{time},{bid},\r\n").unwrap();
    }
    let read = ticks(Format::Csv, &text);
    assert_eq!(read.records.len(), 99_998);
    let error = "`bid` is not a decimal number: `oops`".to_owned();
    assert_eq!(read.bad, [BadRecord { line: 70_000, error, text: "1.0851,x,EURUSD,1700000070000,oops,".to_owned() }]);
}

#[test]
fn a_quote_that_is_not_closed_costs_only_its_own_line() {
    let text = "symbol,timestamp,bid\nA,1,1\n\"B,2,2\nC,3,3\n\"D\nD\",4,4\n";
    let read = ticks(Format::Csv, text);
    let symbols: Vec<_> = read.records.iter().map(|tick| tick.symbol.as_ref()).collect();
    assert_eq!(symbols, ["A", "C", "D\nD"]);
    assert_eq!(read.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3]);
    let open_at_the_end = ticks(Format::Csv, "symbol,timestamp,lp,bid\nA,1,,1\nB,2,\"x,2\nC,3,,3");
    assert_eq!(open_at_the_end.records.len(), 2);
    assert_eq!(open_at_the_end.bad[0].line, 3);
}

#[test]
fn lines_are_counted_through_blank_ones_and_pieces() {
    let text = "\n{\"symbol\":\"A\",\"time\":1,\"bid\":1}\r\n\r\n  \nbad\n{\"symbol\":\"B\",\"time\":1,\"bid\":1}";
    for piece in 1..text.len() {
        let mut reader = Reader::<Tick>::new(Format::Ndjson, NOW);
        let mut reads: Vec<_> = text.as_bytes().chunks(piece).map(|chunk| reader.push(chunk)).collect();
        reads.push(reader.finish().unwrap());
        assert_eq!(reads.iter().map(|read| read.records.len()).sum::<usize>(), 2);
        let bad: Vec<_> = reads.into_iter().flat_map(|read| read.bad).map(|bad| (bad.line, bad.text)).collect();
        assert_eq!(bad, [(5, "bad".to_owned())], "in pieces of {piece}");
    }
}

#[test]
fn a_line_without_end_is_one_bad_record_and_takes_no_memory() {
    for format in [Format::Ndjson, Format::Csv] {
        let mut reader = Reader::<Tick>::new(format, NOW);
        let mut bad = reader.push(b"symbol,time,bid\n").bad;
        for _ in 0..100 {
            bad.extend(reader.push(&[b'x'; 10_000]).bad);
        }
        let good: &[u8] =
            if format == Format::Csv { b"\nA,1,1\n" } else { b"\n{\"symbol\":\"A\",\"time\":1,\"bid\":1}\n" };
        assert_eq!(reader.push(good).records.len(), 1);
        let last = bad.pop().unwrap();
        assert_eq!((last.line, last.text.len()), (2, BadRecord::MAX_TEXT_BYTES));
        assert_eq!(last.error, "the line is longer than 64 KiB");
    }
}

#[test]
fn a_body_that_is_none_of_its_format_is_refused_whole() {
    for text in ["", "{", "[1,", "null"] {
        assert!(matches!(Tick::read(Format::Json, text.as_bytes(), NOW), Err(FormatError::Json(_))), "{text}");
    }
    for text in ["", "symbol,bid\nA,1\n", "symbol,timestamp\n"] {
        assert!(matches!(Tick::read(Format::Csv, text.as_bytes(), NOW), Err(FormatError::Header(_))), "{text}");
    }
    assert!(matches!(Tick::read(Format::Parquet, b"PAR1", NOW), Err(FormatError::Parquet(_))));
}

#[test]
fn an_element_that_is_no_record_costs_only_itself() {
    let text = r#" [5, {"symbol":"A\"]","time":1,"bid":1}, nonsense , "x]\"", [[1], 2], {"symbol":"B","time":1,"bid":{"a":"}"}},
        {"symbol":"C","time":1,"bid":1} ] "#;
    for piece in 1..text.len() {
        let mut reader = Reader::<Tick>::new(Format::Json, NOW);
        let mut reads: Vec<_> = text.as_bytes().chunks(piece).map(|chunk| reader.push(chunk)).collect();
        reads.push(reader.finish().unwrap());
        let symbols: Vec<_> = reads.iter().flat_map(|read| &read.records).map(|tick| tick.symbol.as_ref()).collect();
        assert_eq!(symbols, ["A\"]", "C"], "in pieces of {piece}");
        let bad: Vec<_> = reads.iter().flat_map(|read| &read.bad).map(|bad| (bad.line, bad.text.as_str())).collect();
        assert_eq!(bad[..2], [(1, "5"), (3, "nonsense")], "in pieces of {piece}");
        assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
    }
}

#[test]
fn an_array_that_breaks_off_gives_what_came_before() {
    let element = r#"{"symbol":"A","time":1,"bid":1}"#;
    for (end, error) in [
        ("", "it ends within the array, behind 2 whole elements"),
        (",", "it ends within the array, behind 2 whole elements"),
        (",{\"symbol\":\"A", "it ends within the array, behind 2 whole elements"),
        ("x]", "there is `x` behind element 2"),
        ("]]", "something follows behind its end"),
        (",]", "there is `]` behind element 2"),
    ] {
        let mut reader = Reader::<Tick>::new(Format::Json, NOW);
        let read = reader.push(format!("[{element},\n{element}{end}").as_bytes());
        assert_eq!((read.records.len(), read.bad.len()), (2, 0), "{end}");
        assert_eq!(reader.finish().unwrap_err(), FormatError::Json(error.to_owned()), "{end}");
    }
}

#[test]
fn an_element_without_end_takes_no_memory() {
    let mut reader = Reader::<Tick>::new(Format::Json, NOW);
    let mut bad = reader.push(b"[{\"x\":\"").bad;
    for _ in 0..100 {
        bad.extend(reader.push(&[b'x'; 10_000]).bad);
    }
    let read = reader.push(b"\"}, {\"symbol\":\"A\",\"time\":1,\"bid\":1}]");
    bad.extend(read.bad);
    assert_eq!(read.records.len(), 1);
    assert_eq!((bad.len(), bad[0].line, bad[0].text.len()), (1, 1, BadRecord::MAX_TEXT_BYTES));
    assert_eq!(bad[0].error, "the element is longer than 64 KiB");
    assert!(reader.finish().is_ok());
}

#[test]
fn the_names_that_recorders_use_are_understood() {
    let read = ticks(
        Format::Csv,
        "broker_id,symbol,timestamp,bid,ask,spread,lp_source,created_at\n7,A,1700000000123,1.50,1.60,0.1,x,1700000000200\n\
         7,B,1700000000123,1.50,1.60,0.1,,\n",
    );
    assert_eq!(read.bad, []);
    let [first, second] = read.records.as_slice() else { panic!("two ticks: {read:?}") };
    assert_eq!((first.source.as_ref(), first.received.0), ("x", 1_700_000_000_200_000_000));
    assert_eq!((second.source.as_ref(), second.received), ("7", NOW));
}

#[test]
fn a_stream_whose_header_is_of_no_use_rejects_every_line() {
    let mut reader = Reader::<Tick>::new(Format::Csv, NOW);
    let bad = reader.push(b"a,b\n1,2\n3,4\n").bad;
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3]);
    assert!(bad[0].error.contains("there is no column `symbol`"), "{}", bad[0].error);
}

#[test]
fn pings_may_say_little_or_much() {
    let text = "target,ts,latency_ms,success,ttl,error\na,1700000000,12.345678,true,64,\na,1700000001,,false,,timeout\n\
                a,1700000002,0,,,\nb,1700000003,-1,,,\n";
    let read = Ping::read(Format::Csv, text.as_bytes(), NOW).unwrap();
    assert_eq!(read.records[0].latency, Some(12_345_678));
    assert_eq!(read.records[1].error.as_deref(), Some("timeout"));
    assert!(!read.records[1].success);
    let errors: Vec<_> = read.bad.iter().map(|bad| bad.error.as_str()).collect();
    assert_eq!(
        errors,
        ["a latency of 0 is none: leave it out where no answer came", "`latency_ms` is negative or too long: `-1`"]
    );
    assert_eq!(
        defect::<Ping>(r#"{"target":"a","ts":1,"success":"maybe"}"#),
        "`success` is neither true nor false: `maybe`"
    );
}

/// A Parquet file of pings, all of one row group that repeats a single row.
fn repeated(target: &str, rows: usize) -> Vec<u8> {
    let schema =
        "message ping { required binary target (STRING); required int64 timestamp (TIMESTAMP(MILLIS, true)); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let targets = vec![ByteArray::from(target.as_bytes().to_vec()); rows];
    column.typed::<ByteArrayType>().write_batch(&targets, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&vec![1_700_000_000_000; rows], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.into_inner().unwrap()
}

#[test]
fn a_row_group_is_read_in_pages_whatever_its_length() {
    let mut reader = ParquetReader::<Ping>::new(bytes::Bytes::from(repeated("a", 20_000)), NOW).unwrap();
    assert_eq!(reader.rows(), 20_000);
    let mut pages = Vec::new();
    while let Some(page) = reader.next_page().unwrap() {
        assert!(page.bad.is_empty() && page.records.iter().all(|ping| ping.time == NOW));
        pages.push(page.records.len());
    }
    assert_eq!((pages.len() > 2, pages.iter().sum()), (true, 20_000));
}

#[test]
fn a_small_parquet_body_that_stands_for_very_many_rows_is_refused() {
    let body = repeated("a", 1_000_001);
    assert!(body.len() < 64 * 1024, "{} bytes", body.len());
    let error = Ping::read(Format::Parquet, &body, NOW).unwrap_err().to_string();
    assert!(error.ends_with("its 1000001 rows are more than 1000000 at a time; send it in parts"), "{error}");
}
