//! The cases of every [`Follower`], a mirror or a store: over a memory store as the primary, which is the reference.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook_core::{
    Changes, Cursor, ErrorKind, Follower, Readback, Record as _, Result, Row, Service, Store, StoreId, TABLES,
    TickQuery, Timestamp, Value,
};
use tallybook_store_memory::MemoryStore;

use crate::support::{ALWAYS, Contents, Sender, assert_same, commit, contents, send};
use crate::{Chaos, ChaosFollower, Fixtures, case};

/// Where the follower of one case keeps its data: a folder, a database, nothing. Dropped when the case is over.
#[async_trait]
pub trait FollowerPlace: fmt::Debug + Send + Sync + 'static {
    /// What is opened.
    type Opened: Follower;

    /// Opens the follower that lives here. At first it is empty; released and opened again it holds what it held, if it is
    /// persistent.
    ///
    /// # Errors
    /// Whatever keeps it from opening; the case then fails.
    async fn open(&self) -> Result<Arc<Self::Opened>>;
}

/// The cases of every follower; `persistent` says whether it outlives its process.
pub fn follower_cases<P: FollowerPlace>(
    backend: &str,
    new_place: impl Fn() -> P + Send + Sync + 'static,
    persistent: bool,
) -> Vec<Trial> {
    let trials = Trials::new(backend, new_place);
    let mut all = vec![
        trials.add("f01_everything_there_is_is_followed", f01_everything_there_is_is_followed),
        trials.add("f01_what_changed_takes_the_place_of_what_was", f01_what_changed_takes_the_place_of_what_was),
        trials.add("f01_a_page_that_comes_again_changes_nothing", f01_a_page_that_comes_again_changes_nothing),
        trials.add("f02_the_cursor_never_runs_ahead_of_the_rows", f02_the_cursor_never_runs_ahead_of_the_rows),
        trials.add("f03_another_primary_is_refused_until_cleared", f03_another_primary_is_refused_until_cleared),
        trials.add("f04_clear_removes_everything", f04_clear_removes_everything),
        trials.add("f05_faults_on_both_sides_lose_nothing", f05_faults_on_both_sides_lose_nothing),
    ];
    if persistent {
        all.push(trials.add("f02_it_goes_on_after_a_restart", f02_it_goes_on_after_a_restart));
    }
    all
}

/// The cases of a follower that is a store of its own.
pub fn following_store_cases<P: FollowerPlace>(
    backend: &str,
    new_place: impl Fn() -> P + Send + Sync + 'static,
) -> Vec<Trial>
where
    P::Opened: Store,
{
    let trials = Trials::new(backend, new_place);
    vec![
        trials.add("f03_records_of_its_own_end_the_following", f03_records_of_its_own_end_the_following),
        trials.add("f03_a_store_does_not_follow_itself", f03_a_store_does_not_follow_itself),
        trials.add("f01_a_follower_is_followed_in_turn", f01_a_follower_is_followed_in_turn),
    ]
}

struct Trials<P> {
    backend: String,
    new_place: Arc<dyn Fn() -> P + Send + Sync>,
}

impl<P: FollowerPlace> Trials<P> {
    fn new(backend: &str, new_place: impl Fn() -> P + Send + Sync + 'static) -> Self {
        Self { backend: backend.to_owned(), new_place: Arc::new(new_place) }
    }

    fn add<F: Future<Output = ()> + Send + 'static>(&self, name: &str, body: fn(P) -> F) -> Trial {
        let new_place = self.new_place.clone();
        case(&format!("{}::{name}", self.backend), move || body(new_place()))
    }
}

async fn open<P: FollowerPlace>(place: &P) -> Arc<P::Opened> {
    place.open().await.expect("the follower opens")
}

async fn release<F: Follower + ?Sized>(follower: &F) {
    follower.release().await.expect("the follower lets go");
}

fn id_of(store: &dyn Store) -> StoreId {
    store.info().id
}

/// Follows to the end in pages of `limit`, and again wherever something fails for now.
pub(crate) async fn follow(primary: &dyn Store, follower: &dyn Follower, limit: usize) {
    while let Err(error) = try_to_follow(primary, follower, limit).await {
        assert!(error.is_retryable(), "{error}");
    }
}

async fn try_to_follow(primary: &dyn Store, follower: &dyn Follower, limit: usize) -> Result<()> {
    let id = id_of(primary);
    loop {
        let cursor = follower.cursor(id).await?;
        let page = primary.changes(&cursor, limit).await?;
        let more = page.more;
        follower.absorb(id, &cursor, page).await?;
        if !more {
            return Ok(());
        }
    }
}

