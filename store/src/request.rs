//! Requests: what is asked of a stage, and how two of them differ, in words.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Digest, Fingerprint, encoding};

/// A value of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(#[serde(serialize_with = "real::serialize")] f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
}

/// JSON has no infinities and no "not a number": these are written as `{"float": "inf"}`, or they would come back as
/// nothing, and the manifest with another fingerprint than its own.
mod real {
    use serde::{Deserialize, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Named {
        pub(super) float: String,
    }

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            return serializer.serialize_f64(*value);
        }
        Named { float: value.to_string() }.serialize(serializer)
    }
}

/// Written by hand: manifests hold many values, and trying one variant after the other makes an error for each.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a recipe")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let real::Named { float } = real::Named::deserialize(MapAccessDeserializer::new(map))?;
        float.parse().map(Value::Float).map_err(serde::de::Error::custom)
    }
}

macro_rules! from {
    ($($type:ty => |$v:ident| $value:expr),+ $(,)?) => {
        $(impl From<$type> for Value {
            fn from($v: $type) -> Self {
                $value
            }
        })+
    };
}

from! {
    bool => |v| Self::Bool(v),
    i64 => |v| Self::Int(v),
    u32 => |v| Self::Int(i64::from(v)),
    f64 => |v| Self::Float(v),
    &str => |v| Self::Text(v.to_owned()),
    String => |v| Self::Text(v),
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Text(v) => f.write_str(v),
            Self::List(values) => {
                let shown: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", shown.join(", "))
            }
        }
    }
}

/// A named value of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The name.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// A named input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The name.
    pub name: String,
    /// The bytes.
    pub digest: Digest,
}

/// Everything that determines a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The stage.
    pub stage: String,
    /// The version of its code.
    pub version: u32,
    /// Its recipe, in order.
    pub recipe: Vec<Field>,
    /// Its inputs, in order.
    pub inputs: Vec<Input>,
}

impl Request {
    /// Returns the canonical bytes (`README.md`, Fingerprints).
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(self)
    }

    /// Reads what [`Request::encode`] wrote; `None` when the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        encoding::decode(bytes)
    }

    /// Returns the identity of this request.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_bytes(*Digest::of(&self.encode()).as_bytes())
    }

    /// Lists what differs from an earlier request, in order.
    ///
    /// ```
    /// use mlsm_store::{Difference, Request};
    ///
    /// let old = Request { stage: "crop".to_owned(), version: 1, recipe: Vec::new(), inputs: Vec::new() };
    /// let new = Request { version: 2, ..old.clone() };
    /// assert_ne!(new.fingerprint(), old.fingerprint());
    /// assert_eq!(new.differences(&old), [Difference::Version { old: 1, new: 2 }]);
    /// ```
    pub fn differences(&self, old: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.stage != old.stage {
            found.push(Difference::Stage { old: old.stage.clone(), new: self.stage.clone() });
        }
        if self.version != old.version {
            found.push(Difference::Version { old: old.version, new: self.version });
        }
        let fields = |r: &Self| r.recipe.iter().map(|f| (f.key.clone(), f.value.clone())).collect::<Vec<_>>();
        for (key, old, new) in changes(fields(old), fields(self)) {
            found.push(Difference::Field { key, old, new });
        }
        let inputs = |r: &Self| r.inputs.iter().map(|i| (i.name.clone(), i.digest)).collect::<Vec<_>>();
        for (name, old, new) in changes(inputs(old), inputs(self)) {
            found.push(Difference::Input { name, old, new });
        }
        found
    }
}

/// Returns the names whose value differs: those of the new list in its order, then those that are gone.
fn changes<V: Clone + PartialEq>(old: Vec<(String, V)>, new: Vec<(String, V)>) -> Vec<(String, Option<V>, Option<V>)> {
    let before: BTreeMap<&str, &V> = old.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let now: BTreeMap<&str, &V> = new.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let changed = new.iter().filter(|(k, v)| before.get(k.as_str()) != Some(&v));
    let changed = changed.map(|(k, v)| (k.clone(), before.get(k.as_str()).map(|v| (*v).clone()), Some(v.clone())));
    let gone = old.iter().filter(|(k, _)| !now.contains_key(k.as_str()));
    changed.chain(gone.map(|(k, v)| (k.clone(), Some(v.clone()), None))).collect()
}

