//! The configuration as JSON Schema, drawn from the types that read it: their comments are its descriptions.
//!
//! Editors complete and check TOML by it; draft 7 is what they know best. What it refuses, [`Config::from_table`] refuses,
//! too; ranges, and values that depend on other sections, are checked there alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mlsm_data::splits::SPLITS;
use mlsm_nets::{BackboneKind, METHODS, MethodKind, Reads};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{Config, MetaTrain};

/// Keys of `[meta-train.NAME]` that only methods with levels take, and the one that only the others take.
const OF_LEVELS: [&str; 2] = ["levels", "object"];
const OF_NO_LEVELS: &str = "image_source";

/// Describes a file of configuration. A layer may lack every key: other layers, or the defaults, say what it does not.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true).with_transform(Tidy);
    let mut generator = settings.into_generator();
    let switches: Vec<_> = METHODS.iter().map(|kind| (kind, switches_of(kind, &mut generator))).collect();
    let mut root = generator.into_root_schema_for::<Config>().to_value();
    root["title"] = json!("Configuration of mlsm");
    root["description"] = json!("A file that `mlsm --config FILE` takes.");
    let extends = "A preset or a file that this one is laid over; a path is relative to this file.";
    root["properties"]["extends"] = json!({ "type": "string", "description": extends });
    add_switches(&mut root["properties"]["meta-train"]["additionalProperties"], &switches);
    root["if"] = json!({ "not": { "required": ["extends"] } });
    root["then"] = without_method_it_is_mlsm(&root["properties"]["meta-train"]["additionalProperties"]);
    root
}

/// The switches of a method, each with its schema.
fn switches_of(kind: &MethodKind, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut schema = kind.schema(generator);
    Tidy.transform(&mut schema);
    match schema.to_value()["properties"].take() {
        Value::Object(properties) => properties,
        _ => Map::new(), // a method without switches
    }
}

/// Puts the switches of all methods beside the keys that every method has, and for each method says which are its own.
fn add_switches(section: &mut Value, switches: &[(&MethodKind, Map<String, Value>)]) {
    let common: Vec<String> = keys(&section["properties"]);
    let mut uses: BTreeMap<&str, Vec<(&str, &Value)>> = BTreeMap::new();
    for (kind, own) in switches {
        own.iter().for_each(|(key, schema)| uses.entry(key).or_default().push((kind.name, schema)));
    }
    for (key, uses) in uses {
        section["properties"][key] = of_any_method(&uses);
    }
    let rules = switches.iter().map(|(kind, own)| {
        let allowed = common.iter().filter(|key| is_of(kind, key)).chain(own.keys());
        let then = json!({ "propertyNames": { "enum": allowed.collect::<Vec<_>>() }, "properties": own });
        json!({ "if": { "properties": { "method": { "const": kind.name } }, "required": ["method"] }, "then": then })
    });
    section["allOf"] = rules.collect();
    section["additionalProperties"] = json!(false);
}

/// Describes a switch where the method is not known: what it means to each, and the values that any of them takes.
fn of_any_method(uses: &[(&str, &Value)]) -> Value {
    let meaning =
        |(name, schema): &(&str, &Value)| format!("`{name}`: {}", schema["description"].as_str().unwrap_or(""));
    let mut values: Vec<Value> = Vec::new();
    for (_, schema) in uses {
        let mut value = (*schema).clone();
        ["description", "default"].iter().for_each(|key| drop(value.as_object_mut().and_then(|o| o.remove(*key))));
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let mut schema = if values.len() == 1 { values.remove(0) } else { json!({ "anyOf": values }) };
    schema["description"] = uses.iter().map(meaning).collect::<Vec<_>>().join("\n").into();
    schema
}

/// Tells whether a method takes a key that is no switch of its own.
fn is_of(kind: &MethodKind, key: &str) -> bool {
    match key {
        key if OF_LEVELS.contains(&key) => kind.has_levels,
        OF_NO_LEVELS => !kind.has_levels,
        "bn_eval" => kind.reads != Reads::Pixels,
        _ => true,
    }
}

/// A file that extends no other leaves the method to the default.
fn without_method_it_is_mlsm(section: &Value) -> Value {
    let default = MetaTrain::default().method;
    let is_default = |rule: &&Value| rule["if"]["properties"]["method"]["const"] == default;
    let rule = section["allOf"].as_array().and_then(|rules| rules.iter().find(is_default)).expect("it is a method");
    let names = &rule["then"]["propertyNames"];
    let section = json!({ "if": { "not": { "required": ["method"] } }, "then": { "propertyNames": names } });
    json!({ "properties": { "meta-train": { "additionalProperties": section } } })
}

fn keys(properties: &Value) -> Vec<String> {
    properties.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
}

/// Takes out what TOML does not have: null, as a type and as a default. Also defaults of whole sections, as each key has its
/// own, and formats of integers, which no editor knows.
#[derive(Clone)]
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(fields) = schema.as_object_mut() else { return };
        fields.remove("format");
        if fields.get("default").is_some_and(|value| value.is_null() || value.is_object()) {
            fields.remove("default");
        }
        if let Some(Value::Array(types)) = fields.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                fields.insert("type".to_owned(), only);
            }
        }
        for word in ["anyOf", "oneOf"] {
            let Some(Value::Array(choices)) = fields.get_mut(word) else { continue };
            choices.retain(|choice| *choice != json!({ "type": "null" }));
            if choices.len() == 1
                && let Some(Value::Object(only)) = fields.remove(word).and_then(|choices| choices.get(0).cloned())
            {
                for (key, value) in only {
                    fields.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// The names of backbones.
pub(super) fn backbone(_: &mut SchemaGenerator) -> Schema {
    one_of(BackboneKind::names())
}

/// The names of methods.
pub(super) fn method(_: &mut SchemaGenerator) -> Schema {
    one_of(METHODS.iter().map(|kind| kind.name))
}

/// The names of published splits, and the two other rules.
pub(super) fn split_rule(_: &mut SchemaGenerator) -> Schema {
    let names = one_of(SPLITS.iter().map(|split| split.name).chain(["random", "file"]));
    let with_seed = json_schema!({ "type": "string", "pattern": "^random:[0-9]+$" });
    json_schema!({ "anyOf": [names, with_seed] })
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> Schema {
    json_schema!({ "type": "string", "enum": words.collect::<Vec<_>>() })
}

/// A set of levels as it is written: I, G and O in any order, joined by `+`.
pub(super) struct LevelsText;

impl JsonSchema for LevelsText {
    fn schema_name() -> Cow<'static, str> {
        "Levels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let usual = one_of(["I", "G", "O", "I+G", "I+O", "G+O", "I+G+O"].into_iter());
        let any_order = json_schema!({ "type": "string", "pattern": "^ *[IGO] *([+] *[IGO] *){0,2}$" });
        json_schema!({ "anyOf": [usual, any_order] })
    }
}
