//! What a segment says of itself in its metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use parquet::file::metadata::{FileMetaData, KeyValue};
use serde::{Deserialize, Serialize};
use tallybook_core::{Error, Result, SymbolSummary, Tick, Timestamp};

const ID: &str = "tallybook.id";
const SYMBOLS: &str = "tallybook.symbols";
const METADATA: &str = "tallybook.metadata";

/// The metadata of a segment.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) id: String,
    /// By name, as the rows are.
    pub(super) symbols: Vec<SymbolSummary>,
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    symbol: Arc<str>,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Footer {
    pub(super) fn new(metadata: BTreeMap<String, String>) -> Self {
        Self { id: uuid::Uuid::now_v7().hyphenated().to_string(), symbols: Vec::new(), metadata }
    }

    /// Counts a tick that comes behind all others.
    pub(super) fn count(&mut self, tick: &Tick) {
        match self.symbols.last_mut() {
            Some(summary) if summary.symbol == tick.symbol => {
                summary.count += 1;
                summary.last = tick.time;
            }
            _ => self.symbols.push(SymbolSummary {
                symbol: tick.symbol.clone(),
                count: 1,
                first: tick.time,
                last: tick.time,
            }),
        }
    }

    pub(super) fn to_key_values(&self) -> Result<Vec<KeyValue>> {
        let summaries = self.symbols.iter().map(|summary| {
            let SymbolSummary { symbol, count, first, last } = summary.clone();
            Summary { symbol, count, first, last }
        });
        let refused = |error| Error::invalid(super::write::OPERATION, "the metadata is no JSON").with_source(error);
        let symbols = serde_json::to_string(&summaries.collect::<Vec<_>>()).map_err(refused)?;
        let metadata = serde_json::to_string(&self.metadata).map_err(refused)?;
        Ok(vec![
            KeyValue::new(ID.to_owned(), self.id.clone()),
            KeyValue::new(SYMBOLS.to_owned(), symbols),
            KeyValue::new(METADATA.to_owned(), metadata),
        ])
    }

    pub(super) fn read(file: &FileMetaData) -> Result<Self> {
        let value = |key: &str| {
            let pairs = file.key_value_metadata().into_iter().flatten();
            pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.as_deref()).ok_or_else(|| {
                Error::corrupt(super::file::OPENING, format!("the file is no segment: its metadata has no `{key}`"))
            })
        };
        let damaged =
            |error| Error::corrupt(super::file::OPENING, "the metadata of the file is damaged").with_source(error);
        let summaries: Vec<Summary> = serde_json::from_str(value(SYMBOLS)?).map_err(damaged)?;
        let symbols = summaries.into_iter().map(|summary| {
            let Summary { symbol, count, first, last } = summary;
            SymbolSummary { symbol, count, first, last }
        });
        Ok(Self {
            id: value(ID)?.to_owned(),
            symbols: symbols.collect(),
            metadata: serde_json::from_str(value(METADATA)?).map_err(damaged)?,
        })
    }
}
