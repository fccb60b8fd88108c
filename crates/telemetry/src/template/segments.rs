//! Masking by digits: what no kind knows as a whole, and how neighbouring masks become one.

use super::bytes::{COLON, DELIMITER, MASK, SPACE, class};
use super::kinds;

/// Writes a part whose digits are variable: `worker-12` is `worker-<*>`, `user7` is `user<*>`, `7f9c` is `<*>`.
pub(super) fn mask_segments(part: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < part.len() {
        let byte = part[at];
        if is_segment(byte) {
            if kinds::starts_with_uuid(&part[at..]) {
                put_mask(out);
                at += kinds::UUID_LENGTH;
            } else {
                at += mask_segment(&part[at..], out);
            }
        } else if let Some(length) = unit_sign(&part[at..]).filter(|_| out.ends_with(MASK)) {
            at += length;
        } else {
            out.push(byte);
            at += 1;
        }
    }
}

/// True for ASCII letters and digits, and for `<`, which is in a part only as the start of a `<*>`.
fn is_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'<'
}

/// Writes the run of letters, digits and `<*>` at the start of `rest` and gives its length.
fn mask_segment(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    let mut first_digit = None;
    let mut letter_after_digit = false;
    let mut hex = true;
    while at < rest.len() && is_segment(rest[at]) {
        let byte = rest[at];
        if byte.is_ascii_alphabetic() {
            letter_after_digit |= first_digit.is_some();
            hex &= byte.is_ascii_hexdigit();
            at += 1;
        } else {
            first_digit.get_or_insert(at);
            hex &= byte != b'<';
            at += if byte == b'<' { MASK.len() } else { 1 };
        }
    }
    let letters = match first_digit {
        None => return copy(&rest[..at], out),
        Some(_) if letter_after_digit || (hex && at >= kinds::HEX_LENGTH) => 0,
        Some(letters) => letters,
    };
    out.extend_from_slice(&rest[..letters]);
    put_mask(out);
    at
}

fn copy(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(bytes);
    bytes.len()
}

/// The length of a per cent sign, or of `µs` in either spelling, that ends here and belongs to the number before it.
fn unit_sign(rest: &[u8]) -> Option<usize> {
    let length = match rest {
        [b'%', ..] => 1,
        [0xc2, 0xb5, b's', ..] | [0xce, 0xbc, b's', ..] => 3,
        _ => return None,
    };
    (!rest.get(length).is_some_and(|&next| is_segment(next))).then_some(length)
}

/// Ends the text with a `<*>`, which takes in a sign before it and joins a `<*>` that one of `. , - + : / _` parts from
/// it: `-1.5`, `10.0.0.1:80`, `1,2,3` and `03:04:05` are one. So are lists such as `[1, 2, 3]`.
pub(super) fn put_mask(out: &mut Vec<u8>) {
    loop {
        match out.as_slice() {
            [.., b'<', b'*', b'>'] => return,
            [.., b'<', b'*', b'>', b'.' | b',' | b'-' | b'+' | b':' | b'/' | b'_'] => {
                out.pop();
                return;
            }
            [.., b'[' | b'(', b'<', b'*', b'>', b',', b' '] => {
                out.truncate(out.len() - 2);
                return;
            }
            [b'-' | b'+'] => out.clear(),
            [.., before, b'-' | b'+'] if class(*before) & (SPACE | DELIMITER | COLON) != 0 => {
                out.pop();
            }
            _ => break,
        }
    }
    out.extend_from_slice(MASK);
}
