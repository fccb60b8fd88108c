//! What the whole dependency tree may hold.

use cargo_metadata::Metadata;

/// Crates that must not come in by any way: TLS is rustls here, so that a build needs no OpenSSL.
const BANNED: &[&str] = &["native-tls", "openssl-sys"];

/// Breaches of the rules about the tree.
pub(crate) fn problems(metadata: &Metadata) -> Vec<String> {
    let tree: Vec<String> =
        metadata.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    let mut problems = tree_problems(&tree);
    problems.extend(name_problems(metadata.workspace_packages().iter().map(|package| package.name.as_str())));
    problems
}

/// Takes `name version` of everything that is compiled in.
fn tree_problems(tree: &[String]) -> Vec<String> {
    let versions = |name: &str| -> Vec<&str> {
        tree.iter()
            .filter_map(|package| package.split_once(' '))
            .filter(|(other, _)| *other == name)
            .map(|(_, version)| version)
            .collect()
    };
    let mut problems: Vec<String> = BANNED
        .iter()
        .filter(|name| !versions(name).is_empty())
        .map(|name| format!("{name} is in the dependency tree (cargo tree --target all --invert {name})"))
        .collect();
    let sqlite = versions("libsqlite3-sys");
    if sqlite.len() != 1 {
        problems.push(format!(
            "there must be one libsqlite3-sys, two SQLites in one process corrupt files: found {sqlite:?}"
        ));
    }
    problems
}

fn name_problems<'a>(workspace: impl Iterator<Item = &'a str>) -> Vec<String> {
    workspace
        .filter(|name| *name == "core")
        .map(|name| format!("a package called `{name}` breaks the expansions of macros that say ::core"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(tree: &[&str]) -> Vec<String> {
        let tree: Vec<String> = tree.iter().map(ToString::to_string).collect();
        tree_problems(&tree)
    }

    #[test]
    fn one_sqlite_and_no_openssl_is_fine() {
        assert!(complaints(&["libsqlite3-sys 0.39.1", "rustls 0.23.0"]).is_empty());
    }

    #[test]
    fn two_sqlites_or_none_are_told() {
        let two = complaints(&["libsqlite3-sys 0.39.1", "libsqlite3-sys 0.30.0"]);
        assert!(two[0].contains("0.39.1"), "{two:?}");
        assert!(two[0].contains("0.30.0"), "{two:?}");
        assert_eq!(complaints(&["rustls 0.23.0"]).len(), 1);
    }

    #[test]
    fn openssl_is_told() {
        let problems = complaints(&["libsqlite3-sys 0.39.1", "openssl-sys 0.9.1", "native-tls 0.2.0"]);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn a_package_called_core_is_told() {
        assert_eq!(name_problems(["core", "tallybook-core"].into_iter()).len(), 1);
    }
}
