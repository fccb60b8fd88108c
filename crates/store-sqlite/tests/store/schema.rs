//! The live schema against the descriptors.

use rusqlite::Connection;
use tallybook_core::{Column, ColumnType, TABLES, Table};

use crate::support::{open, plain};

type Found = (String, String, bool);

fn columns(connection: &Connection, table: &str) -> Vec<Found> {
    let mut statement = connection.prepare("SELECT name, type, \"notnull\" FROM pragma_table_info(?)").unwrap();
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn expected(column: &Column) -> Found {
    let native = match column.column_type {
        ColumnType::Int | ColumnType::Time => "INTEGER",
        ColumnType::Text | ColumnType::Json => "TEXT",
        ColumnType::Sketch | ColumnType::Histogram | ColumnType::Bytes => "BLOB",
    };
    (column.name.to_owned(), native.to_owned(), !column.nullable)
}

fn key(connection: &Connection, table: &Table) -> Vec<String> {
    let sql = "SELECT i.name FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS i \
               WHERE l.\"unique\" ORDER BY i.seqno";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([table.name], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn every_table_is_what_its_descriptor_says() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path()).unwrap();
    let connection = plain(folder.path());
    let rowid = ("rowid".to_owned(), "INTEGER".to_owned(), false);
    let revision = ("rev".to_owned(), "INTEGER".to_owned(), true);
    for table in TABLES {
        let (sketches, others): (Vec<&Column>, Vec<&Column>) =
            table.columns.iter().partition(|column| column.column_type.is_summary());
        let mut wanted = vec![rowid.clone()];
        wanted.extend(others.into_iter().map(expected));
        wanted.push(revision.clone());
        assert_eq!(columns(&connection, table.name), wanted, "{}", table.name);
        let names: Vec<&str> = table.key().iter().map(|column| column.name).collect();
        assert_eq!(key(&connection, table), names, "the key of {}", table.name);

        let mut wanted = Vec::new();
        if !sketches.is_empty() {
            wanted.push(rowid.clone());
            wanted.extend(sketches.into_iter().map(expected));
        }
        assert_eq!(columns(&connection, &format!("{}_sketch", table.name)), wanted, "sketches of {}", table.name);
    }
}
