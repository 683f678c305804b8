//! The layers of a configuration: how each is read and laid over the ones below it.
//!
//! Paths are made absolute in the layer they come from: relative to the file they stand in, or to the working folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mlsm_store::is_address;
use toml::{Table, Value};

use crate::error::CliError;
use crate::presets;

/// The keys whose values are paths.
const PATHS: [[&str; 2]; 2] = [["data", "path"], ["splits", "file"]];

/// Keys whose values are texts, whatever they look like: a folder may be named `2024` or `1e5`. `*` is the name of a section.
const TEXTS: [&str; 8] = [
    "data.path",
    "data.md5",
    "splits.file",
    "splits.rule",
    "cam.localiser",
    "train-base.*.weights",
    "meta-train.*.embedding",
    "meta-train.*.method",
];

/// How many files may extend one another.
const DEPTH: usize = 8;

/// Variables that are no keys of the configuration.
const FLAGS: [&str; 9] = [
    "MLSM_CACHE",
    "MLSM_CONFIG",
    "MLSM_DEVICE",
    "MLSM_JOB",
    "MLSM_OUTPUT",
    "MLSM_STORE",
    "MLSM_THREADS",
    "MLSM_TRIAL",
    "MLSM_WEIGHTS_MIRROR",
];

/// Layers that lie over one another, as one table, and where each value in it comes from.
#[derive(Debug, Default)]
pub struct Layers {
    /// The values.
    pub table: Table,
    /// For each key, with dots between its sections: a file, a preset, a variable or a flag.
    pub origins: BTreeMap<String, String>,
}

impl Layers {
    /// Lays a table over the others.
    fn lay(&mut self, over: Table, origin: &str) {
        note(&over, "", origin, &mut self.origins);
        merge(&mut self.table, over);
    }
}

/// Notes the origin of each value in a table.
fn note(table: &Table, section: &str, origin: &str, origins: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match value {
            Value::Table(table) => note(table, &key, origin, origins),
            _ => {
                origins.insert(key, origin.to_owned());
            }
        }
    }
}

/// Reads a file, or a preset when no such file exists, with everything it extends below it.
pub fn read(reference: &str, here: &Path) -> Result<Layers, CliError> {
    read_layer(reference, here, DEPTH)
}

fn read_layer(reference: &str, base: &Path, depth: usize) -> Result<Layers, CliError> {
    if depth == 0 {
        let why = format!("more than {DEPTH} configurations extend one another");
        return Err(CliError::usage(format!("cannot read `{reference}`"), why, "remove an `extends` that goes round"));
    }
    let (text, folder, origin) = text_of(reference, base)?;
    let mut table: Table = toml::from_str(&text).map_err(|e| {
        let at = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let why = format!("line {at}: {}", e.message());
        CliError::usage(format!("cannot read `{reference}`"), why, "mend that line; configs/README.md has examples")
    })?;
    let extends = table.remove("extends");
    make_absolute(&mut table, &folder);
    let mut layers = match extends {
        None => Layers::default(),
        Some(Value::String(below)) => read_layer(&below, &folder, depth - 1)?,
        Some(_) => {
            let what = format!("cannot use `extends` of `{reference}`");
            return Err(CliError::usage(what, "it is not a string", "name one preset or one file: extends = \"demo\""));
        }
    };
    layers.lay(table, &origin);
    Ok(layers)
}

/// Returns the text, the folder that its paths are relative to, and what to call it.
fn text_of(reference: &str, base: &Path) -> Result<(String, PathBuf, String), CliError> {
    let path = base.join(reference);
    match (path.is_file(), presets::find(reference)) {
        (false, Some(text)) => Ok((text.to_owned(), base.to_owned(), format!("preset {reference}"))),
        (false, None) => Err(unknown(reference, &path)),
        (true, _) => {
            let text = fs::read_to_string(&path).map_err(|source| {
                let what = format!("cannot read configuration `{}`", path.display());
                CliError::usage(what, source.to_string(), "give a readable text file in UTF-8")
            })?;
            Ok((text, path.parent().unwrap_or(base).to_owned(), reference.to_owned()))
        }
    }
}

fn unknown(reference: &str, path: &Path) -> CliError {
    let why = format!("there is no file {} and no preset of that name", path.display());
    let nearest = presets::names().into_iter().min_by_key(|name| strsim::damerau_levenshtein(name, reference));
    let fix = match nearest.filter(|name| strsim::normalized_damerau_levenshtein(name, reference) > 0.5) {
        Some(name) => format!("did you mean the preset `{name}`? there are: {}", presets::names().join(", ")),
        None => format!("give a file, or a preset: {}", presets::names().join(", ")),
    };
    CliError::usage(format!("no configuration `{reference}`"), why, fix)
}