/// All there is, read back in short pages.
async fn read_back(follower: &(impl Readback + ?Sized)) -> Contents {
    const PAGE: usize = 37;
    let mut rows = Vec::new();
    for table in TABLES {
        let mut all: Vec<Row> = Vec::new();
        loop {
            let after: Option<Vec<Value>> = all.last().map(|row| row[..table.key_len()].to_vec());
            let page = follower.read_rows(table, after.as_deref(), PAGE).await.expect("the follower reads rows back");
            all.extend(page.iter().cloned());
            if page.len() < PAGE {
                break;
            }
        }
        rows.push(all);
    }
    let mut ticks = Vec::new();
    for symbol in follower.read_symbols().await.expect("the follower lists symbols") {
        let mut of_symbol = Vec::new();
        let mut query =
            TickQuery { symbol: symbol.symbol.clone(), range: ALWAYS, after: None, newest_first: false, limit: PAGE };
        loop {
            let page = follower.read_ticks(&query).await.expect("the follower reads ticks back");
            query.after = page.last().map(tallybook_core::Tick::key);
            let last = page.len() < PAGE;
            of_symbol.extend(page);
            if last {
                break;
            }
        }
        assert_eq!(Some(&symbol), crate::support::summary(&of_symbol).as_ref(), "what is said of the symbol");
        ticks.extend(of_symbol);
    }
    Contents { rows, ticks }
}

async fn assert_follows(follower: &(impl Readback + ?Sized), primary: &dyn Store) {
    assert_same(&read_back(follower).await, &contents(primary).await);
}

async fn f01_everything_there_is_is_followed<P: FollowerPlace>(place: P) {
    let primary = MemoryStore::new();
    let follower = open(&place).await;
    follow(&primary, &*follower, 100).await;
    assert!(read_back(&*follower).await.is_empty());
    let mut fixtures = Fixtures::odd(90);
    for rows in [300, 1, 60] {
        commit(&primary, fixtures.records(rows)).await;
    }
    follow(&primary, &*follower, 100).await;
    assert_follows(&*follower, &primary).await;
    follow(&primary, &*follower, 1).await;
    assert_follows(&*follower, &primary).await;
    release(&*follower).await;
}

async fn f01_what_changed_takes_the_place_of_what_was<P: FollowerPlace>(place: P) {
    let primary = MemoryStore::new();
    let follower = open(&place).await;
    // So few names that almost every row is there already.
    let mut fixtures = Fixtures::few(91);
    for (rows, limit) in [(200, 1000), (80, 7), (30, 1000), (80, 50)] {
        commit(&primary, fixtures.records(rows)).await;
        follow(&primary, &*follower, limit).await;
        assert_follows(&*follower, &primary).await;
    }
    release(&*follower).await;
}

async fn f01_a_page_that_comes_again_changes_nothing<P: FollowerPlace>(place: P) {
    let primary = MemoryStore::new();
    let (id, follower) = (id_of(&primary), open(&place).await);
    let mut fixtures = Fixtures::few(92);
    let mut pages: Vec<(Cursor, Changes)> = Vec::new();
    for _ in 0..3 {
        commit(&primary, fixtures.records(60)).await;
        let cursor = follower.cursor(id).await.expect("the follower knows its cursor");
        let page = primary.changes(&cursor, usize::MAX).await.expect("the store lists changes");
        pages.push((cursor.clone(), page.clone()));
        follower.absorb(id, &cursor, page).await.expect("the follower keeps a page");
    }
    for (cursor, page) in pages {
        // A store may see that it is late; a mirror keeps the greater revision.
        let again = follower.absorb(id, &cursor, page).await;
        assert!(matches!(again.map_err(|error| error.kind()), Ok(()) | Err(ErrorKind::Unavailable)));
    }
    follow(&primary, &*follower, 1000).await;
    assert_follows(&*follower, &primary).await;
    release(&*follower).await;
}

async fn f02_the_cursor_never_runs_ahead_of_the_rows<P: FollowerPlace>(place: P) {
    let primary = MemoryStore::new();
    let (id, follower) = (id_of(&primary), open(&place).await);
    commit(&primary, Fixtures::odd(93).records(100)).await;
    let mut known = 0;
    loop {
        let cursor = follower.cursor(id).await.expect("the follower knows its cursor");
        let page = primary.changes(&cursor, 23).await.expect("the store lists changes");
        if page.changes.is_empty() && page.ticks.is_empty() {
            break;
        }
        known += page.changes.len() + page.ticks.len();
        let next = page.next.clone();
        follower.absorb(id, &cursor, page).await.expect("the follower keeps a page");
        assert_eq!(follower.cursor(id).await.expect("the follower knows its cursor"), next);
        let kept = read_back(&*follower).await;
        assert_eq!(kept.row_count() + kept.ticks.len(), known);
    }
    release(&*follower).await;
}

async fn f02_it_goes_on_after_a_restart<P: FollowerPlace>(place: P) {
    let primary = MemoryStore::new();
    let id = id_of(&primary);
    let mut fixtures = Fixtures::few(94);
    let mut last = Cursor::START;
    for rows in [100, 50, 50] {
        let follower = open(&place).await;
        assert_eq!(follower.cursor(id).await.expect("the follower knows its cursor"), last);
        commit(&primary, fixtures.records(rows)).await;
        follow(&primary, &*follower, 29).await;
        assert_follows(&*follower, &primary).await;
        last = follower.cursor(id).await.expect("the follower knows its cursor");
        release(&*follower).await;
    }
}

