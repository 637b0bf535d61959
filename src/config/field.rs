//! One setting as serde reads it: its position, and its value or what is wrong with it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::value::Datetime;

use crate::config::places;
use crate::config::problem::quoted;

/// A setting, or nothing where it is not set.
///
/// It deserializes from any value: a wrong one is kept as an error, so that one run reports everything that
/// is wrong with the settings.
pub(super) struct Field<T: FieldType = Any>(Option<Read<T::Value>>);

struct Read<V> {
    found: Found,
    value: Result<V, String>,
}

/// A value with its position.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// What a setting may be.
pub(super) trait FieldType {
    /// What it is read as.
    type Value;

    /// # Errors
    /// What is allowed, for people.
    fn read(value: &Value) -> Result<Self::Value, String>;
}

/// What a secret must be.
#[derive(Clone, Copy)]
pub(super) struct SecretKind {
    /// In words.
    pub(super) allowed: &'static str,
    /// Refuses what can never work, not what is merely weak.
    pub(super) is_usable: fn(&str) -> bool,
}

/// Any value: what it may be depends on other settings, or it is a list or a secret.
pub(super) struct Any;

/// A value before its type is known.
#[derive(Clone)]
pub(super) enum Value {
    Boolean(bool),
    Integer(i128),
    List(Vec<Found>),
    /// A number with a point or a date, which no setting is.
    Other(String),
    /// A variable's value or one item of its list: a number, a text or a list, as the setting requires.
    Plain(String),
    Table,
    Text(String),
}

// === impl Field ===

impl<T: FieldType> Field<T> {
    pub(super) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn found(&self) -> Option<&Found> {
        self.0.as_ref().map(|read| &read.found)
    }

    /// The value as it was found, and as it was read; the error says what is allowed instead.
    pub(super) fn read(&self) -> Option<(&Found, &Result<T::Value, String>)> {
        self.0.as_ref().map(|read| (&read.found, &read.value))
    }
}

impl Field {
    /// The same setting, read as what other settings require.
    pub(super) fn as_type<T: FieldType>(&self) -> Field<T> {
        let read = self.0.as_ref().map(|read| read.found.clone());
        Field(read.map(|found| Read { value: T::read(&found.value), found }))
    }
}

impl<T: FieldType> Default for Field<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: FieldType> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Found::from(Spanned::deserialize(deserializer)?);
        Ok(Self(Some(Read { value: T::read(&found.value), found })))
    }
}

impl FieldType for Any {
    type Value = ();

    fn read(_: &Value) -> Result<(), String> {
        Ok(())
    }
}

// === impl Found ===

impl From<Spanned<Value>> for Found {
    fn from(spanned: Spanned<Value>) -> Self {
        let at = spanned.span().start;
        match spanned.into_inner() {
            Value::Text(text) if places::is_variable(at) => Self { at, value: Value::Plain(text) },
            value => Self { at, value },
        }
    }
}

// === impl Value ===

impl Value {
    /// The text, quoted in the file or plain in the environment.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Plain(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value for a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Integer(integer) => integer.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Other(text) | Self::Plain(text) | Self::Text(text) => quoted(text),
            Self::Table => "a table".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Boolean(boolean))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Value, E> {
        Ok(Value::Integer(integer.into()))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Value, E> {
        Ok(Value::Integer(integer.into()))
    }

    fn visit_i128<E>(self, integer: i128) -> Result<Value, E> {
        Ok(Value::Integer(integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Other(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        // This is how the TOML reader hands out a date.
        let date = Datetime::deserialize(MapAccessDeserializer::new(map));
        Ok(date.map_or(Value::Table, |date| Value::Other(date.to_string())))
    }
}
