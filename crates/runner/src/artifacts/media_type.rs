//! The media type of a content, from its first bytes.

/// How much of the content is looked at.
pub(super) const HEAD_BYTES: usize = 8 * 1024;

/// By the signature; else text where it reads as such.
pub(super) fn of(head: &[u8]) -> &'static str {
    if let Some(known) = infer::get(head) {
        return known.mime_type();
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) if error.error_len().is_none() && head.len() == HEAD_BYTES => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return "application/octet-stream",
    };
    if text.contains('\0') {
        return "application/octet-stream";
    }
    let is_json = matches!(text.trim_start().chars().next(), Some('{' | '['))
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok_and(|_| head.len() < HEAD_BYTES);
    if is_json { "application/json" } else { "text/plain; charset=utf-8" }
}
