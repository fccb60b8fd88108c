//! The follower: opens the database, keeps pages, and remembers how far it is.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clickhouse::error::Error as Failure;
use clickhouse::{Client, Compression};
use tallybook_core::shape::Shape;
use tallybook_core::{Change, Changes, Cursor, Error, ErrorKind, Follower, Following, Result, StoreId, Tick};
use tokio::sync::Mutex;

use crate::address::Address;
use crate::error::{failed, is_gone, refused};
use crate::row_binary::{self, Reader};
use crate::schema::{self, OLDEST, Schema, Version};

const OPENING: &str = "opening the ClickHouse mirror";
const FOLLOWING: &str = "following a primary into ClickHouse";
/// Bytes that are handed to the driver in one go.
const CHUNK_BYTES: usize = 1 << 20;
/// A server that takes no bytes for this long, or does not answer for twice as long, is taken for lost.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// A ClickHouse database that follows a primary.
pub struct ClickHouseMirror {
    pub(crate) client: Client,
    pub(crate) schema: Schema,
    place: String,
    version: String,
    state: Mutex<State>,
}

/// What is known of the cursor.
#[derive(Debug, Default)]
struct State {
    /// As it was read or written last.
    known: Known,
    /// Of the last row of the state.
    seq: u64,
    /// Tables are not there any more: somebody has removed them.
    is_gone: bool,
}

/// Whom the mirror follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Known {
    /// It must be read.
    #[default]
    Unread,
    /// Nobody: it is empty.
    Nobody,
    /// A primary, that far.
    Primary(Following),
}

impl State {
    /// Notes that tables are gone, where that is what failed.
    fn note<T>(&mut self, done: Result<T, Failed>) -> Result<T> {
        done.map_err(|failure| {
            self.known = Known::Unread;
            match failure {
                Failed::Call(failure) => {
                    self.is_gone |= is_gone(&failure);
                    failed(FOLLOWING, failure)
                }
                Failed::Answer(error) => error,
            }
        })
    }
}

impl fmt::Debug for ClickHouseMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the password.
        f.debug_struct("ClickHouseMirror").field("place", &self.place).finish_non_exhaustive()
    }
}

impl ClickHouseMirror {
    /// Connects to the server, checks its version and what the user may do, and makes the tables and views that are missing.
    ///
    /// # Errors
    /// One sentence without the password: `Unavailable` where nobody answers, `Unsupported` for a server that is too old,
    /// `Invalid` for a user that is refused or may not make tables.
    pub async fn open(address: &Address) -> Result<Self> {
        let mut client = Client::default()
            .with_url(&address.endpoint)
            .with_user(&address.user)
            .with_password(&address.password)
            .with_compression(Compression::None)
            .with_validation(false)
            .with_product_info("tallybook", env!("CARGO_PKG_VERSION"));
        let refusal = |failure| refused(OPENING, &address.user, &address.database, failure);
        let answered = client.query("SELECT version()").fetch_bytes("TabSeparated").map_err(refusal)?.collect().await;
        let said = answered.map_err(refusal)?;
        let text = String::from_utf8_lossy(&said).trim().to_owned();
        let version = Version::parse(&text).ok_or_else(|| {
            let context = format!("what answers at {} is no ClickHouse; check the URL", address.place());
            Error::new(ErrorKind::Unsupported, OPENING, context)
        })?;
        if version < OLDEST {
            let Version { major, minor } = OLDEST;
            let context = format!("the server is ClickHouse {text}; {major}.{minor} is the oldest that works");
            return Err(Error::new(ErrorKind::Unsupported, OPENING, context));
        }
        if version.is_modern() {
            // A backlog has rows of many days in one page.
            client = client.with_option("max_partitions_per_insert_block", "0");
            // Debian's 18.16 answers nothing at all when it is asked to compress.
            if address.compressed {
                client = client.with_compression(Compression::Lz4);
            }
        }
        if address.cluster.is_some() {
            client = client.with_option("insert_distributed_sync", "1");
        }
        let schema = Schema { database: address.database.clone(), version, cluster: address.cluster.clone() };
        let mirror =
            Self { client, schema, place: address.place(), version: text, state: Mutex::new(State::default()) };
        mirror.run_all(mirror.schema.create()).await.map_err(refusal)?;
        Ok(mirror)
    }

    /// What a query answers, as text with tabs; `{name}` stands for a table or view of the mirror, `{}` for its database.
    /// For people and tests.
    ///
    /// # Errors
    /// What the server says.
    pub async fn ask(&self, sql: &str) -> Result<String> {
        let mut query = sql.replace("{}", &schema::quoted(&self.schema.database));
        while let Some((before, rest)) = query.split_once('{') {
            let Some((name, after)) = rest.split_once('}') else { break };
            query = format!("{before}{}{after}", self.schema.name(name));
        }
        let error = |failure| failed(OPENING, failure);
        let answer =
            self.client.query(&query.replace('?', "??")).fetch_bytes("TabSeparated").map_err(error)?.collect().await;
        Ok(String::from_utf8_lossy(&answer.map_err(error)?).into_owned())
    }

    async fn run_all(&self, statements: Vec<String>) -> Result<(), Failure> {
        for statement in statements {
            // A question mark would be taken for a parameter.
            self.client.query(&statement.replace('?', "??")).execute().await?;
        }
        Ok(())
    }