/// One difference between two requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Difference {
    /// Another stage.
    Stage {
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// Another version of the code.
    Version {
        /// Before.
        old: u32,
        /// Now.
        new: u32,
    },
    /// Another value in the recipe.
    Field {
        /// The name.
        key: String,
        /// Before; nothing when it is new.
        old: Option<Value>,
        /// Now; nothing when it is gone.
        new: Option<Value>,
    },
    /// Other bytes.
    Input {
        /// The name.
        name: String,
        /// Before; nothing when it is new.
        old: Option<Digest>,
        /// Now; nothing when it is gone.
        new: Option<Digest>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage { old, new } => write!(f, "the stage changed from {old} to {new}"),
            Self::Version { old, new } => write!(f, "the stage version changed from {old} to {new}"),
            Self::Field { key, old: Some(old), new: Some(new) } => write!(f, "`{key}` changed from {old} to {new}"),
            Self::Field { key, old: None, .. } => write!(f, "`{key}` is new"),
            Self::Field { key, new: None, .. } => write!(f, "`{key}` is gone"),
            Self::Input { name, old: Some(old), new: Some(new) } => {
                write!(f, "{name} changed ({}… to {}…)", &old.short()[..6], &new.short()[..6])
            }
            Self::Input { name, old: None, .. } => write!(f, "{name} is new"),
            Self::Input { name, new: None, .. } => write!(f, "{name} is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            stage: "train".to_owned(),
            version: 1,
            recipe: vec![
                Field { key: "lr".to_owned(), value: Value::from(0.1) },
                Field { key: "shots".to_owned(), value: Value::from(vec![1i64, 5]) },
            ],
            inputs: vec![Input { name: "photo 1 a.jpg".to_owned(), digest: Digest::of(b"a") }],
        }
    }

    #[test]
    fn differences_are_told_in_words() {
        let (old, mut new) = (request(), request());
        assert!(new.differences(&old).is_empty());
        new.recipe[0].value = Value::from(0.2);
        new.inputs[0].digest = Digest::of(b"b");
        new.inputs.push(Input { name: "photo 2 b.jpg".to_owned(), digest: Digest::of(b"c") });
        let words: Vec<_> = new.differences(&old).iter().map(ToString::to_string).collect();
        assert_eq!(words[0], "`lr` changed from 0.1 to 0.2");
        assert!(words[1].starts_with("photo 1 a.jpg changed ("), "{}", words[1]);
        assert_eq!(words[2], "photo 2 b.jpg is new");
        assert_eq!(old.differences(&new).last().unwrap().to_string(), "photo 2 b.jpg is gone");
    }

    #[test]
    fn every_part_of_a_request_changes_its_fingerprint() {
        let base = request();
        let mut others = Vec::new();
        let mut with = |change: &dyn Fn(&mut Request)| {
            let mut other = base.clone();
            change(&mut other);
            others.push(other);
        };
        with(&|r| r.stage.push('x'));
        with(&|r| r.version += 1);
        with(&|r| r.recipe[0].key.push('x'));
        with(&|r| r.recipe[0].value = Value::from(1i64));
        with(&|r| r.recipe.swap(0, 1));
        with(&|r| r.recipe[1].value = Value::from(vec![5i64, 1]));
        with(&|r| r.recipe.truncate(1));
        with(&|r| r.inputs[0].name.push('x'));
        with(&|r| r.inputs[0].digest = Digest::of(b"x"));
        with(&|r| r.inputs.clear());
        for other in others {
            assert_ne!(other.fingerprint(), base.fingerprint(), "{other:?}");
        }
    }
}
