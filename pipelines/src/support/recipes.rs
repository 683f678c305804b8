//! What made stored features: stage, version and recipe, by which those of another program are told.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_engine::{Graph, UnitRef};
use mlsm_store::{Field, Value};
use serde::{Deserialize, Serialize};

/// How a kind of artifact is made, as far as it does not depend on the shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub stage: String,
    pub version: u32,
    pub fields: BTreeMap<String, Value>,
}

/// Collects the recipes of units by node and aspect: of units that differ, what they have in common.
pub(super) fn of_units(graph: &Graph, units: impl Iterator<Item = UnitRef>) -> BTreeMap<String, Recipe> {
    let mut found = BTreeMap::<String, Recipe>::new();
    for at in units {
        let (node, unit) = (graph.node(at.node), graph.unit(at));
        let name = format!("{} {}", node.id, unit.aspect).trim_end().to_owned();
        let fields: BTreeMap<String, Value> =
            unit.task.recipe().into_iter().map(|Field { key, value }| (key, value)).collect();
        match found.get_mut(&name) {
            Some(known) => known.fields.retain(|key, value| fields.get(key) == Some(value)),
            None => {
                let (stage, version) = (unit.task.stage().to_owned(), unit.task.version());
                found.insert(name, Recipe { stage, version, fields });
            }
        }
    }
    found
}

/// Says where the recipes that made a file differ from those here; `None` where they do not. `is_whole`: those here are of
/// two classes or more; otherwise some may be absent, and have fields of their only shard.
pub(super) fn difference(
    made: &BTreeMap<String, Recipe>,
    here: &BTreeMap<String, Recipe>,
    is_whole: bool,
) -> Option<String> {
    let names: BTreeSet<&String> = made.keys().chain(here.keys()).collect();
    names.into_iter().find_map(|name| match (made.get(name), here.get(name)) {
        (Some(made), Some(here)) if (&made.stage, made.version) != (&here.stage, here.version) => {
            Some(format!("{name} has version {} in it and {} here", made.version, here.version))
        }
        (Some(made), Some(here)) => {
            let more = here.fields.keys().filter(|_| is_whole);
            let keys: BTreeSet<&String> = made.fields.keys().chain(more).collect();
            let key = keys.into_iter().find(|key| made.fields.get(*key) != here.fields.get(*key))?;
            Some(format!("{name} has another {key}"))
        }
        (Some(_), None) => is_whole.then(|| format!("{name} is in it alone")),
        (None, _) => Some(format!("{name} is not in it")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipes(version: u32, fields: &[(&str, i64)]) -> BTreeMap<String, Recipe> {
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), Value::Int(*value))).collect();
        BTreeMap::from([("extract:conv image".to_owned(), Recipe { stage: "extract".to_owned(), version, fields })])
    }

    #[test]
    fn another_version_or_value_is_named_and_of_one_shard_alone_its_own_fields_are_none() {
        let made = recipes(2, &[("width", 8)]);
        assert_eq!(difference(&made, &made, true), None);
        let said = |here, is_whole| difference(&made, &here, is_whole).unwrap_or_default();
        assert_eq!(said(recipes(3, &[("width", 8)]), true), "extract:conv image has version 2 in it and 3 here");
        assert_eq!(said(recipes(2, &[("width", 12)]), false), "extract:conv image has another width");
        let of_class = || recipes(2, &[("width", 8), ("class_id", 7)]);
        assert_eq!(
            (said(of_class(), true), said(of_class(), false)),
            ("extract:conv image has another class_id".to_owned(), String::new())
        );
        assert_eq!(
            (said(BTreeMap::new(), true), said(BTreeMap::new(), false)),
            ("extract:conv image is in it alone".to_owned(), String::new())
        );
        assert_eq!(difference(&BTreeMap::new(), &made, false).unwrap(), "extract:conv image is not in it");
    }
}
