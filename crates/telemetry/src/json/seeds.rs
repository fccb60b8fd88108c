//! The shape of the document: objects by the schema, lists, and `null`.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::explain::Step;
use super::transcoder::Transcoder;
use crate::otlp::schema::{Field, Message};
use crate::wire::WireType;

/// The fields of one message.
pub(super) struct Object<'t> {
    pub(super) to: &'t mut Transcoder,
    pub(super) message: &'static Message,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(Name(self.message))? {
            let Some(field) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            self.to.path.push(Step { field, index: None });
            map.next_value_seed(Nullable { to: self.to, field, in_list: false })?;
            self.to.path.pop();
        }
        Ok(())
    }
}

/// The name of a field, found in the schema.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.by_json_name(name))
    }
}

/// What stands after a name or in a list; `null` counts as nothing in both places.
struct Nullable<'t> {
    to: &'t mut Transcoder,
    field: &'static Field,
    in_list: bool,
}

impl<'de> DeserializeSeed<'de> for Nullable<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Nullable<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.field.repeated && !self.in_list {
            json.deserialize_seq(Elements { to: self.to, field: self.field })
        } else {
            self.to.value(self.field, json)
        }
    }
}

/// The elements of a repeated field.
struct Elements<'t> {
    to: &'t mut Transcoder,
    field: &'static Field,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { to, field } = self;
        let packed = (field.kind.wire_type() != WireType::Bytes).then(|| {
            to.writer.tag(field.number, WireType::Bytes);
            to.writer.open()
        });
        for index in 0.. {
            if let Some(step) = to.path.last_mut() {
                step.index = Some(index);
            }
            if list.next_element_seed(Nullable { to, field, in_list: true })?.is_none() {
                break;
            }
        }
        if let Some(start) = packed {
            to.writer.close(start);
        }
        Ok(())
    }
}
