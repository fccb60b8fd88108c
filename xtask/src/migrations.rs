//! Migrations are append-only: a database out there has already run them. Every accepted one is listed with its SHA-256
//! in migrations/checksums.txt, in the format of `sha256sum`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use ignore::WalkBuilder;
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::checkout::Checkout;

const MANIFEST: &str = "checksums.txt";

/// Path below migrations/, with its SHA-256 in hex.
type Sums = BTreeMap<String, String>;

/// Compares the folder with its manifest; with `accept`, adds what is new.
pub(crate) fn run(checkout: &Checkout, accept: bool) -> Result<()> {
    check(&checkout.root.join("migrations"), accept)
}

fn check(folder: &Path, accept: bool) -> Result<()> {
    let manifest = folder.join(MANIFEST);
    let accepted = if manifest.exists() { parse(&fs::read_to_string(&manifest)?)? } else { Sums::new() };
    let present = sums(folder)?;
    let mut problems = misnumbered(&present);
    problems.extend(altered(&accepted, &present));
    let new: Vec<&str> = present.keys().filter(|path| !accepted.contains_key(*path)).map(String::as_str).collect();
    if !accept {
        problems.extend(
            new.iter().map(|path| format!("{path} is new; once it is final, run: cargo xtask migrations --accept")),
        );
    }
    if !problems.is_empty() {
        bail!("breaches of append-only: {}\n  {}", problems.len(), problems.join("\n  "));
    }
    if accept && !new.is_empty() {
        fs::write(&manifest, render(&present)).with_context(|| format!("cannot write {}", manifest.display()))?;
        println!("accepted {}", new.join(", "));
    }
    Ok(())
}

/// Accepted migrations that are not what they were.
fn altered(accepted: &Sums, present: &Sums) -> Vec<String> {
    let complaint = |(path, sum): (&String, &String)| match present.get(path) {
        None => Some(format!("{path} was accepted and is gone; restore it")),
        Some(now) if now != sum => {
            Some(format!("{path} was accepted and has changed; restore it and add a new migration"))
        }
        Some(_) => None,
    };
    accepted.iter().filter_map(complaint).collect()
}

/// Names that are not `V1__name.sql`, `V2__…`, counted without a gap in each folder.
fn misnumbered(present: &Sums) -> Vec<String> {
    let name = Regex::new(r"^([a-z-]+)/V([1-9][0-9]*)__[a-z0-9_]+\.sql$").expect("a valid pattern");
    let mut problems = Vec::new();
    let mut versions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for path in present.keys() {
        let Some(captures) = name.captures(path) else {
            problems.push(format!("{path} is not named backend/V1__name.sql"));
            continue;
        };
        let (_, [folder, version]) = captures.extract();
        match version.parse() {
            Ok(version) => versions.entry(folder).or_default().push(version),
            Err(_) => problems.push(format!("{path} has a version that is too large")),
        }
    }
    for (folder, mut versions) in versions {
        versions.sort_unstable();
        if versions.iter().copied().ne(1..=versions.len()) {
            problems.push(format!("{folder} has the versions {versions:?}, which do not count 1, 2, 3 …"));
        }
    }
    problems
}

/// The SHA-256 of every file below the folder, except for the manifest itself.
fn sums(folder: &Path) -> Result<Sums> {
    let mut sums = Sums::new();
    for entry in WalkBuilder::new(folder).standard_filters(false).build() {
        let entry = entry?;
        let path = entry.path();
        let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        if path.is_dir() || name == MANIFEST {
            continue;
        }
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        sums.insert(name, hex::encode(Sha256::digest(content)));
    }
    Ok(sums)
}

fn parse(manifest: &str) -> Result<Sums> {
    let mut sums = Sums::new();
    for (index, line) in manifest.lines().enumerate() {
        let entry = line.split_once("  ").filter(|(sum, path)| is_sha256(sum) && !path.is_empty());
        let Some((sum, path)) = entry else {
            bail!("{MANIFEST}:{}: not a line of sha256sum: {line}", index + 1);
        };
        if sums.insert(path.to_owned(), sum.to_owned()).is_some() {
            bail!("{MANIFEST}:{}: {path} is listed twice", index + 1);
        }
    }
    Ok(sums)
}