/// Lays `over` on `below`: tables key by key, everything else as a whole.
fn merge(below: &mut Table, over: Table) {
    for (key, value) in over {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(over)) => merge(below, over),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn make_absolute(table: &mut Table, base: &Path) {
    for [section, key] in PATHS {
        let section = table.get_mut(section).and_then(Value::as_table_mut);
        if let Some(Value::String(path)) = section.and_then(|s| s.get_mut(key))
            && !is_address(path)
        {
            *path = base.join(&path).to_string_lossy().into_owned();
        }
    }
    let base_nets = table.get_mut("train-base").and_then(Value::as_table_mut);
    for (_, section) in base_nets.into_iter().flatten() {
        if let Some(Value::String(weights)) = section.get_mut("weights")
            && mlsm_pipelines::weights::is_file(weights)
        {
            *weights = base.join(&weights).to_string_lossy().into_owned();
        }
    }
}

/// Lays variables such as `MLSM_META_TRAIN__MLSM__K_SHOT` over the table: `__` stands between keys. Other variables that
/// begin with `MLSM_` belong to somebody else: Kubernetes sets several in every pod beside a service of that name.
pub fn apply_environment(layers: &mut Layers, variables: &[(String, String)], here: &Path) -> Result<(), CliError> {
    let sections = mlsm_pipelines::Config::default().resolved();
    for (variable, text) in variables {
        let Some(keys) = variable.strip_prefix("MLSM_").filter(|_| !FLAGS.contains(&variable.as_str())) else {
            continue;
        };
        let segments: Vec<_> = keys.split("__").map(str::to_lowercase).collect();
        let of_config = sections.get(&segments[0].replace('_', "-"));
        let is_ours = of_config.is_some_and(|value| value.is_table() == (segments.len() > 1));
        if !is_ours || segments.iter().any(String::is_empty) {
            continue;
        }
        let path = existing_spelling(&layers.table, &segments);
        put(layers, &path, value_of(&path, text), here, variable)?;
    }
    Ok(())
}

/// Variables know no dashes: takes the spelling of a key that is there, else dashes in the section's name alone.
fn existing_spelling(table: &Table, segments: &[String]) -> Vec<String> {
    let mut at = Some(table);
    let mut path = Vec::new();
    for (depth, segment) in segments.iter().enumerate() {
        let same = |key: &&String| key.to_lowercase().replace('-', "_") == *segment;
        let known = at.and_then(|t| t.keys().find(same)).cloned();
        let spelt = if depth == 0 { segment.replace('_', "-") } else { segment.clone() };
        let key = known.unwrap_or(spelt);
        at = at.and_then(|t| t.get(&key)).and_then(Value::as_table);
        path.push(key);
    }
    path
}

/// Lays `key.path=value` over the table, in the order given.
pub fn apply_set(layers: &mut Layers, assignments: &[String], here: &Path) -> Result<(), CliError> {
    for assignment in assignments {
        let (keys, text) = assignment.split_once('=').unwrap_or((assignment, ""));
        let path: Vec<_> = keys.split('.').map(|k| k.trim().to_owned()).collect();
        if !assignment.contains('=') || path.iter().any(String::is_empty) {
            let what = format!("cannot use `--set {assignment}`");
            return Err(CliError::usage(what, "it is not KEY=VALUE", "write `--set evaluate.episodes=100`"));
        }
        put(layers, &path, value_of(&path, text.trim()), here, &format!("--set {assignment}"))?;
    }
    Ok(())
}

/// Reads a value as TOML; what is not TOML is a string, and so is everything that a key of texts takes. No key takes a date
/// or a number without an end.
fn value_of(path: &[String], text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut t| t.remove("value"));
    let as_text = || Value::String(text.to_owned());
    match parsed {
        Some(value @ Value::String(_)) => value,
        Some(_) if takes_text(path) => as_text(),
        Some(Value::Datetime(_)) | None => as_text(),
        Some(Value::Float(number)) if !number.is_finite() => as_text(),
        Some(value) => value,
    }
}

fn takes_text(path: &[String]) -> bool {
    let fits = |pattern: &str| {
        let keys: Vec<&str> = pattern.split('.').collect();
        keys.len() == path.len() && keys.iter().zip(path).all(|(key, given)| *key == "*" || key == given)
    };
    TEXTS.iter().any(|pattern| fits(pattern))
}

fn put(layers: &mut Layers, path: &[String], value: Value, here: &Path, origin: &str) -> Result<(), CliError> {
    let (last, sections) = path.split_last().expect("splitting text gives at least one piece");
    let mut layer = Table::from_iter([(last.clone(), value)]);
    for (depth, section) in sections.iter().enumerate().rev() {
        if let Some(value) = value_at(&layers.table, &sections[..=depth]).filter(|v| !v.is_table()) {
            let what = format!("cannot use `{origin}`");
            let name = sections[..=depth].join(".");
            let why = format!(
                "`{name}` is a value, not a section: the file, an `MLSM_…` or a `--set` before made it {value}"
            );
            return Err(CliError::usage(what, why, "configs/README.md lists every key"));
        }
        layer = Table::from_iter([(section.clone(), Value::Table(layer))]);
    }
    make_absolute(&mut layer, here);
    layers.lay(layer, origin);
    Ok(())
}

fn value_at<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { value_at(value.as_table()?, rest) }
}

#[cfg(test)]
mod tests;
