//! What stands behind the name of a step: `[option=value]`, `{key: value}` and `--key=value`.

use std::time::Duration;

use serde_json::{Map, Value};

/// Places at which the options may begin that are tried; a name with more brackets than that is only a name.
const MAX_TRIES: usize = 32;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    pub(super) stop_on_error: bool,
    pub(super) expected: Option<Duration>,
    pub(super) parameters: Map<String, Value>,
}

/// The name and the options: they begin at the first place from which everything to the end reads as options.
pub(super) fn split(text: &str) -> (&str, Options) {
    let begins = |&(at, byte): &(usize, u8)| match byte {
        b'[' | b'{' => true,
        b'-' => text[at..].starts_with("--") && (at == 0 || text.as_bytes()[at - 1].is_ascii_whitespace()),
        _ => false,
    };
    for (at, _) in text.bytes().enumerate().filter(begins).take(MAX_TRIES) {
        if let Some(options) = read(&text[at..]) {
            return (text[..at].trim_end(), options);
        }
    }
    (text, Options::default())
}

fn read(text: &str) -> Option<Options> {
    let mut options = Options::default();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        rest = match first {
            b'[' => options.bracket(&rest[1..])?,
            b'{' => options.braces(rest)?,
            b'-' => options.flag(rest.strip_prefix("--")?)?,
            _ => return None,
        }
        .trim_start();
    }
    Some(options)
}

impl Options {
    /// `key=value]`; gives what stands behind it.
    fn bracket<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (inside, rest) = text.split_once(']')?;
        let (key, value) = inside.split_once('=')?;
        let (key, value) = (word(key.trim())?, value.trim());
        match key {
            "stop_on_error" => self.stop_on_error = value.parse().ok()?,
            "duration" => self.expected = Some(seconds(value)?),
            _ => _ = self.parameters.insert(key.to_owned(), typed(value)),
        }
        Some(rest)
    }

    /// JSON, or `{key: value, key: value}` without its quotes.
    fn braces<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let mut json = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
        if let Some(Ok(object)) = json.next() {
            self.parameters.extend(object);
            return Some(&text[json.byte_offset()..]);
        }
        let mut rest = text[1..].trim_start();
        loop {
            if let Some(rest) = rest.strip_prefix('}') {
                return Some(rest);
            }
            let (key, behind) = rest.split_once(':')?;
            let (value, behind) = value_until(behind.trim_start(), &[',', '}'])?;
            self.parameters.insert(word(key.trim())?.to_owned(), value);
            rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
        }
    }

    /// `key=value`, up to a blank.
    fn flag<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (key, behind) = text.split_once('=')?;
        let (value, rest) = value_until(behind, &[' ', '\t']).unwrap_or_else(|| (typed(behind), ""));
        self.parameters.insert(word(key)?.to_owned(), value);
        Some(rest)
    }
}

/// A value in quotes, or up to one of `ends`, which stays; `None` where none of them comes.
fn value_until<'a>(text: &'a str, ends: &[char]) -> Option<(Value, &'a str)> {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let (inside, rest) = text[1..].split_once(quote)?;
        let rest = rest.trim_start_matches(|blank: char| blank.is_whitespace() && !ends.contains(&blank));
        return (rest.is_empty() || rest.starts_with(ends)).then(|| (inside.into(), rest));
    }
    let at = text.find(ends)?;
    Some((typed(text[..at].trim_end()), &text[at..]))
}

fn word(text: &str) -> Option<&str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_word)).then_some(text)
}

/// A number of seconds, or a time such as `5m`.
fn seconds(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

/// A boolean, a whole number, a number or a text, the first that fits; quotes make a text.
pub(super) fn typed(text: &str) -> Value {
    if let Some(inside) = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)) {
        return inside.into();
    }
    match text {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    if let Ok(whole) = text.parse::<i64>() {
        // `007` and `+1` are no numbers to whoever wrote them.
        return if whole.to_string() == text { whole.into() } else { text.into() };
    }
    let looks_like_a_number = text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(number) if looks_like_a_number && number.is_finite() => number.into(),
        _ => text.into(),
    }
}
