//! Restoring: what was there comes back, and nothing is overwritten.

use std::fs;

use tallybook_backup::{TakeOptions, restore};
use tallybook_core::Timestamp;
use tallybook_sqlite::ErrorKind;

use crate::support::{DataFolder, files, rows};

#[test]
fn a_restored_folder_has_everything_and_opens() {
    for compress in [false, true] {
        let data = DataFolder::new();
        let found = data.take_with(&TakeOptions { compress, ..TakeOptions::default() });
        data.main.execute("INSERT INTO item VALUES ('later')", ()).unwrap();
        let to = data.elsewhere();
        let restored = restore(&found, &to, &mut |_| ()).unwrap();
        assert_eq!(restored.files, 5);
        assert_eq!(rows(&to.join("tallybook.db")), ["main"]);
        assert_eq!(rows(&to.join("databases/notes.db")), ["one", "two"]);
        assert_eq!(fs::read_to_string(to.join("artifacts/run-1/report.html")).unwrap(), "<p>fine");
        assert!(!files(&to).iter().any(|path| path.starts_with(".restoring")));
    }
}

#[test]
fn a_restore_goes_beside_the_backups_of_a_folder_whose_data_is_gone() {
    let data = DataFolder::new();
    let found = data.take();
    data.main.shutdown().unwrap();
    for gone in ["ticks", "databases", "artifacts"] {
        fs::remove_dir_all(data.path().join(gone)).unwrap();
    }
    fs::remove_file(data.path().join("tallybook.db")).unwrap();
    restore(&found, &data.path(), &mut |_| ()).unwrap();
    assert_eq!(rows(&data.path().join("tallybook.db")), ["main"]);
    assert_eq!(data.target().list().unwrap().len(), 1);
}

#[test]
fn a_restore_overwrites_nothing_and_says_what_is_in_the_way() {
    let data = DataFolder::new();
    let found = data.take();
    let error = restore(&found, &data.path(), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("has ticks already") && error.contains("--to"), "{error}");
    assert_eq!(rows(&data.path().join("tallybook.db")), ["main"]);
}

#[test]
fn a_folder_that_somebody_uses_is_refused() {
    let data = DataFolder::new();
    let found = data.take();
    fs::create_dir(data.elsewhere()).unwrap();
    let _held = tallybook_sqlite::FolderLock::take(&data.elsewhere().join("tallybook.db"), "a server").unwrap();
    let error = restore(&found, &data.elsewhere(), &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("a server"), "{error}");
}

#[test]
fn a_backup_that_was_changed_is_not_restored() {
    let data = DataFolder::new();
    let found = data.take();
    let path = found.path.join("artifacts/run-1/report.html");
    fs::write(&path, "<p>evil").unwrap();
    for error in [found.verify().map(|_| ()), restore(&found, &data.elsewhere(), &mut |_| ()).map(|_| ())] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("report.html is not what was backed up"), "{error}");
    }
    assert_eq!(files(&data.elsewhere()), ["tallybook.lock"]);
}

#[test]
fn the_newest_backup_of_a_time_is_found() {
    let data = DataFolder::new();
    let target = data.target();
    assert!(target.newest(None).unwrap().is_none());
    let before = Timestamp::now();
    let first = data.take();
    let between = Timestamp::now();
    let second = data.take();
    let name = |at| target.newest(at).unwrap().map(|(found, _)| found.name);
    assert_eq!(name(None), Some(second.name.clone()));
    assert_eq!(name(Some(between)), Some(first.name));
    assert_eq!(name(Some(before)), None);
    // One that cannot be read is listed, and passed over.
    fs::write(second.path.join("manifest.json"), "{").unwrap();
    assert_eq!(target.list().unwrap().len(), 2);
    assert_ne!(name(None), Some(second.name));
}
