//! A disk that is full, and has room again.

use tallybook_core::{Applied, ErrorKind, Outcome, Records, Store as _};

use crate::support::{Sender, SmallDisk, attribute_keys, number_of_keys, open, plain};

#[tokio::test]
async fn a_full_disk_is_unavailable_and_writing_goes_on_once_there_is_room() {
    let disk = SmallDisk::mount(16);
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0; 12 << 20]).unwrap();
    let store = open(disk.path()).unwrap();
    let mut sender = Sender::new();
    let mut committed = 0;
    let (refused, error) = loop {
        let rows = attribute_keys(committed, 500);
        let batch = sender.batch(Records { catalogue: rows, ..Records::default() });
        match store.commit(batch.clone()).await {
            Ok(_) => committed += 1,
            Err(error) => break (batch, error),
        }
        assert!(committed < 1_000, "16 MB are full by now");
    };
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unavailable, Applied::No));
    assert!(error.to_string().contains("the disk is full; make room"), "{error}");
    let before = number_of_keys(&store).await;
    assert!(before > 0, "what was committed is still read");

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(store.commit(refused.clone()).await.unwrap().outcome, Outcome::Applied);
    assert_eq!(store.commit(refused).await.unwrap().outcome, Outcome::Duplicate);
    assert!(number_of_keys(&store).await >= before);
    store.close().await.unwrap();
    let sound: String = plain(disk.path()).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn a_disk_that_is_full_from_the_start_is_one_sentence() {
    for kilobytes_left in [0, 64] {
        let disk = SmallDisk::mount(1);
        std::fs::write(disk.path().join("filler"), vec![0; (1024 - kilobytes_left) << 10]).unwrap();
        let error = open(disk.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("the disk is full; make room"), "{error}");
    }
}
