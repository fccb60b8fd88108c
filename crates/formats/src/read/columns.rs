//! Records as rows under named columns: CSV, Parquet, a table of a database.

use std::borrow::Cow;
use std::marker::PhantomData;

use tallybook_core::Timestamp;

use super::values::place;
use super::{Names, Readable, Values};

/// Which column holds which field; columns of other names are passed over.
pub struct Columns<R> {
    places: Vec<Option<usize>>,
    record: PhantomData<fn() -> R>,
}

impl<R: Readable> Columns<R> {
    /// Columns of these names, in lower case.
    ///
    /// # Errors
    /// A sentence, where they lack a field that every record needs.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let places: Vec<_> = names.into_iter().map(place::<R>).collect();
        for group in R::NEEDED {
            if !group.iter().any(|&needed| places.contains(&Some(needed))) {
                let names: Vec<&str> = group.iter().map(|&needed| R::FIELDS[needed][0]).collect();
                return Err(format!("there is no column `{}`", names.join("` or `")));
            }
        }
        Ok(Self { places, record: PhantomData })
    }

    /// Columns.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The field that a column holds, by its place in [`Readable::FIELDS`].
    pub(super) fn field(&self, column: usize) -> Option<usize> {
        self.places.get(column).copied().flatten()
    }

    /// The record whose columns have these texts; an empty one is none.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn record<'t>(
        &self,
        texts: impl IntoIterator<Item = Result<Cow<'t, str>, String>>,
        names: &mut Names,
        received: Timestamp,
    ) -> Result<R, String> {
        let mut values = Values::default();
        for (place, text) in self.places.iter().zip(texts) {
            let text = text?;
            if let Some(place) = place
                && !text.is_empty()
            {
                values.set::<R>(*place, text)?;
            }
        }
        R::from_values(&values, names, received)
    }
}
