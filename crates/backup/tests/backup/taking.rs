//! Taking: whole, sound, beside others, and never in the place of another one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::Duration;

use tallybook_backup::{Keep, Rule, TakeOptions, restore, take};
use tallybook_sqlite::{Cancel, ErrorKind};

use crate::support::{DataFolder, files, rows};

const ALL: [&str; 5] = [
    "artifacts/run-1/report.html",
    "databases/notes.db",
    "tallybook.db",
    "ticks/2026/11/ticks_2026-11-01.parquet",
    "ticks/2026/11/ticks_2026-11-02.db",
];

#[test]
fn a_backup_has_everything_that_is_kept_and_says_so() {
    let data = DataFolder::new();
    let found = data.take();
    let manifest = found.verify().unwrap();
    let paths: Vec<&str> = manifest.files.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ALL);
    let mut expected: Vec<String> = ALL.map(str::to_owned).into();
    expected.push("manifest.json".to_owned());
    expected.sort();
    assert_eq!(files(&found.path), expected);
    assert_eq!(manifest.files[1].rows, [("item".to_owned(), 2)].into());
    assert!(manifest.files.iter().all(|entry| entry.sha256.len() == 64 && !entry.linked));
}

#[test]
fn ten_backups_in_a_second_have_ten_names() {
    let data = DataFolder::new();
    let names = thread::scope(|scope| {
        let taking: Vec<_> = (0..10).map(|_| scope.spawn(|| data.take().name)).collect();
        let mut names: Vec<_> = taking.into_iter().map(|taken| taken.join().unwrap()).collect();
        names.sort();
        names.dedup();
        names
    });
    assert_eq!(names.len(), 10);
    let found = data.target().list().unwrap();
    assert_eq!(found.len(), 10);
    for found in found {
        found.verify().unwrap();
    }
}

#[test]
fn what_did_not_change_is_one_file_with_the_backup_before() {
    let data = DataFolder::new();
    data.settle();
    let first = data.take();
    data.main.execute("INSERT INTO item VALUES ('new')", ()).unwrap();
    let second = data.take();
    let inode = |found: &tallybook_backup::Found, path: &str| fs::metadata(found.path.join(path)).unwrap().ino();
    for path in &ALL[3..] {
        assert_eq!(inode(&first, path), inode(&second, path), "{path}");
    }
    assert_ne!(inode(&first, "tallybook.db"), inode(&second, "tallybook.db"));
    let manifest = second.verify().unwrap();
    assert!(manifest.own_bytes() < manifest.bytes());
    // The first one goes, the second one stays whole.
    fs::remove_dir_all(&first.path).unwrap();
    second.verify().unwrap();
    // A change is noticed.
    fs::write(data.path().join(ALL[3]), "PAR1 sealed again PAR1").unwrap();
    let third = data.take();
    assert_eq!(fs::read_to_string(third.path.join(ALL[3])).unwrap(), "PAR1 sealed again PAR1");
}

#[test]
fn a_compressed_backup_is_smaller_and_verified_alike() {
    let data = DataFolder::new();
    let found = data.take_with(&TakeOptions { compress: true, ..TakeOptions::default() });
    let manifest = found.verify().unwrap();
    let main = manifest.files.iter().find(|entry| entry.path == "tallybook.db").unwrap();
    assert!(main.compressed && main.stored_bytes < main.bytes / 2, "{main:?}");
    assert!(found.path.join("tallybook.db.zst").exists() && !found.path.join("tallybook.db").exists());
    // Compressed already.
    assert!(found.path.join(ALL[3]).exists());
}

#[test]
fn only_so_many_and_none_too_old_stay() {
    let data = DataFolder::new();
    let keep = |count, age| {
        let all = Rule { count, age };
        TakeOptions { keep: Keep { all, ..Keep::default() }, ..TakeOptions::default() }
    };
    let names: Vec<_> = (0..4).map(|_| data.take().name).collect();
    let last = data.take_with(&keep(Some(3), None)).name;
    let left: Vec<_> = data.target().list().unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(left, [last, names[3].clone(), names[2].clone()]);
    thread::sleep(Duration::from_millis(20));
    data.take_with(&keep(None, Some(Duration::from_millis(1))));
    assert_eq!(data.target().list().unwrap().len(), 1);
}

