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
    let ConfigAction::Show { origin } = action;
    let named = settings.load_config()?;
    let resolved = named.config.resolved();
    if !origin {
        let text = || toml::to_string(&resolved).expect("a configuration that was read is written");
        return if settings.is_json() { stdout::print_json(&resolved) } else { stdout::print(&text()) };
    }
    let origin_of = |key: &str| named.origins.get(key).map_or("default", String::as_str).to_owned();
    let mut keys = Vec::new();
    flatten(&resolved, "", &origin_of, &mut keys);
    if settings.is_json() {
        return stdout::print_json(&keys);
    }
    let mut table = TextTable::new(&[("key", Align::Name), ("value", Align::Text), ("from", Align::Text)]);
    keys.into_iter().for_each(|line| table.row(vec![line.key, line.value.to_string(), line.origin]));
    stdout::print(&table.fit(terminal::width()))
}

/// Lists the keys of a table, with dots between sections.
fn flatten(table: &Table, section: &str, origin_of: &dyn Fn(&str) -> String, keys: &mut Vec<KeyLine>) {
    for (key, value) in table {
        let key = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match value {
            Value::Table(table) => flatten(table, &key, origin_of, keys),
            _ => keys.push(KeyLine { origin: origin_of(&key), value: value.clone(), key }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_sections_have_dots() {
        let table: Table = toml::from_str("seed = 1\n[a.b]\nc = [1, 2]").unwrap();
        let mut keys = Vec::new();
        flatten(&table, "", &|key| format!("from {key}"), &mut keys);
        let found: Vec<_> = keys.iter().map(|line| (line.key.as_str(), line.value.to_string())).collect();
        assert_eq!(found, [("a.b.c", "[1, 2]".to_owned()), ("seed", "1".to_owned())]);
        assert_eq!(keys[0].origin, "from a.b.c");
    }
}
