//! Which crate uses which: the list in docs/architecture.md against what cargo says.
//!
//! The list is a code block with the info string `edges`. Each line is `crate -> dep, dep (dev)`: folders of this
//! workspace and fenced external crates; `(dev)` marks what only tests use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Dependency, DependencyKind, Metadata, Package};

use super::ARCHITECTURE;

/// External crates that have a home. Who may use one is said by the list, nowhere else.
const FENCED: &[&str] =
    &["axum", "clickhouse", "deadpool-postgres", "duckdb", "parquet", "rusqlite", "tokio-postgres", "tonic"];

/// Every crate with what it uses.
pub(crate) type Edges = BTreeMap<String, BTreeSet<Dep>>;

/// The end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dep {
    name: String,
    dev: bool,
}

impl fmt::Display for Dep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.dev { " (dev)" } else { "" };
        write!(f, "{}{mark}", self.name)
    }
}

/// Reads the list out of the page.
pub(crate) fn parse(page: &str) -> Result<Edges> {
    let mut lines = page.lines();
    if !lines.any(|line| line.trim_end() == "```edges") {
        bail!("has no code block with the info string `edges`");
    }
    let mut edges = Edges::new();
    for line in lines {
        if line.trim_end() == "```" {
            return Ok(edges);
        }
        if line.trim().is_empty() {
            continue;
        }
        let (krate, deps) = parse_line(line).with_context(|| format!("not `crate -> dep, dep (dev)`: {line}"))?;
        if edges.insert(krate.to_owned(), deps).is_some() {
            bail!("`{krate}` has two lines in the list of edges");
        }
    }
    bail!("the list of edges does not end with ```")
}

fn parse_line(line: &str) -> Option<(&str, BTreeSet<Dep>)> {
    let (krate, deps) = line.split_once("->")?;
    let krate = name(krate)?;
    let mut set = BTreeSet::new();
    if deps.trim().is_empty() {
        return Some((krate, set));
    }
    for dep in deps.split(',') {
        let (dep, dev) = match dep.trim().strip_suffix("(dev)") {
            Some(dep) => (dep, true),
            None => (dep, false),
        };
        let dep = Dep { name: name(dep)?.to_owned(), dev };
        if !set.insert(dep) {
            return None;
        }
    }
    Some((krate, set))
}

fn name(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (!text.is_empty() && text.chars().all(is_name)).then_some(text)
}

/// What the manifests say, optional dependencies and those of other platforms included.
pub(crate) fn actual(metadata: &Metadata) -> Edges {
    let packages = metadata.workspace_packages();
    let folders: BTreeMap<&str, &str> =
        packages.iter().map(|package| (package.name.as_str(), folder(package))).collect();
    packages
        .iter()
        .map(|package| {
            let deps = deps(&package.dependencies, &folders);
            (folder(package).to_owned(), deps)
        })
        .collect()
}

fn deps(dependencies: &[Dependency], folders: &BTreeMap<&str, &str>) -> BTreeSet<Dep> {
    let mut kinds: BTreeMap<&str, bool> = BTreeMap::new();
    for dependency in dependencies {
        let name = dependency.name.as_str();
        let known = match folders.get(name) {
            Some(folder) => folder,
            None if FENCED.contains(&name) => name,
            None => continue,
        };
        // What ships is the stronger statement when a crate is there for tests as well.
        let dev = dependency.kind == DependencyKind::Development;
        kinds.entry(known).and_modify(|only_dev| *only_dev &= dev).or_insert(dev);
    }
    kinds.into_iter().map(|(name, dev)| Dep { name: name.to_owned(), dev }).collect()
}

fn folder(package: &Package) -> &str {
    let manifest = &package.manifest_path;
    manifest.parent().and_then(|folder| folder.file_name()).unwrap_or(package.name.as_str())
}