#[test]
fn a_database_stays_as_long_as_its_own_rule_says_and_what_is_left_can_be_restored() {
    for compress in [false, true] {
        let data = DataFolder::new();
        fs::copy(data.path().join("databases/notes.db"), data.path().join("databases/audit.db")).unwrap();
        let count = |count| Rule { count: Some(count), age: None };
        let databases = [("notes".to_owned(), count(4)), ("audit".to_owned(), count(1))].into();
        let options = TakeOptions { compress, keep: Keep { all: count(2), databases }, ..TakeOptions::default() };
        let taken: Vec<_> = (0..6).map(|_| data.take_with(&options).name).collect();
        let left = data.target().list().unwrap();
        let names: Vec<_> = left.iter().rev().map(|found| found.name.clone()).collect();
        assert_eq!(names, taken[2..]);
        let content = |place: usize| {
            let manifest = left[place].verify().unwrap();
            (manifest.files.len(), manifest.let_go)
        };
        assert_eq!([content(0), content(1), content(2), content(3)], [(6, 0), (5, 1), (1, 5), (1, 5)]);
        for found in &left {
            let manifest = found.manifest.as_ref().unwrap();
            assert_eq!(files(&found.path).len(), manifest.files.len() + 1, "no other file is left, but the manifest");
        }
        restore(&left[3], &data.elsewhere(), &mut |_| ()).unwrap();
        let others = ["tallybook.db", "databases/audit.db"].map(|path| data.elsewhere().join(path).exists());
        assert_eq!(others, [false, false]);
        assert_eq!(rows(&data.elsewhere().join("databases/notes.db")), ["one", "two"]);
    }
}

#[test]
fn what_a_removal_left_that_was_cut_off_goes_with_the_next_backup() {
    let data = DataFolder::new();
    let count = |count| Rule { count: Some(count), age: None };
    let databases = [("notes".to_owned(), count(4))].into();
    let options = TakeOptions { keep: Keep { all: count(1), databases }, ..TakeOptions::default() };
    let first = data.take_with(&options);
    data.take_with(&options);
    // As after a crash behind the new manifest: a file that it does not name any more.
    fs::write(first.path.join("tallybook.db"), "left").unwrap();
    data.take_with(&options);
    assert_eq!(files(&first.path).len(), 2, "the database that stays, and the manifest");
}

#[test]
fn a_database_may_stay_until_it_has_an_age_of_its_own() {
    let data = DataFolder::new();
    let rule = |age| Rule { count: None, age: Some(age) };
    let databases = [("notes".to_owned(), rule(Duration::from_secs(3_600)))].into();
    let keep = Keep { all: rule(Duration::from_millis(1)), databases };
    let options = TakeOptions { keep, ..TakeOptions::default() };
    data.take_with(&options);
    thread::sleep(Duration::from_millis(20));
    data.take_with(&options);
    let left = data.target().list().unwrap();
    let paths: Vec<_> = left[1].verify().unwrap().files.into_iter().map(|entry| entry.path).collect();
    assert_eq!((left.len(), paths), (2, vec!["databases/notes.db".to_owned()]));
}

#[test]
fn a_damaged_database_makes_no_backup_and_takes_none_away() {
    let data = DataFolder::new();
    let good = data.take();
    let path = data.path().join("databases/notes.db");
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[length - 4_096..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let all = Rule { count: Some(1), age: None };
    let options = TakeOptions { keep: Keep { all, ..Keep::default() }, ..TakeOptions::default() };
    let error = take(&data.path(), &data.target(), &options, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("notes.db"), "{error}");
    let left = data.target().list().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name, good.name);
    left[0].verify().unwrap();
    let names: Vec<String> = files(data.target().folder()).into_iter().filter(|path| path.starts_with('.')).collect();
    assert_eq!(names, [""; 0], "nothing unfinished stays");
}

#[test]
fn a_backup_that_is_cancelled_leaves_nothing() {
    let data = DataFolder::new();
    let options = TakeOptions { cancel: Cancel::new(), ..TakeOptions::default() };
    let cancel = options.cancel.clone();
    let error = take(&data.path(), &data.target(), &options, &mut |_| cancel.cancel()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(files(data.target().folder()), ["notes.txt"]);
}

#[test]
fn a_folder_with_nothing_in_it_is_no_backup() {
    let data = DataFolder::new();
    let error = take(&data.elsewhere(), &data.target(), &TakeOptions::default(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("there is nothing to back up"), "{error}");
    assert_eq!(files(data.target().folder()), ["notes.txt"]);
}

#[test]
fn days_that_move_while_they_are_copied_are_in_it_all_the_same() {
    let data = DataFolder::new();
    let database = data.path().join(ALL[4]);
    let sealed = database.with_extension("parquet");
    let mut moved = false;
    let mut seal = |progress: tallybook_backup::Progress| {
        if !moved && progress.file == "tallybook.db" {
            fs::write(&sealed, "PAR1 the second PAR1").unwrap();
            fs::remove_file(&database).unwrap();
            moved = true;
        }
    };
    let found = take(&data.path(), &data.target(), &TakeOptions::default(), &mut seal).unwrap();
    let manifest = found.verify().unwrap();
    assert!(manifest.files.iter().any(|entry| entry.path == "ticks/2026/11/ticks_2026-11-02.parquet"), "{manifest:?}");
    assert!(!manifest.files.iter().any(|entry| entry.path == ALL[4]));
}

#[test]
fn a_link_is_not_followed() {
    let data = DataFolder::new();
    std::os::unix::fs::symlink("/etc/passwd", data.path().join("artifacts/link")).unwrap();
    assert_eq!(data.take().verify().unwrap().files.len(), ALL.len());
}
