//! The pattern of a span name: the name with its variable parts replaced by `<*>`.
//!
//! A name is masked more carefully than a log body, because a name is meant to be constant: a path keeps its segments
//! (`GET /users/123/orders` is `GET /users/<*>/orders`), and a digit inside a word stays (`/api/v2`, `oauth2.token`,
//! `s3`). A part between white space or one of `/ \ ? & = # : , ; | ( ) [ ] { } < > " '` is variable as a whole when it
//! is a UUID, an e-mail address, an IP address, a long hexadecimal number or a long random-looking word; otherwise
//! those of its pieces between `- _ . ~ + *` are variable that are numbers, hexadecimal or random-looking.

/// What stands for a variable part.
const MASK: &str = "<*>";
/// Hexadecimal digits from this length on, with a decimal one among them, are an identifier.
const HEX_MIN: usize = 8;
/// Letters mixed with digits from this length on are an identifier.
const MIXED_MIN: usize = 16;
/// That many digits among letters are no version or protocol any more.
const DIGITS_MIN: usize = 4;

/// The pattern, where it is another text than the name.
pub(super) fn pattern(name: &str) -> Option<String> {
    if !name.bytes().any(|byte| byte.is_ascii_digit() || byte == b'@') {
        return None;
    }
    let mut pattern = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let part = rest.find(is_delimiter).unwrap_or(rest.len());
        mask_part(&rest[..part], &mut pattern);
        let delimiters = rest[part..].find(|c| !is_delimiter(c)).unwrap_or(rest.len() - part);
        pattern.push_str(&rest[part..part + delimiters]);
        rest = &rest[part + delimiters..];
    }
    (pattern != name).then_some(pattern)
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || "/\\?&=#:,;|()[]{}<>\"'".contains(c)
}

fn mask_part(part: &str, out: &mut String) {
    let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
    let is_version = part
        .strip_prefix(['v', 'V'])
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    if is_version || !(has_digit || part.contains('@')) {
        out.push_str(part);
    } else if is_email(part) || is_uuid(part) || is_numeric(part) {
        out.push_str(MASK);
    } else {
        let mut rest = part;
        while !rest.is_empty() {
            let piece = rest.find(is_joint).unwrap_or(rest.len());
            out.push_str(if is_variable(&rest[..piece]) { MASK } else { &rest[..piece] });
            let joints = rest[piece..].find(|c| !is_joint(c)).unwrap_or(rest.len() - piece);
            out.push_str(&rest[piece..piece + joints]);
            rest = &rest[piece + joints..];
        }
    }
}

fn is_joint(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | '~' | '+' | '*')
}

fn is_email(part: &str) -> bool {
    part.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.'))
}

fn is_uuid(part: &str) -> bool {
    let mut groups = part.split('-');
    let sizes = [8, 4, 4, 4, 12];
    sizes.iter().all(|&size| groups.next().is_some_and(|group| group.len() == size && is_hex(group)))
        && groups.next().is_none()
}

/// Numbers and their joints only, such as a date, a version without a `v`, or an address.
fn is_numeric(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit() || is_joint(byte.into()))
}

fn is_hex(piece: &str) -> bool {
    piece.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_variable(piece: &str) -> bool {
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    digits > 0
        && (digits == piece.len()
            || (piece.len() >= HEX_MIN && is_hex(piece))
            || (piece.len() >= MIXED_MIN && piece.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            || digits >= DIGITS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_variable_parts_of_a_name_are_masked() {
        let names = [
            ("GET /users/123/orders", "GET /users/<*>/orders"),
            ("GET /users/550e8400-e29b-41d4-a716-446655440000", "GET /users/<*>"),
            ("GET /carts/5f3a9c1be77d/items?page=2", "GET /carts/<*>/items?page=<*>"),
            ("job-20240131-retry", "job-<*>-retry"),
            ("process order #4711", "process order #<*>"),
            ("mail to ann@example.com", "mail to <*>"),
            ("GET http://10.0.0.7:8080/health", "GET http://<*>:<*>/health"),
            ("SELECT shop_0042.orders", "SELECT shop_<*>.orders"),
            ("topic user12345 send", "topic <*> send"),
            ("poll dGhpc2lzYXRva2VuMTIz", "poll <*>"),
            ("/api/v2/users/7", "/api/v2/users/<*>"),
        ];
        for (name, expected) in names {
            assert_eq!(pattern(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_constant_name_is_its_own_pattern() {
        let names = [
            "GET /api/v1/users/{id}/orders",
            "GET /api/v1.2/items",
            "oauth2.token",
            "S3.GetObject",
            "HTTP GET",
            "checkout",
            "größe messen",
            "@Scheduled",
            "",
            "<overflow>",
        ];
        for name in names {
            assert_eq!(pattern(name), None, "{name}");
        }
    }

    #[test]
    fn a_pattern_is_its_own_pattern() {
        for name in ["GET /users/123/orders", "a-1-b 2:3", "x@y.z 1"] {
            let masked = pattern(name).expect("has variable parts");
            assert_eq!(pattern(&masked), None, "{masked}");
        }
    }
}
