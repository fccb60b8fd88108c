//! What no file of the checkout may say, and what each Rust file says first.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use ignore::WalkBuilder;
use regex::Regex;

/// A text that must not be there.
struct Rule {
    pattern: Regex,
    rust_only: bool,
    why: &'static str,
}

/// Breaches in every file that git does not ignore; works without git, too.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let rules = rules();
    let mut problems = Vec::new();
    let files = WalkBuilder::new(root)
        .hidden(false)
        .parents(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_path(Ord::cmp)
        .build();
    for entry in files {
        let entry = entry?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let content = fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        // What is not UTF-8 is a fixture or a picture, not something we say.
        if let Ok(text) = String::from_utf8(content) {
            check(&rules, entry.path().strip_prefix(root)?, &text, &mut problems);
        }
    }
    Ok(problems)
}

/// Patterns are put together from parts, so that this file does not break its own rules.
fn rules() -> Vec<Rule> {
    let homes = ["farm", "root", "work"].join("|");
    let rule =
        |pattern: &str, rust_only, why| Rule { pattern: Regex::new(pattern).expect("a valid pattern"), rust_only, why };
    vec![
        rule(&format!(r"(?:^|[^A-Za-z0-9_.~-])/(?:{homes})/"), false, "a path of one machine"),
        rule(&format!(r"\b(?:{}|{})!", "todo", "unimplemented"), true, "what is not finished is not merged"),
        rule(&format!(r"#\[{}\b", "ignore"), true, "a test runs or does not exist"),
    ]
}

fn check(rules: &[Rule], path: &Path, text: &str, problems: &mut Vec<String>) {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    for rule in rules.iter().filter(|rule| is_rust || !rule.rust_only) {
        for (index, line) in text.lines().enumerate() {
            if let Some(found) = rule.pattern.find(line) {
                problems.push(format!("{}:{}: {}: {}", path.display(), index + 1, found.as_str().trim(), rule.why));
            }
        }
    }
    if is_rust && !text.starts_with("//!") {
        problems.push(format!("{}:1: begins with `//!` and what the file is for", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check(&rules(), Path::new(path), text, &mut problems);
        problems
    }

    #[test]
    fn a_path_of_one_machine_is_told_with_its_line() {
        for home in ["farm", "root", "work"] {
            for around in ["/{}/x", "see `/{}/x`", "A=/{}/x", "file:///{}/x"] {
                let text = format!("fine\n{}\n", around.replace("{}", home));
                let problems = complaints("docs/page.md", &text);
                assert_eq!(problems.len(), 1, "{text}");
                assert!(problems[0].starts_with("docs/page.md:2: "), "{problems:?}");
            }
        }
    }

    #[test]
    fn other_paths_are_fine() {
        for text in ["a/work/b", "https://example.org/root/x", "./farm/x", "/workshop/x", "/srv/x"] {
            assert!(complaints("docs/page.md", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn unfinished_code_is_told_in_rust_files_only() {
        for (before, after) in
            [("todo", "!()"), ("unimplemented", "!()"), ("#[", "ignore]"), ("#[", "ignore = \"slow\"]")]
        {
            let text = format!("//! x\n{before}{after}\n");
            assert_eq!(complaints("a.rs", &text).len(), 1, "{text}");
            assert!(complaints("a.md", &text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_rust_file_says_what_it_is_for() {
        assert!(complaints("a.rs", "//! Adds.\n").is_empty());
        assert_eq!(complaints("a.rs", "use std::fs;\n"), ["a.rs:1: begins with `//!` and what the file is for"]);
        assert_eq!(complaints("a.rs", "").len(), 1);
    }

    #[test]
    fn ignored_files_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(".gitignore", "made.rs\n");
        write("made.rs", "fn main() {}");
        write(".hidden.rs", "fn main() {}");
        write("picture.rs", "//! fine");
        fs::write(folder.path().join("bytes.md"), [0xff, 0xfe]).unwrap();
        let problems = problems(folder.path()).unwrap();
        assert_eq!(problems, [".hidden.rs:1: begins with `//!` and what the file is for"]);
    }
}
