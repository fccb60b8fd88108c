//! The rows of the execution family in a batch.

use super::{Annotation, Artifact, CancelRequest, Execution, LogChunk, Step};
use crate::batch::{for_rows, take_back};
use crate::table::{Record, Row, Table};
use crate::{Counts, TABLES};

/// Rows of executions and what belongs to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutionRecords {
    /// Their output.
    pub log_chunks: Vec<LogChunk>,
    /// Errors and warnings.
    pub annotations: Vec<Annotation>,
    /// What they left.
    pub artifacts: Vec<Artifact>,
    /// States of steps.
    pub steps: Vec<Step>,
    /// Which of them are to end.
    pub cancel_requests: Vec<CancelRequest>,
    /// States of executions. Last, because they say which events are in the store: where a batch is split, they come when
    /// everything else is there.
    pub executions: Vec<Execution>,
}

impl ExecutionRecords {
    /// The tables of the family.
    pub fn tables() -> impl Iterator<Item = &'static Table> {
        TABLES.iter().copied().filter(|table| Self::owns(table))
    }

    /// The tables whose rows belong to one execution, which their first column names.
    pub fn tables_of_parts() -> impl Iterator<Item = &'static Table> {
        Self::tables().filter(|table| table.name != Execution::TABLE.name)
    }

    /// Whether a table belongs to the family.
    pub fn owns(table: &Table) -> bool {
        table.name == Execution::TABLE.name || table.key().first().is_some_and(|column| column.name == "execution")
    }

    /// Rows.
    pub fn len(&self) -> usize {
        let Self { log_chunks, annotations, artifacts, steps, cancel_requests, executions } = self;
        log_chunks.len() + annotations.len() + artifacts.len() + steps.len() + cancel_requests.len() + executions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        let chunks: usize = self.log_chunks.iter().map(|chunk| chunk.data.len()).sum();
        chunks + self.len() * size_of::<Execution>()
    }

    /// Moves all of `other` behind what is here.
    pub fn append(&mut self, other: Self) {
        let Self { log_chunks, annotations, artifacts, steps, cancel_requests, executions } = other;
        self.log_chunks.extend(log_chunks);
        self.annotations.extend(annotations);
        self.artifacts.extend(artifacts);
        self.steps.extend(steps);
        self.cancel_requests.extend(cancel_requests);
        self.executions.extend(executions);
    }

    /// What became of them, where a store was given `unique` rows by [`crate::Records::for_each_table`] and `changed` for
    /// each: states that share their key with a newer one in the batch are merged, and a row that was there, or is older
    /// than what was, is a duplicate.
    pub fn counts(&self, unique: u64, changed: u64) -> Counts {
        let merged = (self.len() as u64).saturating_sub(unique);
        Counts { stored: changed, merged, duplicate: unique.saturating_sub(changed) }
    }

    /// Gives every table that has rows, with its rows sorted by key and each key once; stops at the first error.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn for_each_table<E>(&self, each: &mut impl FnMut(&'static Table, Vec<Row>) -> Result<(), E>) -> Result<(), E> {
        let Self { log_chunks, annotations, artifacts, steps, cancel_requests, executions } = self;
        for_rows(log_chunks, each)?;
        for_rows(annotations, each)?;
        for_rows(artifacts, each)?;
        for_rows(steps, each)?;
        for_rows(cancel_requests, each)?;
        for_rows(executions, each)
    }

    /// The first row that no store can keep, and why.
    pub(crate) fn defect(&self) -> Option<String> {
        let execution = |row: &Execution| Some(format!("the execution `{}`: {}", row.id, row.defect()?));
        let chunk = |row: &LogChunk| Some(format!("line {} of `{}`: {}", row.first_line, row.execution, row.defect()?));
        let executions = self.executions.iter().find_map(execution);
        executions.or_else(|| self.log_chunks.iter().find_map(chunk))
    }

    pub(crate) fn split_off(&mut self, wanted: &mut usize) -> Self {
        let executions = take_back(&mut self.executions, wanted);
        let cancel_requests = take_back(&mut self.cancel_requests, wanted);
        let steps = take_back(&mut self.steps, wanted);
        let artifacts = take_back(&mut self.artifacts, wanted);
        let annotations = take_back(&mut self.annotations, wanted);
        let log_chunks = take_back(&mut self.log_chunks, wanted);
        Self { log_chunks, annotations, artifacts, steps, cancel_requests, executions }
    }
}
