//! Values of answers as JSON.

use duckdb::types::{TimeUnit, Value};
use serde_json::{Map, Number, Value as Json, json};
use tallybook_core::{DAY, Timestamp};

const SECOND: i64 = 1_000_000_000;

/// A value as JSON: times in RFC 3339, a blob as `{"base64": "…"}`, and a number that JSON does not have exactly as a text.
pub(crate) fn to_json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(truth) => truth.into(),
        Value::TinyInt(int) => int.into(),
        Value::SmallInt(int) => int.into(),
        Value::Int(int) => int.into(),
        Value::BigInt(int) => int.into(),
        Value::UTinyInt(int) => int.into(),
        Value::USmallInt(int) => int.into(),
        Value::UInt(int) => int.into(),
        Value::UBigInt(int) => int.into(),
        Value::HugeInt(int) => i64::try_from(int).map_or_else(|_| int.to_string().into(), Json::from),
        Value::UHugeInt(int) => u64::try_from(int).map_or_else(|_| int.to_string().into(), Json::from),
        // By its own digits: 0.1 is not 0.10000000149011612.
        Value::Float(real) => real.to_string().parse().map_or(Json::Null, number),
        Value::Double(real) => number(real),
        Value::Decimal(decimal) => exactly(&decimal.to_string()),
        Value::Timestamp(unit, time) => moment(unit, time),
        Value::Date32(days) => day(days),
        Value::Time64(unit, time) => clock(in_nanoseconds(unit, time).unwrap_or_default()),
        Value::Interval { months, days, nanos } => interval(months, days, nanos).into(),
        Value::Text(text) | Value::Enum(text) => text.into(),
        Value::Blob(bytes) | Value::Geometry(bytes) => json!({ "base64": base64(&bytes) }),
        Value::List(values) | Value::Array(values) => values.into_iter().map(to_json).collect(),
        Value::Struct(fields) => {
            let field = |(name, value): &(String, Value)| (name.clone(), to_json(value.clone()));
            Json::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| (text_of(&to_json(key.clone())), to_json(value.clone()));
            Json::Object(pairs.iter().map(pair).collect::<Map<_, _>>())
        }
        Value::Union(value) => to_json(*value),
        // A type that came later.
        value => format!("{value:?}").into(),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn text_of(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn number(real: f64) -> Json {
    Number::from_f64(real).map_or_else(|| real.to_string().into(), Json::Number)
}

/// A number where JSON has it with all its digits.
fn exactly(digits: &str) -> Json {
    const EXACT_DIGITS: usize = 15;
    let is_short = digits.bytes().filter(u8::is_ascii_digit).count() <= EXACT_DIGITS;
    match digits.parse() {
        Ok(real) if is_short => number(real),
        _ => digits.into(),
    }
}

fn in_nanoseconds(unit: TimeUnit, time: i64) -> Option<i64> {
    time.checked_mul(match unit {
        TimeUnit::Second => SECOND,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    })
}

/// Past the years that nanoseconds reach, the number itself.
fn moment(unit: TimeUnit, time: i64) -> Json {
    in_nanoseconds(unit, time).map_or_else(|| time.into(), |time| Timestamp(time).to_string().into())
}

fn day(days: i32) -> Json {
    let start = i64::from(days).checked_mul(DAY).map(|start| Timestamp(start).to_string());
    start.map_or_else(|| days.into(), |start| start.split('T').next().unwrap_or_default().into())
}

fn clock(nanoseconds: i64) -> Json {
    let start = Timestamp(nanoseconds).to_string();
    start.split_once('T').map_or(start.as_str(), |(_, clock)| clock.trim_end_matches('Z')).into()
}

/// `2 months 3 days 04:05:06.5`.
fn interval(months: i32, days: i32, nanoseconds: i64) -> String {
    let mut parts = Vec::new();
    for (number, unit) in [(months, "month"), (days, "day")] {
        if number != 0 {
            parts.push(format!("{number} {unit}{}", if number.abs() == 1 { "" } else { "s" }));
        }
    }
    if nanoseconds != 0 || parts.is_empty() {
        let (sign, all) = (if nanoseconds < 0 { "-" } else { "" }, nanoseconds.unsigned_abs());
        let (seconds, below) = (all / SECOND as u64, all % SECOND as u64);
        let below = if below == 0 { String::new() } else { format!(".{below:09}").trim_end_matches('0').to_owned() };
        parts.push(format!("{sign}{:02}:{:02}:{:02}{below}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_people_and_programs_expect() {
        let connection = duckdb::Connection::open_in_memory().unwrap();
        for (sql, expected) in [
            ("1::UTINYINT", json!(1)),
            ("18446744073709551615::UBIGINT", json!(u64::MAX)),
            ("sum(5::BIGINT)", json!(5)),
            ("170141183460469231731687303715884105727::HUGEINT", json!("170141183460469231731687303715884105727")),
            ("1.08755", json!(1.08755)),
            ("0.1::FLOAT", json!(0.1)),
            ("'NaN'::DOUBLE", json!("NaN")),
            ("1234567890123456.789::DECIMAL(38,3)", json!("1234567890123456.789")),
            ("make_timestamp_ns(1700000000123456789)", json!("2023-11-14T22:13:20.123456789Z")),
            ("TIMESTAMP '2023-11-14 22:13:20'", json!("2023-11-14T22:13:20Z")),
            ("DATE '2023-11-14'", json!("2023-11-14")),
            ("TIME '01:02:03.5'", json!("01:02:03.5")),
            ("INTERVAL 36 HOUR", json!("36:00:00")),
            ("'\\x01\\xff'::BLOB", json!({ "base64": "Af8=" })),
            ("[1, NULL]", json!([1, null])),
            ("{'a': 1, 'b': 'x'}", json!({ "a": 1, "b": "x" })),
            ("MAP {'k': 2}", json!({ "k": 2 })),
            ("true", json!(true)),
            ("NULL", json!(null)),
        ] {
            let value = connection.query_row(&format!("SELECT {sql}"), [], |row| row.get(0));
            assert_eq!(to_json(value.unwrap()), expected, "{sql}");
        }
    }
}
