//! What is found at the start: the files of each day, with what a process that was cut off left unfinished brought to an end.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tallybook_core::{Error, ErrorKind, Result};

use super::database::{Refusal, open_writer};
use super::day::Day;
use super::days::{Days, Revisions, State};
use super::folder::{Files, Folder, remove_if_there};
use super::sealed::Sealed;
use crate::error::{failed, io_failed};

const OPERATION: &str = "opening the store";

/// All days. The main database is brought to what they say: a commit may have reached them and not the main database.
pub(crate) fn recover(folder: Folder, main: &Connection) -> Result<Days> {
    let error = |error| failed(OPERATION, error);
    let listed = listed(main).map_err(error)?;
    let (mut days, mut left_out) = (BTreeMap::new(), BTreeMap::new());
    for (day, files) in folder.scan()? {
        let known = listed.get(&day).copied();
        let found = if let Some(why) = files.unreadable.clone() {
            Found::Unusable(why)
        } else if known.is_none() || files.log || (files.database && files.parquet) {
            match examine(&folder, day, &files, known) {
                Err(error) if error.needs_mending() => Found::Unusable(error.to_string()),
                found => found?,
            }
        } else {
            let state = State { database: files.database, parquet: files.parquet };
            known.map_or(Found::Nothing, |revisions| Found::Day(state, revisions))
        };
        match found {
            Found::Day(state, revisions) => drop(days.insert(day, (state, revisions))),
            Found::Nothing => {}
            Found::Unusable(why) => {
                tracing::error!(%day, %why, "a day of ticks is left out until its files are mended; the others go on");
                left_out.insert(day, (why, known));
            }
        }
    }
    write_down(main, &listed, &days, |day| left_out.contains_key(day)).map_err(error)?;
    Ok(Days::new(folder, days, left_out))
}

/// What the files of a day come to.
enum Found {
    Day(State, Revisions),
    /// Nothing of ours is left.
    Nothing,
    /// One of them has to be mended by hand, for this reason.
    Unusable(String),
}

fn listed(main: &Connection) -> rusqlite::Result<BTreeMap<Day, Revisions>> {
    let mut statement = main.prepare("SELECT day, first_rev, rev FROM segment")?;
    let rows = statement.query_map([], |row| {
        let day = Day::of(tallybook_core::Timestamp(row.get(0)?));
        Ok((day, Revisions { first: row.get(1)?, last: row.get(2)? }))
    })?;
    rows.collect()
}

/// Opens the files of a day, so that of two truths one goes and a log is emptied.
fn examine(folder: &Folder, day: Day, files: &Files, known: Option<Revisions>) -> Result<Found> {
    let mut revisions: Vec<i64> = known.into_iter().flat_map(|known| [known.first, known.last]).collect();
    let sealed = if files.parquet { open_sealed(folder, day)? } else { None };
    let path = folder.database(day);
    let database = match files.database.then(|| open_writer(&path, day, sealed.as_ref().map(Sealed::id))) {
        None => None,
        Some(Ok(database)) => Some(database),
        Some(Err(Refusal::Damaged(_))) => folder.put_aside(day, &path, OPERATION).map(|()| None)?,
        Some(Err(refusal)) => return Err(refusal.into_error(OPERATION, &path)),
    };
    let mut state = State { database: database.is_some(), parquet: sealed.is_some() };
    if let Some(database) = database {
        let error = |error| failed(OPERATION, error);
        revisions.extend(touched(&database).map_err(error)?.into_iter().flat_map(|(first, last)| [first, last]));
        let role = sealed.as_ref().map_or(Ok(Role::Lives), |sealed| Role::beside(sealed, &database)).map_err(error)?;
        // The last one to close it empties its log.
        drop(database);
        finish(folder, day, role, &mut state)?;
    }
    revisions.extend(sealed.iter().map(Sealed::revision));
    let (first, last) = (revisions.iter().min(), revisions.iter().max());
    let revisions = Revisions { first: first.copied().unwrap_or(1), last: last.copied().unwrap_or(1) };
    Ok(if state.database || state.parquet { Found::Day(state, revisions) } else { Found::Nothing })
}

fn open_sealed(folder: &Folder, day: Day) -> Result<Option<Sealed>> {
    let path = folder.parquet(day);
    match Sealed::open(&path) {
        Err(error) if error.kind() == ErrorKind::Corrupt => folder.put_aside(day, &path, OPERATION).map(|()| None),
        opened => opened.map(Some),
    }
}

/// What a database is to the Parquet file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It holds what came after the seal, or there is no such file.
    Lives,
    /// All of it is in the Parquet file.
    WasSealed,
    /// All of the Parquet file is in it.
    WasUnsealed,
    /// Somebody has laid the one beside the other: neither can hold all of the other.
    Strange,
}

impl Role {
    fn beside(sealed: &Sealed, database: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT base, unsealing, (SELECT coalesce(sum(count), 0) FROM symbol) FROM segment";
        database.query_row(sql, [], |row| {
            let (base, unsealing): (Option<String>, bool) = (row.get(0)?, row.get(1)?);
            let count = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(match base.is_some_and(|base| base == sealed.id()) {
                true if !unsealing => Self::Lives,
                true if count >= sealed.count() => Self::WasUnsealed,
                false if count <= sealed.count() => Self::WasSealed,
                _ => Self::Strange,
            })
        })
    }
}

/// Does what is left of a seal or an unseal.
fn finish(folder: &Folder, day: Day, role: Role, state: &mut State) -> Result<()> {
    let removed = match role {
        Role::Lives => return Ok(()),
        Role::Strange => {
            state.database = false;
            return folder.put_aside(day, &folder.database(day), OPERATION);
        }
        Role::WasSealed => {
            state.database = false;
            folder.remove_database(day)
        }
        Role::WasUnsealed => {
            state.parquet = false;
            remove_if_there(&folder.parquet(day))
        }
    };
    removed.and_then(|()| folder.sync(day)).map_err(|error| unremovable(day, error))
}

fn unremovable(day: Day, error: std::io::Error) -> Error {
    io_failed(OPERATION, format!("a file of the ticks of {day} cannot be removed; check its permissions"), error)
}

/// The least and the greatest revision.
fn touched(database: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    database.query_row("SELECT min(rev), max(rev) FROM touched", [], |row| {
        let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
        Ok(first.zip(last))
    })
}

fn write_down(
    main: &Connection,
    listed: &BTreeMap<Day, Revisions>,
    days: &BTreeMap<Day, (State, Revisions)>,
    is_left_out: impl Fn(&Day) -> bool,
) -> rusqlite::Result<()> {
    let transaction = main.unchecked_transaction()?;
    for day in listed.keys().filter(|day| !days.contains_key(day) && !is_left_out(day)) {
        transaction.execute("DELETE FROM segment WHERE day = ?", [day.start().0])?;
    }
    for (day, (_, revisions)) in days.iter().filter(|(day, (_, revisions))| listed.get(day) != Some(revisions)) {
        let sql = "INSERT OR REPLACE INTO segment (day, first_rev, rev) VALUES (?1, ?2, ?3)";
        transaction.execute(sql, params![day.start().0, revisions.first, revisions.last])?;
        // A commit that reached a day and not the main database counts from here on.
        transaction.execute("UPDATE revision SET last = max(last, ?)", [revisions.last])?;
    }
    transaction.commit()
}
