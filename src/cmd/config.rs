//! `mlsm config`: the configuration that a run would use, with every default filled in.

use clap::{Args, Subcommand};
use serde::Serialize;
use toml::{Table, Value};

use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stdout, terminal};
use crate::settings::Settings;

/// What to do with the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Show
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Prints every key and its value: as TOML that `--config` takes, or as JSON
    Show {
        /// Prints a table that also says where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Prints the JSON Schema of a configuration, by which editors complete and check TOML
    Schema,
}

/// One key as JSON.
#[derive(Debug, PartialEq, Serialize)]
struct KeyLine {
    key: String,
    value: Value,
    origin: String,
}

/// Prints the configuration.
///
/// # Errors
/// [`CliError::Usage`] when none is named, [`CliError::Config`] when a key is refused.
pub fn config(action: &ConfigAction, settings: &Settings) -> Result<(), CliError> {
    let ConfigAction::Show { origin } = action else { return print_schema(settings) };
    let named = settings.load_config()?;
    let resolved = named.config.resolved();
    if !origin {
        let text = || toml::to_string(&resolved).expect("a configuration that was read is written");
        return if settings.is_json() { stdout::print_json(&resolved) } else { stdout::print(&text()) };
    }
    let origin_of = |key: &str| named.origins.get(key).map_or("default", String::as_str).to_owned();
    let keys = keys(&resolved).into_iter();
    let keys: Vec<_> = keys.map(|(key, value)| KeyLine { origin: origin_of(&key), key, value }).collect();
    if settings.is_json() {
        return stdout::print_json(&keys);
    }
    let mut table = TextTable::new(&[("key", Align::Name), ("value", Align::Text), ("from", Align::Text)]);
    keys.into_iter().for_each(|line| table.row(vec![line.key, line.value.to_string(), line.origin]));
    stdout::print(&table.fit(terminal::width()))
}

/// Prints the schema as one document: over many lines for people.
fn print_schema(settings: &Settings) -> Result<(), CliError> {
    let schema = mlsm_pipelines::schema();
    if settings.is_json() { stdout::print_json(&schema) } else { stdout::print(&format!("{schema:#}\n")) }
}

/// Lists the keys of a table, with dots between sections, and their values.
pub fn keys(table: &Table) -> Vec<(String, Value)> {
    let of_one = |(key, value): (&String, &Value)| match value {
        Value::Table(table) => {
            keys(table).into_iter().map(|(below, value)| (format!("{key}.{below}"), value)).collect()
        }
        _ => vec![(key.clone(), value.clone())],
    };
    table.iter().flat_map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_sections_have_dots() {
        let table: Table = toml::from_str("seed = 1\n[a.b]\nc = [1, 2]").unwrap();
        let found: Vec<_> = keys(&table).into_iter().map(|(key, value)| (key, value.to_string())).collect();
        assert_eq!(found, [("a.b.c", "[1, 2]"), ("seed", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}