fn is_sha256(sum: &str) -> bool {
    sum.len() == 64 && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn render(sums: &Sums) -> String {
    let lines = sums.iter().map(|(path, sum)| format!("{sum}  {path}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            write(&folder, name, content);
        }
        folder
    }

    fn write(folder: &TempDir, name: &str, content: &str) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn complaint(folder: &TempDir, accept: bool) -> String {
        check(folder.path(), accept).unwrap_err().to_string()
    }

    #[test]
    fn accepted_migrations_pass_until_they_change() {
        let folder = folder(&[("sqlite/V1__start.sql", "create table a(b)")]);
        assert!(complaint(&folder, false).contains("V1__start.sql is new"));
        check(folder.path(), true).unwrap();
        check(folder.path(), false).unwrap();

        write(&folder, "sqlite/V1__start.sql", "create table a(c)");
        for accept in [false, true] {
            assert!(complaint(&folder, accept).contains("V1__start.sql was accepted and has changed"));
        }
    }

    #[test]
    fn accepting_a_new_one_refuses_while_an_old_one_differs() {
        let folder = folder(&[("sqlite/V1__start.sql", "1")]);
        check(folder.path(), true).unwrap();
        let before = fs::read(folder.path().join(MANIFEST)).unwrap();

        write(&folder, "sqlite/V1__start.sql", "one");
        write(&folder, "sqlite/V2__more.sql", "2");
        assert!(complaint(&folder, true).contains("changed"));
        assert_eq!(fs::read(folder.path().join(MANIFEST)).unwrap(), before);

        write(&folder, "sqlite/V1__start.sql", "1");
        check(folder.path(), true).unwrap();
        check(folder.path(), false).unwrap();
    }

    #[test]
    fn a_removed_migration_is_missed() {
        let folder = folder(&[("sqlite/V1__a.sql", "1"), ("sqlite/V2__b.sql", "2")]);
        check(folder.path(), true).unwrap();
        fs::remove_file(folder.path().join("sqlite/V2__b.sql")).unwrap();
        assert!(complaint(&folder, false).contains("V2__b.sql was accepted and is gone"));
    }

    #[test]
    fn versions_are_counted_per_backend_without_gaps() {
        let good = folder(&[("sqlite/V1__a.sql", ""), ("sqlite/V2__b.sql", ""), ("postgres/V1__a.sql", "")]);
        check(good.path(), true).unwrap();

        for wrong in ["V3__c.sql", "V1__again.sql"] {
            let folder = folder(&[("sqlite/V1__a.sql", ""), (&format!("sqlite/{wrong}"), "")]);
            assert!(complaint(&folder, true).contains("do not count"), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_is_no_migration_is_named() {
        for wrong in ["V1__a.sql", "sqlite/notes.txt", "sqlite/V01__a.sql", "sqlite/V1__a.sql.orig"] {
            let folder = folder(&[(wrong, "")]);
            assert!(complaint(&folder, true).contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn manifest_reads_back_as_written() {
        let sums = Sums::from([
            ("sqlite/V1__a.sql".to_owned(), "0f".repeat(32)),
            ("sqlite/V2__b.sql".to_owned(), "1e".repeat(32)),
        ]);
        assert_eq!(parse(&render(&sums)).unwrap(), sums);
    }

    #[test]
    fn a_broken_manifest_is_an_error_with_its_line() {
        let good = format!("{}  sqlite/V1__a.sql\n", "0f".repeat(32));
        for (manifest, message) in [
            (format!("{good}nonsense\n"), "checksums.txt:2: not a line"),
            (format!("{}  x\n", "0F".repeat(32)), "checksums.txt:1: not a line"),
            (format!("{good}{good}"), "checksums.txt:2: sqlite/V1__a.sql is listed twice"),
        ] {
            let error = parse(&manifest).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
