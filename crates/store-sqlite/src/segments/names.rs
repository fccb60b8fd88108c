//! Symbols and forms are in a file once; its ticks have their ids.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use tallybook_core::Timestamp;

use super::form::Form;

/// Names remembered; past that, they are asked for again.
const NAMES_MAX: usize = 65_536;

/// The ids of the file's symbols and forms, as far as they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    symbols: HashMap<Arc<str>, i64>,
    forms: HashMap<Arc<str>, HashMap<Form, i64>>,
    /// Of both together.
    count: usize,
}

impl Names {
    pub(crate) fn keep_small(&mut self) {
        if self.count > NAMES_MAX {
            *self = Self::default();
        }
    }

    /// The id of a symbol; one that is new begins with no ticks, between these times.
    pub(crate) fn symbol(
        &mut self,
        connection: &Connection,
        name: &Arc<str>,
        first: Timestamp,
        last: Timestamp,
    ) -> rusqlite::Result<i64> {
        if let Some(id) = self.symbols.get(name) {
            return Ok(*id);
        }
        let found = connection
            .prepare_cached("SELECT id FROM symbol WHERE name = ?")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => connection
                .prepare_cached("INSERT INTO symbol (name, count, first, last) VALUES (?1, 0, ?2, ?3)")?
                .insert(params![name, first.0, last.0])?,
        };
        self.symbols.insert(name.clone(), id);
        self.count += 1;
        Ok(id)
    }

    /// The id of a form with its source.
    pub(crate) fn form(&mut self, connection: &Connection, source: &Arc<str>, form: Form) -> rusqlite::Result<i64> {
        if let Some(id) = self.forms.get(source).and_then(|forms| forms.get(&form)) {
            return Ok(*id);
        }
        let values = params![source, form.flags(), form.bid_divisor, form.ask_divisor, form.volume_divisor];
        let found = connection
            .prepare_cached(
                "SELECT id FROM form WHERE source = ?1 AND flags = ?2 AND bid_divisor = ?3 AND ask_divisor = ?4 \
                 AND volume_divisor = ?5",
            )?
            .query_row(values, |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => connection
                .prepare_cached(
                    "INSERT INTO form (source, flags, bid_divisor, ask_divisor, volume_divisor) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .insert(values)?,
        };
        self.forms.entry(source.clone()).or_default().insert(form, id);
        self.count += 1;
        Ok(id)
    }
}
