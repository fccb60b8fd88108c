//! Who knows what is wrong: a server asks whoever starts it, since only that one knows where things lie.

use std::fmt;

use async_trait::async_trait;
use tallybook_doctor::Report;

/// Looks at the store and what belongs to it, and changes nothing.
#[async_trait]
pub trait Doctor: fmt::Debug + Send + Sync {
    /// What was found; with `full` every page, segment and backup is read as well, where there are some.
    async fn examine(&self, full: bool) -> Report;
}
