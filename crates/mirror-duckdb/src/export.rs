//! Everything the mirror holds as Parquet files, by day.

use std::fs;
use std::path::Path;

use tallybook_core::shape::Shape;
use tallybook_core::{Error, ErrorKind, Result};

use crate::Analytics;
use crate::error::failed;
use crate::schema::{DAY_COLUMN, day_source, list, quoted};

const EXPORTING: &str = "exporting the mirror";

/// What was written of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its name, and that of its folder.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

impl Analytics {
    /// Writes every table as its view shows it into `folder/TABLE`, in folders `day=YYYY-MM-DD` where its rows belong to days.
    /// A table without rows leaves nothing.
    ///
    /// # Errors
    /// `Invalid` where the folder is not empty, or cannot be made.
    pub fn export(&self, folder: &Path) -> Result<Vec<Exported>> {
        let cannot = |error| {
            Error::invalid(EXPORTING, format!("{} cannot be a new folder; name another", folder.display()))
                .with_source(error)
        };
        fs::create_dir_all(folder).map_err(cannot)?;
        if fs::read_dir(folder).map_err(cannot)?.next().is_some() {
            let context = format!("{} is not empty; name a new folder", folder.display());
            return Err(Error::invalid(EXPORTING, context));
        }
        let table = |shape: &'static Shape| {
            let rows = self.export_table(shape, &folder.join(shape.name))?;
            Ok(Exported { table: shape.name, rows })
        };
        Shape::all().map(table).collect()
    }

    fn export_table(&self, shape: &Shape, to: &Path) -> Result<u64> {
        let failed = |failure| failed(EXPORTING, &failure);
        let view = quoted(shape.name);
        let count = self.connection.query_row(&format!("SELECT count(*)::UBIGINT FROM {view}"), [], |row| row.get(0));
        let rows: u64 = count.map_err(failed)?;
        if rows == 0 {
            return Ok(0);
        }
        let to = to.to_str().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, EXPORTING, "the folder has a name that is not UTF-8; choose another")
        })?;
        let by_day = day_source(shape).is_some();
        let (options, target) = if by_day {
            (format!(", PARTITION_BY ({DAY_COLUMN})"), to.to_owned())
        } else {
            fs::create_dir(to).map_err(|error| {
                Error::new(ErrorKind::Unavailable, EXPORTING, format!("{to} cannot be made")).with_source(error)
            })?;
            (String::new(), format!("{to}/data_0.parquet"))
        };
        // DuckDB takes no parameter for the name of a file.
        let target = target.replace('\'', "''");
        let columns = if by_day { "*" } else { &format!("* EXCLUDE ({DAY_COLUMN})") };
        // Neighbours that are alike compress well, and a reader finds a key without reading all.
        let order = if by_day { format!("{DAY_COLUMN}, {}", list(shape.key())) } else { list(shape.key()) };
        self.connection
            .execute_batch(&format!(
                "COPY (SELECT {columns} FROM {view} ORDER BY {order}) TO '{target}' \
                 (FORMAT parquet, COMPRESSION zstd{options})"
            ))
            .map_err(failed)?;
        Ok(rows)
    }
}
