//! `object` of a method without levels: the whole photo, or what an object source cuts out of it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ObjectSource;

/// What a method without levels looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// The whole photo.
    Raw,
    /// What an object source cuts out of it.
    Object(ObjectSource),
}

impl JsonSchema for ImageSource {
    fn schema_name() -> Cow<'static, str> {
        "ImageSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let raw = json_schema!({ "const": "raw", "description": "The whole photo." });
        json_schema!({ "anyOf": [raw, generator.subschema_for::<ObjectSource>()] })
    }
}

impl Serialize for ImageSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw => serializer.serialize_str("raw"),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ImageSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "raw" => Ok(Self::Raw),
            word => ObjectSource::deserialize(word.into_deserializer()).map(Self::Object),
        }
    }
}

impl ImageSource {
    /// Returns the object source, unless it is the whole photo.
    pub fn object(self) -> Option<ObjectSource> {
        match self {
            Self::Raw => None,
            Self::Object(object) => Some(object),
        }
    }
}
