//! The published tables: which Parquet files belong to each.
//!
//! A table is a folder. Its columns are in its files alone: folders above it may be named `key=value` by others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mlsm_store::Published;
use rayon::prelude::*;

use crate::cmd::query::engine::text;
use crate::error::CliError;

/// A published table.
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// Its files, sorted, none of them damaged.
    pub files: Vec<PathBuf>,
}

/// Lists the published tables, by name; a folder without Parquet files is none.
///
/// # Errors
/// [`CliError::Store`] when a file is damaged.
pub fn tables(published: &Published) -> Result<Vec<Table>, CliError> {
    let mut tables = BTreeMap::<&str, Vec<&str>>::new();
    for file in published.files().filter(|file| file.ends_with(".parquet")) {
        if let Some((table, _)) = file.split_once('/') {
            tables.entry(table).or_default().push(file);
        }
    }
    let whole = |(name, files): (&str, Vec<&str>)| {
        let files = files.par_iter().map(|file| published.path(file)).collect::<Result<_, _>>()?;
        Ok(Table { name: name.to_owned(), files })
    };
    tables.into_iter().map(whole).collect()
}

impl Table {
    /// Returns the SELECT that reads the table.
    pub fn select(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| text(&file.display().to_string())).collect();
        let options = "hive_partitioning=false, union_by_name=true";
        format!("SELECT * FROM read_parquet([{}], {options})", files.join(", "))
    }
}
