//! Backups in an object store: over the wire, to a server that speaks like S3.

use tallybook_backup::{Keep, Remote, Rule, TakeOptions, Target, restore};
use tallybook_sqlite::ErrorKind;

use crate::s3::S3;
use crate::support::{DataFolder, rows};

const URL: &str = "s3://bucket/tally";

fn remote(server: &S3) -> Remote {
    Remote::open(URL, server.settings(S3::known())).unwrap()
}

#[test]
fn a_backup_goes_to_an_object_store_and_comes_back() {
    for compress in [false, true] {
        let (data, server) = (DataFolder::new(), S3::start());
        // More than one part.
        data.main.execute("INSERT INTO item SELECT hex(randomblob(12000000))", ()).unwrap();
        let found = data.take_with(&TakeOptions { compress, ..TakeOptions::default() });
        let remote = remote(&server);
        let uploaded = remote.upload(&found, &mut |_| ()).unwrap();
        // Two of the five are alike.
        assert_eq!((uploaded.sent, uploaded.there), (4, 1));
        let listed = remote.list().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].0, &listed[0].1), (&found.name, &found.manifest));
        let here = Target::new(data.elsewhere().join("backups"));
        let fetched = remote.fetch(&found.name, &here, &mut |_| ()).unwrap();
        restore(&fetched, &data.elsewhere(), &mut |_| ()).unwrap();
        assert_eq!(rows(&data.elsewhere().join("tallybook.db")).len(), 2);
        assert_eq!(rows(&data.elsewhere().join("databases/notes.db")), ["one", "two"]);
    }
}

#[test]
fn what_is_there_is_not_sent_again_and_goes_with_the_last_backup_that_has_it() {
    let (data, server) = (DataFolder::new(), S3::start());
    let remote = remote(&server);
    remote.upload(&data.take(), &mut |_| ()).unwrap();
    data.main.execute("INSERT INTO item VALUES ('new')", ()).unwrap();
    let second = data.take();
    let uploaded = remote.upload(&second, &mut |_| ()).unwrap();
    assert_eq!(uploaded.sent, 1, "the main database alone changed");
    assert_eq!((server.keys("tally/backups/").len(), server.keys("tally/objects/").len()), (2, 5));
    let count = |count| Rule { count: Some(count), age: None };
    let keep = Keep { all: count(1), databases: [("notes".to_owned(), count(2))].into() };
    remote.prune(&keep).unwrap();
    // The older one holds the database that stays longer, and no more.
    let first = remote.list().unwrap().pop().unwrap().1.unwrap();
    assert_eq!((first.files.len(), first.let_go, first.files[0].path.as_str()), (1, 4, "databases/notes.db"));
    assert_eq!((server.keys("tally/backups/").len(), server.keys("tally/objects/").len()), (2, 4));
    remote.prune(&Keep { all: count(1), ..Keep::default() }).unwrap();
    assert_eq!((server.keys("tally/backups/").len(), server.keys("tally/objects/").len()), (1, 4));
    let here = Target::new(data.elsewhere().join("backups"));
    remote.fetch(&second.name, &here, &mut |_| ()).unwrap().verify().unwrap();
}

#[test]
fn what_was_changed_there_is_not_taken_for_a_backup() {
    let (data, server) = (DataFolder::new(), S3::start());
    let remote = remote(&server);
    let found = data.take();
    remote.upload(&found, &mut |_| ()).unwrap();
    let object = server.keys("tally/objects/").remove(0);
    server.objects.lock().unwrap().insert(object, b"evil".to_vec());
    let here = Target::new(data.elsewhere().join("backups"));
    let error = remote.fetch(&found.name, &here, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(here.list().unwrap().is_empty());
}

#[test]
fn a_store_that_refuses_is_one_sentence() {
    let (data, server) = (DataFolder::new(), S3::start());
    let refused = Remote::open(URL, server.settings("another-key")).unwrap();
    let error = refused.upload(&data.take(), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("s3://bucket/tally cannot be") && error.contains("check its URL"), "{error}");
    for url in ["", "bucket", "ftp://x/y"] {
        assert_eq!(Remote::open(url, Vec::new()).unwrap_err().kind(), ErrorKind::Statement, "{url}");
    }
}
