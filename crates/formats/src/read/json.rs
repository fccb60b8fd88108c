//! A record as a JSON object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tallybook_core::Timestamp;

use super::values::place;
use super::{Names, Readable, Values};

/// Reads one object.
pub(super) fn record<R: Readable>(bytes: &[u8], names: &mut Names, received: Timestamp) -> Result<R, String> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err("the record is no JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let values = json.deserialize_map(Fields::<R>(PhantomData)).and_then(|values| json.end().map(|()| values));
    let values = values.map_err(|error| {
        let text = error.to_string();
        // Where in the line a field of ours lies helps nobody.
        let sentence = text.rsplit_once(" at line ").map_or(text.as_str(), |(sentence, _)| sentence);
        if error.is_data() { sentence.to_owned() } else { format!("the record is no JSON object: {sentence}") }
    })?;
    R::from_values(&values, names, received)
}

struct Fields<R>(PhantomData<R>);

impl<'de, R: Readable> Visitor<'de> for Fields<R> {
    type Value = Values<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Values::default();
        while let Some(place) = map.next_key_seed(Place::<R>(PhantomData))? {
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let Some(raw) = map.next_value::<Option<&RawValue>>()? else { continue };
            let set = match text(raw.get()) {
                Ok(None) => Ok(()),
                Ok(Some(text)) => values.set::<R>(place, text),
                Err(error) => Err(format!("`{}` {error}", R::FIELDS[place][0])),
            };
            set.map_err(serde::de::Error::custom)?;
        }
        Ok(values)
    }
}

/// The place of a key among the fields.
struct Place<R>(PhantomData<R>);

impl<'de, R: Readable> DeserializeSeed<'de> for Place<R> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<R: Readable> Visitor<'_> for Place<R> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(place::<R>(key))
    }
}

/// What a value says as a text; lists of texts, such as flags, joined as CSV has them.
fn text(raw: &str) -> Result<Option<Cow<'_, str>>, String> {
    let bytes = raw.as_bytes();
    match bytes.first() {
        Some(b'"') if memchr::memchr(b'\\', bytes).is_none() => Ok(Some(Cow::Borrowed(&raw[1..raw.len() - 1]))),
        Some(b'"') => {
            serde_json::from_str(raw).map(|text: String| Some(text.into())).map_err(|error| error.to_string())
        }
        Some(b'[') if raw == "[]" => Ok(None),
        Some(b'[') => match serde_json::from_str::<Vec<&str>>(raw) {
            Ok(texts) => Ok(Some(texts.join("|").into())),
            Err(_) => Err("is a list, not a text or a number".to_owned()),
        },
        Some(b'{') => Err("is an object, not a text or a number".to_owned()),
        _ => Ok(Some(Cow::Borrowed(raw))),
    }
}
