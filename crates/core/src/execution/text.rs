//! Text of jobs, made fit to be stored.

use std::sync::Arc;

/// The text without zero bytes, which not every store can keep, and at most `max_bytes` long.
pub(super) fn clean(text: &str, max_bytes: usize) -> Arc<str> {
    let end = (0..=max_bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let text = &text[..end];
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// The same of a text that may be absent; an empty one is.
pub(super) fn clean_option(text: Option<&str>, max_bytes: usize) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(|text| clean(text, max_bytes))
}
