//! The published tables: which Parquet files belong to each.
//!
//! A table is a folder. Its columns are in its files alone: folders above it may be named `key=value` by others.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cmd::query::engine::text;
use crate::error::CliError;

/// A published table.
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// Its files, sorted.
    pub files: Vec<PathBuf>,
}

/// Returns a folder of published tables behind its link: a run that ends meanwhile swaps `current`, and a query must see
/// one run alone.
///
/// # Errors
/// [`CliError::Usage`] when it cannot be read.
pub fn behind_link(folder: &Path) -> Result<PathBuf, CliError> {
    fs::canonicalize(folder).map_err(|e| unreadable(folder, &e))
}

/// Lists the tables in a folder of published tables, by name; a folder without Parquet files is none.
///
/// # Errors
/// [`CliError::Usage`] when the folder cannot be read.
pub fn tables(folder: &Path) -> Result<Vec<Table>, CliError> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let path = entry.map_err(|e| unreadable(folder, &e))?.path();
        let mut files = Vec::new();
        if path.is_dir() {
            collect(&path, &mut files).map_err(|e| unreadable(&path, &e))?;
        }
        if let (Some(name), false) = (path.file_name(), files.is_empty()) {
            files.sort();
            tables.push(Table { name: name.to_string_lossy().into_owned(), files });
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

fn unreadable(folder: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot read {}", folder.display()), error.to_string(), "`mlsm run` publishes it again")
}

/// Also in folders below: an earlier version published a file for each shard.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "parquet") {
            files.push(path);
        }
    }
    Ok(())
}

impl Table {
    /// Returns the SELECT that reads the table.
    pub fn select(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| text(&file.display().to_string())).collect();
        let options = "hive_partitioning=false, union_by_name=true";
        format!("SELECT * FROM read_parquet([{}], {options})", files.join(", "))
    }
}
