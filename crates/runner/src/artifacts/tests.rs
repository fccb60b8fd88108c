//! Artifacts: what is kept, what is refused, and what a folder becomes.

use std::os::unix::fs::symlink;

use super::*;

struct Place {
    _folder: tempfile::TempDir,
    work: PathBuf,
    data: PathBuf,
    artifacts: Artifacts,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (work, data) = (folder.path().join("work"), folder.path().join("data"));
    fs::create_dir(&work).unwrap();
    fs::write(folder.path().join("outside.txt"), "secret").unwrap();
    let limits = ArtifactLimits { max_bytes: 1_000_000, max_entries: 20 };
    Place { artifacts: Artifacts::of(&data, limits), _folder: folder, work, data }
}

impl Place {
    fn keep(&self, path: &str) -> Result<Kept, ArtifactError> {
        self.artifacts.keep(&Root::new(&self.work, &self.work).unwrap(), path)
    }

    fn content(&self, kept: &Kept) -> Vec<u8> {
        let mut content = Vec::new();
        self.artifacts.open(&kept.sha256).unwrap().read_to_end(&mut content).unwrap();
        content
    }
}

#[test]
fn a_file_is_kept_once_by_its_content_with_its_type() {
    let place = place();
    fs::create_dir(place.work.join("out")).unwrap();
    fs::write(place.work.join("out/a.bin"), "hello\n").unwrap();
    fs::write(place.work.join("b"), "hello\n").unwrap();
    let kept = place.keep("out/a.bin").unwrap();
    assert_eq!(kept.sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    assert_eq!((kept.bytes, kept.media_type.as_str(), kept.is_folder), (6, "text/plain; charset=utf-8", false));
    assert_eq!(place.keep(&place.work.join("b").display().to_string()).unwrap(), kept);
    assert_eq!(place.content(&kept), b"hello\n");
    fs::write(place.work.join("c"), b"\x89PNG\r\n\x1a\n0000").unwrap();
    assert_eq!(place.keep("c").unwrap().media_type, "image/png");
    fs::write(place.work.join("d"), br#"{"a": [1]}"#).unwrap();
    assert_eq!(place.keep("d").unwrap().media_type, "application/json");
    fs::write(place.work.join("e"), b"\xff\x00\x01").unwrap();
    assert_eq!(place.keep("./e").unwrap().media_type, "application/octet-stream");
}

#[test]
fn nothing_outside_of_the_working_directory_is_read() {
    let place = place();
    symlink("/etc/passwd", place.work.join("passwd")).unwrap();
    symlink("/etc", place.work.join("etc")).unwrap();
    symlink("../outside.txt", place.work.join("up")).unwrap();
    for path in ["/etc/passwd", "../outside.txt", "passwd", "etc", "etc/passwd", "up", "a/../../outside.txt"] {
        let refused = place.keep(path).unwrap_err();
        assert!(matches!(refused, ArtifactError::Outside { .. }), "{path}: {refused}");
    }
    let wider = Root::new(place.work.parent().unwrap(), &place.work).unwrap();
    assert_eq!(place.content(&place.artifacts.keep(&wider, "../outside.txt").unwrap()), b"secret");
    assert_eq!(place.content(&place.artifacts.keep(&wider, "up").unwrap()), b"secret");
}

#[test]
fn a_link_that_stays_inside_is_followed_where_it_is_named() {
    let place = place();
    fs::write(place.work.join("real"), "x").unwrap();
    symlink("real", place.work.join("latest")).unwrap();
    assert_eq!(place.content(&place.keep("latest").unwrap()), b"x");
}

#[test]
fn a_folder_keeps_a_link_to_etc_as_a_link() {
    let place = place();
    let out = place.work.join("out");
    fs::create_dir_all(out.join("deep/empty")).unwrap();
    fs::write(out.join("deep/a.txt"), "aaa").unwrap();
    symlink("/etc", out.join("etc")).unwrap();
    symlink("/etc/passwd", out.join("deep/passwd")).unwrap();
    std::process::Command::new("mkfifo").arg(out.join("pipe")).status().unwrap();
    let kept = place.keep("out").unwrap();
    assert_eq!((kept.is_folder, kept.left_out, kept.media_type.as_str()), (true, 1, "application/zstd"));
    assert_eq!(place.keep("out").unwrap(), kept, "the same folder is the same artifact");

    let mut archive = tar::Archive::new(zstd::Decoder::new(place.artifacts.open(&kept.sha256).unwrap()).unwrap());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        found.push((entry.path().unwrap().display().to_string(), link.unwrap_or_default(), content));
    }
    let entry = |path: &str, link: &str, content: &str| (path.to_owned(), link.to_owned(), content.to_owned());
    assert_eq!(
        found,
        [
            entry("deep/", "", ""),
            entry("deep/a.txt", "", "aaa"),
            entry("deep/empty/", "", ""),
            entry("deep/passwd", "/etc/passwd", ""),
            entry("etc", "/etc", ""),
        ]
    );
}

#[test]
fn what_is_too_large_or_no_file_is_refused_and_leaves_nothing() {
    let place = place();
    fs::write(place.work.join("large"), vec![0; 1_000_001]).unwrap();
    fs::create_dir(place.work.join("many")).unwrap();
    for number in 0..30 {
        fs::write(place.work.join(format!("many/{number}")), "x").unwrap();
    }
    std::process::Command::new("mkfifo").arg(place.work.join("pipe")).status().unwrap();
    for (path, why) in
        [("large", "1000000 bytes"), ("many", "20 entries"), ("pipe", "neither"), ("none", "No such file")]
    {
        let refused = place.keep(path).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let left = fs::read_dir(place.data.join("artifacts/unfinished")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn what_was_announced_must_come() {
    let place = place();
    let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert!(matches!(place.artifacts.take_expected(&mut &b"other"[..], sha256), Err(ArtifactError::Different { .. })));
    assert!(!place.artifacts.has(sha256));
    assert!(place.artifacts.take_expected(&mut &b"hello\n"[..], sha256).is_ok());
    assert!(place.artifacts.has(sha256));
    for name in ["../../etc/passwd", "", "5891", &"x".repeat(64)] {
        assert!(matches!(place.artifacts.open(name), Err(ArtifactError::Missing { .. })), "{name}");
    }
}

#[test]
fn a_sweep_removes_what_nobody_names_and_a_dry_run_nothing() {
    let place = place();
    let keep = |content: &str| place.artifacts.take(&mut content.as_bytes(), "test").unwrap().sha256;
    let (named, other) = (keep("named"), keep("other one"));
    let names = HashSet::from([named.clone()]);
    let swept = Swept { artifacts: 1, bytes: 9 };
    assert_eq!(place.artifacts.sweep(&names, Duration::from_secs(60), false).unwrap(), Swept::default());
    assert_eq!(place.artifacts.sweep(&names, Duration::ZERO, true).unwrap(), swept);
    assert!(place.artifacts.has(&other));
    assert_eq!(place.artifacts.sweep(&names, Duration::ZERO, false).unwrap(), swept);
    assert_eq!((place.artifacts.has(&named), place.artifacts.has(&other)), (true, false));
}
