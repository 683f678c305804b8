//! The JSON Schema of the configuration: it knows the keys that the configuration knows, and describes each.

use std::collections::BTreeSet;

use mlsm_pipelines::{Config, schema};
use serde_json::{Map, Value};

use crate::config::with;

/// Returns the properties of a part of the schema.
fn properties(schema: &Value) -> &Map<String, Value> {
    schema["properties"].as_object().unwrap_or_else(|| panic!("no properties: {schema}"))
}

/// Follows a key with dots through the schema; sections that are named by the user have one schema for all names.
fn part(path: &str) -> Value {
    path.split('.').fold(schema(), |at, key| match at["properties"].get(key) {
        Some(found) => found.clone(),
        None => at["additionalProperties"].clone(),
    })
}

/// Calls `visit` with each key of the schema and what it says of the key, rules for single methods included.
fn each_key(schema: &Value, at: &str, visit: &mut dyn FnMut(&str, &Value)) {
    match schema {
        Value::Object(fields) => {
            for (word, inner) in fields {
                match (word.as_str(), inner) {
                    // A condition only asks for a value.
                    ("if", _) => {}
                    ("properties", Value::Object(keys)) => keys.iter().for_each(|(key, inner)| {
                        let at = format!("{at}.{key}");
                        visit(&at, inner);
                        each_key(inner, &at, visit);
                    }),
                    (_, inner) => each_key(inner, at, visit),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_key(item, at, visit)),
        _ => {}
    }
}

#[test]
fn every_key_is_described() {
    let mut count = 0;
    let mut bare = Vec::new();
    let mut rules = schema();
    rules.as_object_mut().unwrap().remove("then"); // it only names keys that are described above it
    each_key(&rules, "", &mut |key, described| {
        count += 1;
        if described["description"].as_str().is_none_or(|text| text.len() < 2) {
            bare.push(key.to_owned());
        }
    });
    assert!(bare.is_empty(), "no description: {bare:?}");
    assert!(count > 150, "{count} keys");
}

#[test]
fn it_knows_exactly_the_keys_of_the_configuration_with_their_defaults() {
    let text = r#"
        [data]
        path = "x"
        md5 = "x"
        [data.synthetic]
        seed = 1
        [splits]
        seed = 1
        file = "x"
        [train-base.n]
        seed = 1
        [evaluate]
        episodes = 2
        n_query = 1
        predictions = "all"
        seed = 1
        baselines = []
    "#;
    let resolved = Config::from_table(text.parse().unwrap()).unwrap().resolved();
    for section in ["", "data", "data.synthetic", "splits", "train-base.n", "cam", "extract", "evaluate", "numerics"] {
        let described = if section.is_empty() { schema() } else { part(section) };
        let mut described: BTreeSet<String> = properties(&described).keys().cloned().collect();
        let whole = toml::Value::Table(resolved.clone());
        let found = section.split('.').filter(|s| !s.is_empty()).fold(&whole, |at, key| &at[key]);
        if section.is_empty() {
            described.remove("extends"); // a matter of files, not of what they say together
        }
        assert_eq!(described, found.as_table().unwrap().keys().cloned().collect(), "{section}");
    }
    assert_eq!(part("train-base.any.lr")["default"], 1e-3);
    assert_eq!(part("evaluate.k_shot")["default"], serde_json::json!([1, 5]));
}

#[test]
fn a_method_has_the_keys_of_its_own_beside_those_of_all() {
    let section = part("meta-train.any");
    for method in mlsm_nets::METHODS {
        let is_of = |rule: &&Value| rule["if"]["properties"]["method"]["const"] == method.name;
        let rule = section["allOf"].as_array().unwrap().iter().find(is_of).unwrap();
        let names = rule["then"]["propertyNames"]["enum"].as_array().unwrap();
        for key in method.keys() {
            assert!(names.contains(&key.clone().into()), "{}: {key}", method.name);
            assert!(section["properties"].get(&key).is_some(), "{}: {key}", method.name);
        }
        assert_eq!(names.contains(&"levels".into()), method.has_levels, "{}", method.name);
    }
    // What the schema refuses, the program refuses, too.
    for (set, value) in [("meta-train.mlsm.temperature", "2.0"), ("meta-train.mlsm.image_source", "\"raw\"")] {
        assert!(with(&[(set, value)]).is_err(), "{set}");
    }
}

#[test]
fn nothing_that_toml_lacks_is_in_it() {
    let text = schema().to_string();
    assert!(!text.contains("null"), "{}", &text[text.find("null").unwrap().saturating_sub(200)..]);
}
