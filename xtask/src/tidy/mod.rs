//! `cargo xtask tidy`: the rules of the house that a machine can check.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::checkout::Checkout;

mod edges;
mod sources;
mod tree;

/// The page that says which crate may use which.
const ARCHITECTURE: &str = "docs/architecture.md";

/// Checks everything and names every breach at once.
pub(crate) fn run(checkout: &Checkout) -> Result<()> {
    let path = checkout.root.join(ARCHITECTURE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let listed = edges::parse(&page).with_context(|| ARCHITECTURE.to_owned())?;
    let metadata = checkout.metadata()?;

    let actual = edges::actual(&metadata);
    let mut problems = edges::differences(&listed, &actual);
    if !problems.is_empty() {
        eprintln!("if the dependencies are meant, the list is:\n{}", edges::render(&actual));
    }
    problems.extend(tree::problems(&metadata));
    problems.extend(sources::problems(&checkout.root)?);
    if !problems.is_empty() {
        bail!("breaches of the rules: {}\n  {}", problems.len(), problems.join("\n  "));
    }
    Ok(())
}
