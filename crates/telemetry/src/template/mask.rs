//! The masks: one pass over a body that writes it with its variable parts replaced by `<*>`.
//!
//! The text is taken in chunks, that is, runs without white space, quotes, brackets or `, ; = |`. A chunk of letters is
//! copied. Any other chunk is one kind as a whole (time stamp, URL, address, path …) or is masked digit by digit.
//!
//! Why `mask(mask(x)) == mask(x)`: no digit is left in what is written, a literal `<*>` counts as a digit, kinds without
//! digits never match a chunk that holds a `<*>`, and whatever joins two masks ([`put_mask`]) looks only at what is
//! already written. So the second pass sees the same chunks and decides the same.

use memchr::memchr;

use super::bytes::{
    BACKSLASH, COLON, DELIMITER, DIGIT, MARKER, MASK, OTHER_SPECIAL, SLASH, SPACE, class, mask_at,
    without_final_punctuation,
};
use super::segments::{mask_segments, put_mask};
use super::{kinds, timestamp};

/// A chunk with none of these is copied as it is.
const SPECIAL: u8 = DIGIT | COLON | SLASH | BACKSLASH | OTHER_SPECIAL | MARKER;

/// How much of a body is looked at, and how long the masked text may be; the rest becomes one `<*>`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of the body that is read and of the text that is written. At least 16.
    pub(super) bytes: usize,
    /// Tokens separated by white space. At least 1.
    pub(super) tokens: usize,
}

/// Replaces `out` by the masked body. A run of white space becomes one space; there is none at the ends.
pub(super) fn mask(body: &str, limits: Limits, out: &mut Vec<u8>) {
    out.clear();
    let body = body.as_bytes();
    let body = &body[..body.iter().rposition(|&byte| class(byte) & SPACE == 0).map_or(0, |last| last + 1)];
    // The limit may split a character; `cut` drops the whole token it is in.
    let input = &body[..body.len().min(limits.bytes)];
    let mut too_long = input.len() < body.len();

    let mut at = after_space(input, 0);
    let mut copied = at;
    let mut tokens = 1;
    while at < input.len() {
        let found = class(input[at]);
        if found & SPACE != 0 {
            let end = after_space(input, at);
            if end < input.len() {
                tokens += 1;
            }
            if tokens > limits.tokens {
                too_long = true;
                break;
            }
            if end > at + 1 || input[at] != b' ' {
                out.extend_from_slice(&input[copied..at]);
                out.push(b' ');
                copied = end;
            }
            at = end;
        } else if found & DELIMITER != 0 && !mask_at(input, at) {
            at += 1;
        } else {
            let (end, flags) = chunk(input, at);
            if flags & SPECIAL == 0 && !timestamp::may_start(&input[at..end]) {
                at = end;
                continue;
            }
            out.extend_from_slice(&input[copied..at]);
            at = mask_chunk(input, at, end, flags, out);
            copied = at;
        }
    }
    out.extend_from_slice(&input[copied..at]);
    if out.last() == Some(&b' ') {
        out.pop();
    }
    if too_long || out.len() > limits.bytes {
        cut(out, limits.bytes);
    }
}

/// Ends the text with a `<*>` in place of its last token, or of so many that it fits.
fn cut(out: &mut Vec<u8>, limit: usize) {
    let room = out.len().min(limit.saturating_sub(MASK.len()));
    match out[..room].iter().rposition(|&byte| byte == b' ') {
        Some(space) => out.truncate(space + 1),
        None => out.clear(),
    }
    put_mask(out);
}

/// Where the white space that starts at `at` ends. A terminal's colour sequence counts as white space.
fn after_space(input: &[u8], mut at: usize) -> usize {
    while at < input.len() && class(input[at]) & SPACE != 0 {
        let escape = input[at] == 0x1b && input.get(at + 1) == Some(&b'[');
        at += 1;
        if escape {
            at += 1;
            while at < input.len() && matches!(input[at], b'0'..=b'?') {
                at += 1;
            }
            at += usize::from(at < input.len() && matches!(input[at], b'@'..=b'~'));
        }
    }
    at
}

/// The end of the chunk that starts at `start`, and the classes of all its bytes.
fn chunk(input: &[u8], start: usize) -> (usize, u8) {
    let mut at = start;
    let mut flags = 0;
    while at < input.len() {
        let found = class(input[at]);
        if found & (SPACE | DELIMITER) != 0 {
            if !mask_at(input, at) {
                break;
            }
            flags |= MARKER;
            at += MASK.len();
        } else {
            flags |= found;
            at += 1;
        }
    }
    (at, flags)
}