    /// Empty tables, whatever was there.
    async fn make_anew(&self, state: &mut State) -> Result<()> {
        *state = State { seq: state.seq, is_gone: true, ..State::default() };
        let made = async {
            self.run_all(self.schema.drop()).await?;
            self.run_all(self.schema.create()).await
        };
        made.await.map_err(|failure| failed(FOLLOWING, failure))?;
        state.is_gone = false;
        state.known = Known::Nobody;
        Ok(())
    }

    /// Where `primary` is followed from.
    async fn resume(&self, state: &mut State, primary: StoreId) -> Result<Cursor> {
        if state.is_gone {
            self.make_anew(state).await?;
        }
        if state.known == Known::Unread {
            let read = self.read_state().await;
            let (known, seq) = state.note(read)?;
            state.seq = state.seq.max(seq);
            state.known = known.map_or(Known::Nobody, Known::Primary);
        }
        match &state.known {
            Known::Primary(known) => Following::resume(Some(known.clone()), None, false, primary),
            Known::Unread | Known::Nobody => Following::resume(None, None, true, primary),
        }
    }

    async fn read_state(&self) -> Result<(Option<Following>, u64), Failed> {
        let sql = format!("SELECT primary_id, cursor, seq FROM {} ORDER BY seq DESC LIMIT 1", self.schema.state());
        let answer = self.client.query(&sql).fetch_bytes("RowBinary")?.collect().await?;
        let mut reader = Reader::new(&answer);
        if reader.is_at_end() {
            return Ok((None, 0));
        }
        let primary = reader.text()?.parse()?;
        let cursor = Cursor(reader.text()?.to_string().into());
        Ok((Some(Following { primary, cursor }), reader.unsigned()?))
    }

    async fn remember(&self, state: &mut State, primary: StoreId, cursor: &Cursor) -> Result<()> {
        state.seq += 1;
        let mut row = Vec::new();
        row_binary::add_state(&mut row, &primary.to_string(), &cursor.0, state.seq);
        let written = self.insert(&self.schema.state(), "primary_id, cursor, seq", row).await;
        state.note(written.map_err(Failed::Call))?;
        state.known = Known::Primary(Following { primary, cursor: cursor.clone() });
        Ok(())
    }

    async fn insert(&self, table: &str, columns: &str, rows: Vec<u8>) -> Result<(), Failure> {
        let sql = format!("INSERT INTO {table} ({columns}) FORMAT RowBinary");
        let mut insert =
            self.client.insert_formatted_with(sql).with_timeouts(Some(SILENCE_LIMIT), Some(SILENCE_LIMIT * 2));
        let mut rows = Bytes::from(rows);
        while !rows.is_empty() {
            insert.send(rows.split_to(rows.len().min(CHUNK_BYTES))).await?;
        }
        insert.end().await
    }

    async fn insert_page(&self, changes: &[Change], ticks: &[Tick]) -> Result<(), Failed> {
        let mut tables: BTreeMap<&str, (&'static Shape, Vec<u8>)> = BTreeMap::new();
        for Change { table, revision, row } in changes {
            let shape = Shape::of(FOLLOWING, table)?;
            let (_, bytes) = tables.entry(shape.name).or_insert_with(|| (shape, Vec::new()));
            row_binary::add_row(bytes, &shape.fields, row, *revision);
        }
        if !ticks.is_empty() {
            let mut bytes = Vec::with_capacity(ticks.len() * 96);
            for tick in ticks {
                row_binary::add_tick(&mut bytes, tick);
            }
            tables.insert(Shape::ticks().name, (Shape::ticks(), bytes));
        }
        for (shape, bytes) in tables.into_values() {
            self.insert(&self.schema.rows(shape), &schema::inserted(shape), bytes).await?;
        }
        Ok(())
    }
}

/// What failed: the call, or what the server said.
pub(crate) enum Failed {
    Call(Failure),
    Answer(Error),
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

#[async_trait]
impl Follower for ClickHouseMirror {
    fn describe(&self) -> String {
        format!("ClickHouse {} at {}", self.version, self.place)
    }

    async fn cursor(&self, primary: StoreId) -> Result<Cursor> {
        let mut state = self.state.lock().await;
        // Somebody else may have written, or wiped it.
        state.known = Known::Unread;
        self.resume(&mut state, primary).await
    }

    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        let mut state = self.state.lock().await;
        let kept = self.resume(&mut state, primary).await?;
        if kept != *from {
            state.known = Known::Unread;
        }
        Following::check(&kept, from)?;
        if state.known == Known::Nobody {
            // Before any row: what an interrupted first page leaves has an owner.
            self.remember(&mut state, primary, &Cursor::START).await?;
        }
        let written = self.insert_page(&page.changes, &page.ticks).await;
        state.note(written)?;
        if page.next != *from {
            self.remember(&mut state, primary, &page.next).await?;
        }
        Ok(())
    }

    async fn clear(&self, primary: StoreId) -> Result<()> {
        let mut state = self.state.lock().await;
        self.make_anew(&mut state).await?;
        self.remember(&mut state, primary, &Cursor::START).await
    }

    async fn release(&self) -> Result<()> {
        // Every call was answered; there is nothing to let go of.
        Ok(())
    }
}
