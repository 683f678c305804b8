//! The published tables: which Parquet files belong to each, and how they are read as one.
//!
//! A table is a folder. Columns may stand in its path as `key=value`. Files that cannot share one schema (embeddings of
//! another length, another set of path keys) are read apart and laid under each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use crate::error::CliError;

/// A published table.
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    files: Vec<PathBuf>,
}

/// Lists the tables in a folder of published tables, by name; a folder without Parquet files is none.
///
/// # Errors
/// [`CliError::Usage`] when the folder cannot be read.
pub fn tables(folder: &Path) -> Result<Vec<Table>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::usage(format!("cannot read {}", folder.display()), error.to_string(), "`mlsm run` publishes it again")
    };
    // Behind the link: a run that ends meanwhile swaps `current`, and a query must see one run alone.
    let folder = fs::canonicalize(folder).map_err(unreadable)?;
    let mut tables = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let mut files = Vec::new();
        if path.is_dir() {
            collect(&path, &mut files).map_err(unreadable)?;
        }
        if let (Some(name), false) = (path.file_name(), files.is_empty()) {
            files.sort();
            tables.push(Table { name: name.to_string_lossy().into_owned(), path, files });
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

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
    /// Returns the table as one lazy frame.
    ///
    /// # Errors
    /// polars' own, when files cannot be read as one table.
    pub fn scan(&self) -> PolarsResult<LazyFrame> {
        let mut parts: BTreeMap<Vec<String>, Vec<&Path>> = BTreeMap::new();
        for file in &self.files {
            parts.entry(self.kind(file)).or_default().push(file);
        }
        let mut frames = parts.values().map(|files| scan_files(files)).collect::<PolarsResult<Vec<_>>>()?;
        if frames.len() == 1 {
            return Ok(frames.remove(0));
        }
        let frames = frames.into_iter().map(with_lists).collect::<PolarsResult<Vec<_>>>()?;
        concat_lf_diagonal(frames, UnionArgs { to_supertypes: true, ..UnionArgs::default() })
    }

    /// Counts the rows and names the columns with their types.
    ///
    /// # Errors
    /// polars' own, when files cannot be read as one table.
    pub fn shape(&self) -> PolarsResult<(u64, Vec<(String, String)>)> {
        let mut frame = self.scan()?;
        let schema = frame.collect_schema()?;
        let columns = schema.iter().map(|(name, kind)| (name.to_string(), kind.to_string())).collect();
        let count = frame.select([len()]).collect()?;
        let rows = count.columns()[0].get(0)?.extract::<u64>().unwrap_or(0);
        Ok((rows, columns))
    }

    /// What must agree for files to be read together: the keys in the path, and the length of embeddings.
    fn kind(&self, file: &Path) -> Vec<String> {
        let inside = file.strip_prefix(&self.path).unwrap_or(file);
        let parts = inside.iter().filter_map(|part| part.to_str()?.split_once('='));
        parts.map(|(key, value)| if key == "dim" { format!("dim={value}") } else { key.to_owned() }).collect()
    }
}

fn scan_files(files: &[&Path]) -> PolarsResult<LazyFrame> {
    let paths = files.iter().map(|f| PlRefPath::try_from_path(f)).collect::<PolarsResult<Vec<_>>>()?;
    let args = ScanArgsParquet {
        hive_options: HiveOptions { enabled: Some(true), try_parse_dates: false, ..HiveOptions::new_enabled() },
        glob: false,
        allow_missing_columns: true,
        ..ScanArgsParquet::default()
    };
    LazyFrame::scan_parquet_files(paths.into(), args)
}

/// Turns arrays of a fixed length into lists, so that embeddings of several lengths fit one column.
fn with_lists(mut frame: LazyFrame) -> PolarsResult<LazyFrame> {
    let schema = frame.collect_schema()?;
    let casts = schema.iter().filter_map(|(name, kind)| match kind {
        DataType::Array(inner, _) => Some(col(name.clone()).cast(DataType::List(inner.clone()))),
        _ => None,
    });
    let casts: Vec<_> = casts.collect();
    Ok(frame.with_columns(casts))
}