/// What is on one side only.
pub(crate) fn differences(listed: &Edges, actual: &Edges) -> Vec<String> {
    let mut problems = Vec::new();
    for (krate, deps) in actual {
        let Some(allowed) = listed.get(krate) else {
            problems.push(format!("`{krate}` has no line in the list of {ARCHITECTURE}"));
            continue;
        };
        problems.extend(
            deps.difference(allowed)
                .map(|dep| format!("`{krate} -> {dep}` is a dependency, but not in the list of {ARCHITECTURE}")),
        );
    }
    for (krate, allowed) in listed {
        let Some(deps) = actual.get(krate) else {
            problems.push(format!("`{krate}` is in the list of {ARCHITECTURE}, but not in the workspace"));
            continue;
        };
        problems.extend(allowed.difference(deps).map(|dep| {
            format!("`{krate} -> {dep}` is in the list of {ARCHITECTURE}, but there is no such dependency")
        }));
    }
    problems
}

/// The list as a code block for the page.
pub(crate) fn render(edges: &Edges) -> String {
    let line = |(krate, deps): (&String, &BTreeSet<Dep>)| {
        let deps: Vec<String> = deps.iter().map(Dep::to_string).collect();
        format!("{krate} -> {}", deps.join(", ")).trim_end().to_owned()
    };
    let lines: Vec<String> = edges.iter().map(line).collect();
    format!("```edges\n{}\n```", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(lines: &str) -> Edges {
        parse(&format!("# A page\n\n```edges\n{lines}\n```\nmore\n")).unwrap()
    }

    fn first_difference(listed: &str, actual: &str) -> String {
        differences(&edges(listed), &edges(actual)).swap_remove(0)
    }

    #[test]
    fn reads_the_block_and_nothing_around_it() {
        let page = "a -> b\n```text\nc -> d\n```\n```edges\ncore ->\n\ncli->core,  rusqlite (dev)\n```\ne -> f\n";
        let read = parse(page).unwrap();
        assert_eq!(render(&read), "```edges\ncli -> core, rusqlite (dev)\ncore ->\n```");
    }

    #[test]
    fn what_is_rendered_reads_back() {
        let list = edges("core ->\nserver -> axum, core, tonic\ntests -> core (dev), tonic (dev)");
        assert_eq!(parse(&render(&list)).unwrap(), list);
    }

    #[test]
    fn a_broken_list_is_an_error() {
        for (page, message) in [
            ("no block", "has no code block"),
            ("```edges\na -> b\n", "does not end"),
            ("```edges\na\n```", "not `crate -> dep, dep (dev)`: a"),
            ("```edges\na -> b,\n```", "not `crate -> dep, dep (dev)`: a -> b,"),
            ("```edges\na -> b, b\n```", "not `crate -> dep, dep (dev)`: a -> b, b"),
            ("```edges\na -> b c\n```", "not `crate -> dep, dep (dev)`: a -> b c"),
            ("```edges\na -> b\na -> c\n```", "`a` has two lines"),
        ] {
            let error = format!("{:#}", parse(page).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn equal_lists_have_no_differences() {
        let list = edges("core ->\nwriter -> core, store-memory (dev)");
        assert!(differences(&list, &list).is_empty());
    }

    #[test]
    fn an_edge_that_is_not_listed_is_told() {
        assert_eq!(
            first_difference("server -> axum", "server -> axum, rusqlite"),
            "`server -> rusqlite` is a dependency, but not in the list of docs/architecture.md"
        );
    }

    #[test]
    fn an_edge_that_is_gone_is_told() {
        assert_eq!(
            first_difference("server -> axum, tonic", "server -> axum"),
            "`server -> tonic` is in the list of docs/architecture.md, but there is no such dependency"
        );
    }

    #[test]
    fn a_test_dependency_that_begins_to_ship_is_told() {
        assert_eq!(
            first_difference("writer -> store-memory (dev)", "writer -> store-memory"),
            "`writer -> store-memory` is a dependency, but not in the list of docs/architecture.md"
        );
    }

    #[test]
    fn crates_on_one_side_only_are_told() {
        assert!(first_difference("core ->", "core ->\nnew ->").starts_with("`new` has no line"));
        assert!(first_difference("core ->\nold ->", "core ->").starts_with("`old` is in the list"));
    }
}
