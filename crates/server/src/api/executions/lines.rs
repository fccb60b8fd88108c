//! Lines of an execution, read from its chunks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tallybook_core::{
    Condition, LineEnd, LogChunk, LogLine, LogLines, Query, Result, Store, StoreExt, Stream, Timestamp,
};
use utoipa::ToSchema;

use super::ansi;
use crate::api::schema;

/// Chunks that are read at once.
const CHUNKS: usize = 16;

/// What becomes of colours.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ansi {
    /// They stay as they came.
    #[default]
    Raw,
    /// They are left out.
    Strip,
    /// The text is HTML.
    Html,
}

/// A line of output.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub(crate) struct LineItem {
    /// Its number, from 1 over the whole execution.
    pub(super) line: u64,
    /// When it came.
    #[schema(schema_with = schema::time)]
    time: Timestamp,
    /// Where it was written to.
    #[schema(schema_with = schema::stream)]
    stream: Stream,
    /// The step that was current.
    step: Option<u64>,
    /// Without the line feed; bytes that are not UTF-8 are `U+FFFD`.
    text: String,
    /// Whether it goes on in the next line of its stream: it was too long, or its end was late.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    split: bool,
}

impl Ansi {
    pub(super) fn apply(self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text);
        match self {
            Self::Raw => text.into_owned(),
            Self::Strip => match ansi::strip(&text) {
                Cow::Borrowed(_) => text.into_owned(),
                Cow::Owned(stripped) => stripped,
            },
            Self::Html => ansi::html(&text),
        }
    }
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) step: Option<u64>,
    pub(super) stream: Option<Stream>,
    /// In small letters.
    pub(super) search: Option<String>,
}

/// Goes through the lines of an execution from one of them on.
#[derive(Debug)]
pub(super) struct Reader {
    id: String,
    wanted: Wanted,
    /// The next line that is looked at.
    pub(super) next: u64,
    /// The first line of the chunk that holds it, or of a later one.
    chunk: Option<u64>,
}

impl Reader {
    pub(super) fn new(id: &str, wanted: Wanted, from: u64) -> Self {
        Self { id: id.to_owned(), wanted, next: from.max(1), chunk: None }
    }

    fn query(&self, condition: Condition, limit: usize) -> Query {
        Query::new(limit).filter(Condition::Equals("execution", self.id.as_str().into())).filter(condition)
    }

    /// The next chunks; none at the end of what there is.
    pub(super) async fn chunks(&mut self, store: &dyn Store) -> Result<Vec<LogChunk>> {
        let number = |line: u64| i64::try_from(line).unwrap_or(i64::MAX);
        let first = if let Some(first) = self.chunk {
            first
        } else {
            let before = Condition::AtMost("first_line", number(self.next).into());
            let query = self.query(before, 1).sort("first_line", true);
            store.list::<LogChunk>(&query).await?.items.first().map_or(self.next, |chunk| chunk.first_line)
        };
        let mut query = self.query(Condition::AtLeast("first_line", number(first).into()), CHUNKS);
        if let Some(step) = self.wanted.step {
            query = query.filter(Condition::Equals("step", number(step).into()));
        }
        let chunks = store.list::<LogChunk>(&query).await?.items;
        if let Some(last) = chunks.last() {
            self.chunk = Some(last.first_line + last.lines);
        }
        Ok(chunks)
    }

    /// Gives each wanted line of a chunk to `each` until that says that it has enough.
    pub(super) fn lines(&mut self, chunk: &LogChunk, mut each: impl FnMut(u64, &LogLine<'_>) -> bool) -> Result<()> {
        let lines = LogLines::decode(&chunk.data)?;
        for (number, line) in (chunk.first_line..).zip(lines.iter()) {
            if number < self.next {
                continue;
            }
            if self.wants(&line) && !each(number, &line) {
                return Ok(());
            }
            self.next = number + 1;
        }
        Ok(())
    }

    fn wants(&self, line: &LogLine<'_>) -> bool {
        self.wanted.stream.is_none_or(|stream| stream == line.stream)
            && self.wanted.search.as_deref().is_none_or(|part| {
                let text = String::from_utf8_lossy(line.text);
                ansi::strip(&text).to_lowercase().contains(part)
            })
    }

    pub(super) fn item(chunk: &LogChunk, number: u64, line: &LogLine<'_>, ansi: Ansi) -> LineItem {
        LineItem {
            line: number,
            time: line.time,
            stream: line.stream,
            step: chunk.step,
            text: ansi.apply(line.text),
            split: line.end == LineEnd::Split,
        }
    }
}
