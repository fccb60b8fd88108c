//! The kinds of value that are one `<*>` although not every piece of them holds a digit.

use memchr::memchr_iter;

use super::bytes::{DELIMITER, SPACE, class, without_final_punctuation};

/// From this length on, hexadecimal digits with a decimal one among them are a hash, not a word with a number.
pub(super) const HEX_LENGTH: usize = 8;

pub(super) const UUID_LENGTH: usize = 36;

/// Where in `chunk` the scheme of a URL starts.
pub(super) fn url_start(chunk: &[u8]) -> Option<usize> {
    let colon = chunk.windows(3).position(|window| window == b"://")?;
    let scheme = chunk[..colon]
        .iter()
        .rposition(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.'))
        .map_or(0, |before| before + 1);
    let letter = chunk[scheme..colon].iter().position(u8::is_ascii_alphabetic)?;
    Some(scheme + letter)
}

/// Where the URL (or the path with a query) that starts at `start` ends: before white space or a delimiter other than
/// `=`, and before the punctuation of the sentence around it.
pub(super) fn url_end(input: &[u8], start: usize) -> usize {
    let rest = &input[start..];
    let length =
        rest.iter().position(|&byte| class(byte) & (SPACE | DELIMITER) != 0 && byte != b'=').unwrap_or(rest.len());
    start + without_final_punctuation(&rest[..length]).len()
}

/// `/x`, `./x`, `../x`, `~/x`, and what has at least two slashes between names; never what holds a `<*>`.
pub(super) fn is_path(part: &[u8]) -> bool {
    if !part.contains(&b'/') || part.contains(&b'<') {
        return false;
    }
    match part {
        [b'/', rest @ ..] => rest.iter().any(|&byte| byte != b'/'),
        [b'~' | b'.', b'/', _, ..] | [b'.', b'.', b'/', _, ..] => true,
        _ => {
            let names = part.split(|&byte| byte == b'/');
            names.clone().count() > 2 && names.into_iter().all(is_relative_name)
        }
    }
}

fn is_relative_name(name: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'@' | b'~');
    !name.is_empty() && name.iter().all(allowed)
}

/// `C:\x` or `\\host\share`.
pub(super) fn is_windows_path(chunk: &[u8]) -> bool {
    match chunk {
        [drive, b':', b'\\', _, ..] => drive.is_ascii_alphabetic(),
        [b'\\', b'\\', rest @ ..] => {
            let mut names = rest.split(|&byte| byte == b'\\');
            let mut named = || names.next().is_some_and(|name| !name.is_empty());
            named() && named()
        }
        _ => false,
    }
}

/// An IPv6 address, a hardware address or a time of day: hexadecimal digits between at least two colons.
pub(super) fn is_colon_hex(chunk: &[u8]) -> bool {
    chunk.iter().all(|&byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        && memchr_iter(b':', chunk).count() >= 2
}

/// `name@host.domain`.
pub(super) fn is_email(part: &[u8]) -> bool {
    let Some(at) = part.iter().position(|&byte| byte == b'@') else {
        return false;
    };
    let (name, domain) = (&part[..at], &part[at + 1..]);
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-');
    let in_domain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !name.is_empty()
        && name.iter().all(in_name)
        && domain.iter().all(in_domain)
        && domain.contains(&b'.')
        && !domain.starts_with(b".")
        && !domain.ends_with(b".")
}

/// Five groups of hexadecimal digits, and nothing that continues the last one.
pub(super) fn starts_with_uuid(rest: &[u8]) -> bool {
    let Some(uuid) = rest.get(..UUID_LENGTH) else {
        return false;
    };
    let dashes = uuid[8] == b'-' && uuid[13] == b'-' && uuid[18] == b'-' && uuid[23] == b'-';
    dashes
        && uuid.iter().enumerate().all(|(at, byte)| matches!(at, 8 | 13 | 18 | 23) || byte.is_ascii_hexdigit())
        && !rest.get(UUID_LENGTH).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'<')
}