/// Writes one chunk and gives the place to go on from: its end, or a place beyond what it begins (a time stamp with a
/// space in it, a query), or its final punctuation.
fn mask_chunk(input: &[u8], start: usize, end: usize, flags: u8, out: &mut Vec<u8>) -> usize {
    if flags & MARKER == 0
        && (flags & SPECIAL == 0 || input[start].is_ascii_digit())
        && let Some(end) = timestamp::end(input, start)
    {
        put_mask(out);
        return end;
    }
    let whole = &input[start..end];
    let chunk = without_final_punctuation(whole);
    if flags & SPECIAL == 0 || chunk.is_empty() {
        out.extend_from_slice(whole);
        return end;
    }
    let end = start + chunk.len();
    if flags & MARKER == 0 {
        if flags & COLON != 0
            && flags & SLASH != 0
            && let Some(scheme) = kinds::url_start(chunk)
        {
            let url = start + scheme;
            let reached = mask_parts(input, start, url, flags, out);
            if reached > url {
                return reached;
            }
            put_mask(out);
            return kinds::url_end(input, url);
        }
        let one_kind = (flags & BACKSLASH != 0 && kinds::is_windows_path(chunk))
            || (flags & COLON != 0 && flags & DIGIT != 0 && kinds::is_colon_hex(chunk));
        if one_kind {
            put_mask(out);
            return end;
        }
    }
    mask_parts(input, start, end, flags, out)
}

