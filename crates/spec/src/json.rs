//! JSON as clients send it: every key once, and errors that name the place and the type.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use thiserror::Error as ThisError;

/// Why a text was not read.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub(crate) enum JsonError {
    /// No JSON at all, or more than one text.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but a key of an object stands in it twice.
    #[error("{0}, wanted it once")]
    Doubled(String),
}

/// A JSON value whose objects have no doubled keys, at any depth.
///
/// serde's own maps keep the last of two equal keys, so what was checked by one reader could
/// differ from what another one sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool,
    Number,
    String(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Read one JSON text with nothing after it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, JsonError> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(JsonError::Syntax("it is empty".to_owned()));
        }
        serde_json::from_slice(text).map_err(|error| {
            let said = error.to_string();
            if !error.is_data() {
                return JsonError::Syntax(said);
            }
            let place = format!(" at line {} column {}", error.line(), error.column());
            JsonError::Doubled(said.strip_suffix(&place).unwrap_or(&said).to_owned())
        })
    }

    /// The type's name in sentences: `found a number`.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The string at `place`, or an error that says what is there instead.
    pub(crate) fn into_string(self, place: impl fmt::Display) -> Result<String, String> {
        match self {
            Self::String(text) => Ok(text),
            other => Err(format!("{place}: expected a string, found {}", other.kind())),
        }
    }

    /// The array at `place`.
    pub(crate) fn into_array(self, place: impl fmt::Display) -> Result<Vec<Self>, String> {
        match self {
            Self::Array(items) => Ok(items),
            other => Err(format!("{place}: expected an array, found {}", other.kind())),
        }
    }

    /// The object at `place`.
    pub(crate) fn into_object(self, place: impl fmt::Display) -> Result<BTreeMap<String, Self>, String> {
        match self {
            Self::Object(members) => Ok(members),
            other => Err(format!("{place}: expected an object, found {}", other.kind())),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((key, value)) = members.next_entry::<String, Json>()? {
            match object.entry(key) {
                Entry::Vacant(place) => place.insert(value),
                Entry::Occupied(place) => {
                    let key = place.key();
                    return Err(A::Error::custom(format_args!("the key {key:?} is given twice")));
                }
            };
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, JsonError};

    #[test]
    fn refuses_doubled_keys_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            let error = Json::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, JsonError::Doubled(_)), "{error:?}");
            assert_eq!(error.to_string(), r#"the key "a" is given twice, wanted it once"#);
        }
    }

    #[test]
    fn refuses_what_is_not_one_json_text() {
        for text in ["", " \n", "{", "{} {}", "{'a':1}", "\u{feff}{}", r#""\ud800""#, "nul"] {
            assert!(matches!(Json::parse(text.as_bytes()), Err(JsonError::Syntax(_))), "{text:?}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        assert!(Json::parse("[".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn names_the_place_and_both_types() {
        let found = |text: &str| Json::parse(text.as_bytes()).unwrap();
        assert_eq!(found("1").into_string("name"), Err("name: expected a string, found a number".into()));
        assert_eq!(found("{}").into_array("origins"), Err("origins: expected an array, found an object".into()));
        assert_eq!(found("null").into_object("meta"), Err("meta: expected an object, found null".into()));
    }
}
