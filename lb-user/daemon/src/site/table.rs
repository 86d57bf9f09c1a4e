//! A TOML table as a file type, with its place.
//!
//! `toml::Spanned` would do, were it not that serde's derive also takes a list for a struct, field by
//! field: `[[director]]` for `[director]`, or `real = [["10.0.0.1", 80]]`, would be taken without a
//! word. Not here: lists and values, for which `Spanned` is right.

use std::{fmt, marker::PhantomData, ops::Range};

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

/// A struct read from a table and from nothing else.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// Where its header is; for an inline table, all of it.
    pub span: Range<usize>,
    /// Its entries.
    pub value: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<MapOnly<T>>::deserialize(deserializer)?;
        Ok(Self {
            span: spanned.span(),
            value: spanned.into_inner().0,
        })
    }
}

struct MapOnly<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for MapOnly<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor(PhantomData)).map(Self)
    }
}

struct Visitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map))
    }
}
