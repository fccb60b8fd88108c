//! The body of a log record as the miner sees it, and as an example.

use std::fmt::Write as _;

use crate::otlp::{AnyValue, Attributes, Text};

/// The keys under which structured logs keep their message, best first.
const MESSAGE_KEYS: [&[u8]; 4] = [b"message", b"msg", b"body", b"event"];

/// How a body is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    String,
    KvList,
    Array,
    Other,
}

impl BodyKind {
    pub(super) const COUNT: usize = 4;

    pub(super) fn of(body: AnyValue<'_>) -> Self {
        match body {
            AnyValue::String(_) => Self::String,
            AnyValue::KvList(_) => Self::KvList,
            AnyValue::Array(_) => Self::Array,
            AnyValue::Empty | AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_) | AnyValue::Bytes(_) => {
                Self::Other
            }
        }
    }
}

/// What of a structured body is mined as if it were a string: its message, where it has one.
pub(super) fn message(pairs: Attributes<'_>) -> Option<Text<'_>> {
    let rank = |key: &[u8]| MESSAGE_KEYS.iter().position(|known| *known == key);
    let messages = pairs.iter().filter_map(|pair| match pair.value {
        AnyValue::String(text) if !text.is_empty() => Some((rank(pair.key.as_bytes())?, text)),
        _ => None,
    });
    messages.min_by_key(|(rank, _)| *rank).map(|(_, text)| text)
}

/// The shape of a body without a message: its keys in order, its values variable.
pub(super) fn shape(body: AnyValue<'_>) -> String {
    match body {
        AnyValue::KvList(pairs) => {
            let mut keys: Vec<_> = pairs.iter().map(|pair| pair.key).collect();
            keys.sort_unstable();
            keys.dedup();
            let keys: Vec<String> = keys.iter().map(|key| format!("{}=<*>", key.to_str())).collect();
            format!("{{{}}}", keys.join(", "))
        }
        AnyValue::Array(values) if values.is_empty() => "[]".into(),
        AnyValue::Array(_) => "[<*>]".into(),
        _ => "<*>".into(),
    }
}

/// A body to be read by people, not much longer than `max_bytes`.
pub(super) fn example(body: AnyValue<'_>, max_bytes: usize) -> String {
    let mut text = String::new();
    write(body, max_bytes, true, &mut text);
    text
}

/// Ends early where the text is long enough: it is cut there anyway.
fn write(value: AnyValue<'_>, max_bytes: usize, outermost: bool, out: &mut String) {
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::String(text) => {
            let bytes = text.as_bytes();
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(max_bytes.saturating_add(1))]);
            if outermost { out.push_str(&text) } else { push(out, format_args!("{text:?}")) }
        }
        AnyValue::Bool(flag) => push(out, format_args!("{flag}")),
        AnyValue::Int(number) => push(out, format_args!("{number}")),
        AnyValue::Double(number) => push(out, format_args!("{number}")),
        AnyValue::Bytes(bytes) => push(out, format_args!("<{} bytes>", bytes.len())),
        AnyValue::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if out.len() > max_bytes {
                    return;
                }
                out.push_str(if at > 0 { ", " } else { "" });
                write(value, max_bytes, false, out);
            }
            out.push(']');
        }
        AnyValue::KvList(pairs) => {
            out.push('{');
            for (at, pair) in pairs.iter().enumerate() {
                if out.len() > max_bytes {
                    return;
                }
                out.push_str(if at > 0 { ", " } else { "" });
                push(out, format_args!("{}=", pair.key.to_str()));
                write(pair.value, max_bytes, false, out);
            }
            out.push('}');
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = out.write_fmt(text);
}