/// Writes what stands between colons, part by part. Ends at `end`, or beyond it where a path has a query.
fn mask_parts(input: &[u8], start: usize, end: usize, flags: u8, out: &mut Vec<u8>) -> usize {
    let mut at = start;
    loop {
        let stop = memchr(b':', &input[at..end]).map_or(end, |length| at + length);
        let part = &input[at..stop];
        let in_tag = at > 0 && input[at - 1] == b'<';
        if flags & SLASH != 0 && !in_tag && kinds::is_path(part) {
            put_mask(out);
            if part.contains(&b'?') {
                return kinds::url_end(input, at).max(end);
            }
        } else if flags & OTHER_SPECIAL != 0 && kinds::is_email(part) {
            put_mask(out);
        } else {
            mask_segments(part, out);
        }
        if stop == end {
            return end;
        }
        out.push(b':');
        at = stop + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::line;
    use super::*;

    const LIMITS: Limits = Limits { bytes: 4096, tokens: 256 };

    fn masked_within(body: &str, limits: Limits) -> String {
        let mut out = Vec::new();
        mask(body, limits, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn masked(body: &str) -> String {
        masked_within(body, LIMITS)
    }

    fn assert_masks(cases: &[(&str, &str)]) {
        for (body, expected) in cases {
            assert_eq!(masked(body), *expected, "of {body:?}");
        }
    }

    #[test]
    fn numbers_go_with_their_sign_and_unit() {
        assert_masks(&[
            ("user=42, took 15ms; path=/a/b", "user=<*>, took <*>; path=<*>"),
            ("-3 +4.5 1e-9 (-1.5E+10)", "<*> <*> <*> (<*>)"),
            ("50% of 1.5GiB, 10KB in 1h2m3.5s", "<*> of <*>, <*> in <*>"),
            ("took 100µs or 3μs.", "took <*> or <*>."),
            ("0x7fFF deadbeef1 deadbeef c0ffee00", "<*> <*> deadbeef <*>"),
            ("1,234,567 rows", "<*> rows"),
            ("a 5. b", "a <*>. b"),
        ]);
    }

    #[test]
    fn words_with_digits_keep_what_is_not_variable() {
        assert_masks(&[
            ("worker-12 pod-7f9c user7 eth0: v1.2.3-rc1", "worker-<*> pod-<*> user<*> eth<*>: v<*>-rc<*>"),
            ("nginx-7f9c8d-x2x4z.default", "nginx-<*>.default"),
            ("HTTP/1.1 utf8 read/write com.foo.Bar$Inner", "HTTP/<*> utf<*> read/write com.foo.Bar$Inner"),
            ("Foo.java:123 Bar@1a2b3c #42", "Foo.java:<*> Bar@<*> #<*>"),
            ("用户42登录成功 café3", "用户<*>登录成功 café<*>"),
        ]);
    }

    #[test]
    fn addresses_and_identifiers_are_one_mask() {
        assert_masks(&[
            ("from 10.0.0.1:8080 to 192.168.0.0/16", "from <*> to <*>"),
            ("[::1]:80 2001:db8::ff00 fe80::1a:ab:cd 00:1B:44:ab:cd:ef", "[<*>]:<*> <*> <*> <*>"),
            ("id 550e8400-e29b-abcd-abcd-446655440000!", "id <*>!"),
            ("req-550e8400-e29b-abcd-abcd-446655440000", "req-<*>"),
            ("mail a.b+c@example.co.uk: sent", "mail <*>: sent"),
            ("user@host x@.y std::vec a::b", "user@host x@.y std::vec a::b"),
        ]);
    }

    #[test]
    fn urls_and_paths_are_one_mask() {
        assert_masks(&[
            ("GET https://x.y/a?b=c&d=e#f, done", "GET <*>, done"),
            ("jdbc:postgresql://db/app \"url\":\"http://a\"", "jdbc:<*> \"url\":\"<*>\""),
            ("(see http://x.y/z).", "(see <*>)."),
            ("GET /api/users?id=ab&x=y HTTP/2", "GET <*> HTTP/<*>"),
            ("/health ./a ../a ~/a src/foo/bar.rs:12:5 n/a / //", "<*> <*> <*> <*> <*> n/a / //"),
            (r"C:\Users\bob \\host\share \n", r"<*> <*> \n"),
            ("<div>a</div>", "<div>a</div>"),
        ]);
    }

    #[test]
    fn time_stamps_are_one_mask() {
        assert_masks(&[
            ("2024-01-02T03:04:05.678Z a", "<*> a"),
            ("2024-01-02T03:04:05+02:00 a", "<*> a"),
            ("2024-01-02 03:04:05,678 INFO", "<*> INFO"),
            ("2024/01/02 03:04:05 +0200: a", "<*>: a"),
            ("at 03:04 or 03:04:05.678", "at <*> or <*>"),
            ("Jan  2 03:04:05 host app[12]: a", "<*> host app[<*>]: a"),
            ("[Wed Oct 11 14:32:52.123456 2000] [error]", "[<*>] [error]"),
            ("Date: Tue, 02 Jan 2024 03:04:05 GMT", "Date: <*> GMT"),
            ("- - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 5", "- - [<*>] \"GET / HTTP/<*>\" <*> <*>"),
            ("2024-01-02 May 3 Mon", "<*> May <*> Mon"),
        ]);
    }

    #[test]
    fn delimiters_stay_and_lists_become_one() {
        assert_masks(&[
            (r#"{"id":1,"tags":["a","b"],"n":-2}"#, r#"{"id":<*>,"tags":["a","b"],"n":<*>}"#),
            ("ids [1, 2, 3] of (4, 5), 6", "ids [<*>] of (<*>), <*>"),
            ("  a \t b\r\n\tat c  ", "a b at c"),
            ("\u{1b}[32mINFO\u{1b}[0m ready\u{1b}[0m", "INFO ready"),
            ("", ""),
            (" \n", ""),
            ("=;,\"", "=;,\""),
            ("::: ... ?", "::: ... ?"),
        ]);
    }

    #[test]
    fn a_literal_mask_counts_as_a_digit() {
        assert_masks(&[
            ("<*>", "<*>"),
            ("a <*> user<*> <*>b <*><*> x-<*>", "a <*> user<*> <*> <*> x-<*>"),
            ("<<*>> <*", "<<*>> <*"),
        ]);
    }

    #[test]
    fn what_is_beyond_a_limit_is_one_mask() {
        let limits = Limits { bytes: 16, tokens: 3 };
        for (body, expected) in [
            ("a b c", "a b c"),
            ("a b c d e", "a b <*>"),
            ("a b c\u{1b}[0m", "a b c"),
            ("abcdefghijklmnop", "abcdefghijklmnop"),
            ("abcdefghijklmnopq", "<*>"),
            ("abc defghijklmnopqrst", "abc <*>"),
            ("abcd aaaaaaaaaaü", "abcd <*>"),
            ("1;1;1;1;1;1;1;1", "<*>"),
            ("abcdefghijk 1;1", "abcdefghijk <*>"),
            ("a b;1;1;1;1 1", "a <*>"),
        ] {
            assert_eq!(masked_within(body, limits), expected, "of {body:?}");
        }
    }

    #[test]
    fn a_huge_token_is_read_no_further_than_the_limit() {
        for huge in ["a", "1", ":", "/", "-", "<*>", "é", "\"", "1,", "a=", "\u{1b}[", "://", "%", "[1, "] {
            let text = masked(&huge.repeat(1 << 20));
            assert!(text.len() <= LIMITS.bytes, "{} bytes of {huge:?}", text.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn masking_a_masked_text_changes_nothing(body in line(12), bytes in 16_usize..100, tokens in 1_usize..8) {
            for limits in [LIMITS, Limits { bytes, tokens }] {
                let text = masked_within(&body, limits);
                prop_assert!(text.len() <= limits.bytes);
                prop_assert!(!text.bytes().any(|byte| byte.is_ascii_digit()), "{:?}", text);
                prop_assert_eq!(masked_within(&text, limits), text);
            }
        }

        #[test]
        fn any_text_can_be_masked_twice(body in any::<String>()) {
            let text = masked(&body);
            prop_assert_eq!(masked(&text), text);
        }
    }
}
