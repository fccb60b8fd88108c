//! A disk that is full, and has room again.

use tallybook_core::{Applied, ErrorKind, Outcome, Records, Store as _};

use tallybook_testing::SmallDisk;

use crate::support::{Sender, attribute_keys, number_of_keys, open, plain};

#[tokio::test]
async fn a_full_disk_is_unavailable_and_writing_goes_on_once_there_is_room() {
    let disk = SmallDisk::new(16).unwrap();
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
        let disk = SmallDisk::new(1).unwrap();
        std::fs::write(disk.path().join("filler"), vec![0; (1024 - kilobytes_left) << 10]).unwrap();
        let error = open(disk.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("the disk is full; make room"), "{error}");
    }
}

#[test]
fn a_disk_that_is_full_in_a_checkpoint_or_a_copy_loses_nothing_and_is_told() {
    use tallybook_sqlite::{Cancel, Engine, ErrorKind, Options};
    let disk = SmallDisk::new(16).unwrap();
    let path = disk.path().join("app.db");
    let engine = Engine::open(&path, Options::default()).unwrap();
    engine.script("CREATE TABLE filler (x BLOB); INSERT INTO filler VALUES (randomblob(3000000))").unwrap();
    let filler = disk.path().join("filler");
    let fill = |left: u64| {
        use std::io::Write as _;
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[1; 4_096]).is_ok() {}
        file.set_len(file.metadata().unwrap().len() - left).unwrap();
    };
    // The log has it all, because it is not long enough yet to be moved; the database has no room to grow.
    fill(1 << 20);
    assert_eq!(engine.checkpoint().unwrap_err().kind(), ErrorKind::Full);
    let read = || engine.query("SELECT sum(length(x)) FROM filler", ()).unwrap().rows;
    assert_eq!(read(), [[3_000_000.into()]]);
    std::fs::remove_file(&filler).unwrap();
    assert!(engine.checkpoint().unwrap());

    fill(1 << 20);
    let copy = disk.path().join("copy.db");
    assert_eq!(engine.backup_to(&copy, &Cancel::new(), &mut |_, _| ()).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(read(), [[3_000_000.into()]]);
    std::fs::remove_file(&copy).unwrap();
    std::fs::remove_file(&filler).unwrap();
    engine.shutdown().unwrap();
    assert_eq!(tallybook_sqlite::verify_database(&path).unwrap()["filler"], 1);
}
