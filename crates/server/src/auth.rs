//! Whether a request shows the token.

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::Token;

/// Whether `headers` hold `Authorization: Bearer` with `token`; always so without a token. Takes the same time wherever a
/// wrong token differs.
pub(crate) fn is_authorized(token: Option<&Token>, headers: &HeaderMap) -> bool {
    let Some(token) = token else {
        return true;
    };
    let shown = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).and_then(bearer);
    shown.is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_let_in() {
        let token = Token::new("secret").unwrap();
        let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert!(is_authorized(Some(&token), &with("Bearer secret")));
        assert!(is_authorized(Some(&token), &with("bearer secret")));
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer ", "Basic secret", "secret", ""] {
            assert!(!is_authorized(Some(&token), &with(wrong)), "{wrong}");
        }
        assert!(!is_authorized(Some(&token), &HeaderMap::new()));
        assert!(is_authorized(None, &HeaderMap::new()));
    }
}
