//! Names as every store can hold them.

use std::borrow::Cow;

/// The longest name, in bytes. With it, no key of a table outgrows an index page of any store.
pub(super) const NAME_MAX_BYTES: usize = 512;

/// What an empty name is shown as.
pub(super) const UNNAMED: &str = "<unnamed>";

/// The text of a name: U+FFFD in place of NUL (which PostgreSQL has no place for) and of what is not UTF-8, and cut.
pub(super) fn clean(name: &[u8]) -> Cow<'_, str> {
    clean_to(name, NAME_MAX_BYTES)
}

/// As [`clean`], cut where it is longer than `max_bytes`; then it ends with `…`.
pub(super) fn clean_to(text: &[u8], max_bytes: usize) -> Cow<'_, str> {
    // One more than can stay, so that what is cut in the middle of a character is known to be too long.
    let text = String::from_utf8_lossy(&text[..text.len().min(max_bytes.saturating_add(1))]);
    let text = if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { text };
    if text.len() <= max_bytes {
        return text;
    }
    let ellipsis = "…";
    let room = max_bytes.saturating_sub(ellipsis.len());
    let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}{ellipsis}", &text[..end]))
}

/// As [`clean`], with [`UNNAMED`] for an empty name.
pub(super) fn clean_name(name: &[u8]) -> Cow<'_, str> {
    if name.is_empty() { Cow::Borrowed(UNNAMED) } else { clean(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_every_store_can_hold_is_borrowed() {
        assert!(matches!(clean("größe".as_bytes()), Cow::Borrowed("größe")));
    }

    #[test]
    fn nul_and_what_is_not_utf8_become_replacement_characters() {
        assert_eq!(clean(b"a\0b\xFFc"), "a\u{FFFD}b\u{FFFD}c");
    }

    #[test]
    fn long_names_are_cut_at_a_character_and_end_with_an_ellipsis() {
        for name in ["x".repeat(513), "ä".repeat(400), "€".repeat(171), "\u{10348}".repeat(900), "\0".repeat(400)] {
            let text = clean(name.as_bytes());
            assert!(text.len() <= NAME_MAX_BYTES && text.len() > NAME_MAX_BYTES - 8, "{}", text.len());
            assert!(text.ends_with('…'));
            assert!(name.replace('\0', "\u{FFFD}").starts_with(text.trim_end_matches('…')));
        }
        assert_eq!(clean("x".repeat(512).as_bytes()), "x".repeat(512));
        assert_eq!(clean_to(b"abc", 0), "…");
    }
}