async fn f03_another_primary_is_refused_until_cleared<P: FollowerPlace>(place: P) {
    let (first, second) = (MemoryStore::new(), MemoryStore::new());
    commit(&first, Fixtures::odd(95).records(60)).await;
    commit(&second, Fixtures::odd(96).records(60)).await;
    let follower = open(&place).await;
    follow(&first, &*follower, 1000).await;
    let id = id_of(&second);
    let refused = follower.cursor(id).await.map_err(|error| (error.kind(), error.to_string()));
    let (kind, sentence) = refused.expect_err("it follows another primary");
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(sentence.contains("rebuild") && sentence.contains(&id_of(&first).to_string()), "{sentence}");
    let page = second.changes(&Cursor::START, usize::MAX).await.expect("the store lists changes");
    let kind = follower.absorb(id, &Cursor::START, page).await.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Invalid));
    assert_follows(&*follower, &first).await;
    follower.clear(id).await.expect("the follower empties itself");
    follow(&second, &*follower, 1000).await;
    assert_follows(&*follower, &second).await;
    release(&*follower).await;
}

async fn f04_clear_removes_everything<P: FollowerPlace>(place: P) {
    let primary = MemoryStore::new();
    let (id, follower) = (id_of(&primary), open(&place).await);
    let mut fixtures = Fixtures::odd(97);
    commit(&primary, fixtures.records(200)).await;
    follow(&primary, &*follower, 1000).await;
    follower.clear(id).await.expect("the follower empties itself");
    assert!(read_back(&*follower).await.is_empty());
    assert_eq!(follower.cursor(id).await.expect("the follower knows its cursor"), Cursor::START);
    commit(&primary, fixtures.records(50)).await;
    follow(&primary, &*follower, 1000).await;
    assert_follows(&*follower, &primary).await;
    release(&*follower).await;
}

/// Random batches and retention, with what fails on the way in and on the way out; in the end both hold the same.
async fn f05_faults_on_both_sides_lose_nothing<P: FollowerPlace>(place: P) {
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let primary = Arc::new(MemoryStore::new());
    let reading = Chaos::new(primary.clone());
    reading.fail_reads_at_random(random.random());
    let follower = open(&place).await;
    let writing = ChaosFollower::new(follower.clone(), random.random());
    let (mut fixtures, mut sender) = (Fixtures::few(random.random()), Sender::new());
    for _ in 0..12 {
        let records = fixtures.records(random.random_range(1..60));
        send(&*primary, &sender.batch(records)).await;
        if random.random_bool(0.2) {
            let table = TABLES[random.random_range(0..TABLES.len())];
            primary.prune(table, Timestamp(0), &[], 3).await.expect("the memory store prunes");
        }
        follow(&reading, &writing, random.random_range(1..200)).await;
    }
    let stored = contents(&*primary).await;
    let kept = read_back(&*follower).await;
    // Pruned rows are not taken back from followers.
    let within = |at: usize, row: &Row| {
        let key = TABLES[at].key_len();
        stored.rows[at].iter().any(|known| known[..key] == row[..key])
    };
    let rows = kept.rows.iter().enumerate();
    let rows = rows.map(|(at, rows)| rows.iter().filter(|row| within(at, row)).cloned().collect()).collect();
    assert_same(&Contents { rows, ticks: kept.ticks }, &stored);
    release(&*follower).await;
}

async fn f03_records_of_its_own_end_the_following<P: FollowerPlace>(place: P)
where
    P::Opened: Store,
{
    let primary = MemoryStore::new();
    let id = id_of(&primary);
    commit(&primary, Fixtures::odd(98).records(60)).await;
    let follower = open(&place).await;
    follow(&primary, &*follower, 1000).await;
    commit(&*follower, Fixtures::odd(99).records(20)).await;
    assert_eq!(follower.cursor(id).await.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    follower.clear(id).await.expect("the follower empties itself");
    follow(&primary, &*follower, 1000).await;
    assert_follows(&*follower, &primary).await;
    release(&*follower).await;
}

async fn f03_a_store_does_not_follow_itself<P: FollowerPlace>(place: P)
where
    P::Opened: Store,
{
    let store = open(&place).await;
    assert_eq!(store.cursor(id_of(&*store)).await.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    release(&*store).await;
}

async fn f01_a_follower_is_followed_in_turn<P: FollowerPlace>(place: P)
where
    P::Opened: Store,
{
    let (primary, last) = (MemoryStore::new(), MemoryStore::new());
    let middle = open(&place).await;
    assert_ne!(id_of(&*middle), id_of(&primary));
    let mut fixtures = Fixtures::few(100);
    for _ in 0..3 {
        commit(&primary, fixtures.records(70)).await;
        follow(&primary, &*middle, 40).await;
        follow(&*middle, &last, 31).await;
        assert_follows(&*middle, &primary).await;
        assert_same(&contents(&last).await, &contents(&primary).await);
    }
    // What it came to hold is listed as its own lists are.
    let services = middle.read_rows(Service::TABLE, None, usize::MAX).await.expect("the follower reads rows back");
    assert_eq!(services, contents(&primary).await.rows[0]);
    release(&*middle).await;
}
