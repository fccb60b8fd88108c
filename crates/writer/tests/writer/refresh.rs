//! Several writers on one store come to count under the same templates.

use std::time::Duration;

use tallybook_core::{Condition, Query, StoreExt, Template, TemplateBucket};
use tallybook_writer::{Writer, WriterOptions};
use tokio::time::sleep;

use crate::restore::write_logs;
use crate::support::{Unruly, account, start};

async fn pay(writer: &Writer, users: &[&str]) {
    write_logs(writer, users.iter().map(|user| format!("user {user} paid order 7"))).await;
}

async fn live(store: &Unruly) -> Vec<(String, u64)> {
    let live = Query::new(100).filter(Condition::AtLeast("count", 1.into()));
    let rows = store.list_all::<Template>(live).await.unwrap();
    rows.iter().map(|row| (row.template.to_string(), row.count)).collect()
}

#[tokio::test(start_paused = true)]
async fn templates_of_two_writers_become_one_row() {
    let store = Unruly::shared();
    let writers = [start(&store, &WriterOptions::default()), start(&store, &WriterOptions::default())];
    pay(&writers[0], &["ada"]).await;
    pay(&writers[1], &["ada", "bob"]).await;
    let general = "user <*> paid order <*>".to_owned();
    assert_eq!(live(&store).await, [(general.clone(), 2), ("user ada paid order <*>".to_owned(), 1)]);

    sleep(WriterOptions::default().refresh_every + Duration::from_secs(2)).await;
    assert_eq!(live(&store).await, [(general.clone(), 3)]);
    pay(&writers[0], &["ada", "carol"]).await;
    assert_eq!(live(&store).await, [(general.clone(), 5)]);
    let buckets: Vec<TemplateBucket> = store.list_all(Query::new(100)).await.unwrap();
    let buckets = buckets.iter().filter(|row| row.count > 0);
    assert_eq!(buckets.map(|row| row.count).sum::<u64>(), 10, "by hour and by day");

    // Nothing is left to do: the store is not written to again.
    sleep(WriterOptions::default().refresh_every * 2).await;
    let commits = store.attempts().len();
    sleep(WriterOptions::default().refresh_every * 5).await;
    assert_eq!(store.attempts().len(), commits);
    for writer in &writers {
        assert!(writer.stop(Duration::from_secs(10)).await.drained);
        account(&writer.stats());
    }
}

#[tokio::test(start_paused = true)]
async fn lines_of_one_kind_that_two_writers_saw_one_of_each_become_one_row() {
    let store = Unruly::shared();
    let writers = [start(&store, &WriterOptions::default()), start(&store, &WriterOptions::default())];
    pay(&writers[0], &["ada"]).await;
    pay(&writers[1], &["bob"]).await;
    assert_eq!(live(&store).await.len(), 2);

    sleep(WriterOptions::default().refresh_every + Duration::from_secs(2)).await;
    let general = "user <*> paid order <*>".to_owned();
    assert_eq!(live(&store).await, [(general.clone(), 2)]);
    for writer in &writers {
        pay(writer, &["ada", "bob", "carol"]).await;
    }
    sleep(WriterOptions::default().refresh_every + Duration::from_secs(2)).await;
    assert_eq!(live(&store).await, [(general, 8)]);
    for writer in &writers {
        assert!(writer.stop(Duration::from_secs(10)).await.drained);
        account(&writer.stats());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_of_one_writer_is_not_read_again() {
    let store = Unruly::new();
    let writers = [start(&store, &WriterOptions::default()), start(&store, &WriterOptions::default())];
    pay(&writers[0], &["ada"]).await;
    pay(&writers[1], &["ada", "bob"]).await;
    sleep(WriterOptions::default().refresh_every * 3).await;
    assert_eq!(live(&store).await.len(), 2);
}
