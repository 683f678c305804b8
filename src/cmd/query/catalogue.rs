//! The published tables: which Parquet files belong to each, and how they are read as one.
//!
//! A table is a folder. Columns may stand in its path as `key=value`. Files that cannot share one schema (embeddings of
//! another length, another set of path keys) are read apart and laid under each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mlsm_store::Published;
use polars::prelude::*;
use rayon::prelude::*;

use crate::error::CliError;

/// A published table.
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    files: Vec<PathBuf>,
}

/// Lists the published tables, by name; a folder without Parquet files is none.
///
/// # Errors
/// None at present.
pub fn tables(published: &Published) -> Result<Vec<Table>, CliError> {
    let mut tables = BTreeMap::<&str, Vec<PathBuf>>::new();
    for file in published.files().filter(|file| file.ends_with(".parquet")) {
        if let Some((table, _)) = file.split_once('/') {
            tables.entry(table).or_default().push(published.folder().join(file));
        }
    }
    let table = |(name, files): (&str, Vec<PathBuf>)| Table {
        name: name.to_owned(),
        path: published.folder().join(name),
        files,
    };
    Ok(tables.into_iter().map(table).collect())
}

impl Table {
    /// Lets a table pass whose files are what was published.
    ///
    /// # Errors
    /// [`CliError::Store`] when one of them is damaged.
    pub fn check(&self, published: &Published) -> Result<(), CliError> {
        self.files.par_iter().try_for_each(|file| {
            let inner = file.strip_prefix(published.folder()).unwrap_or(file).to_string_lossy();
            Ok(published.path(&inner).map(drop)?)
        })
    }

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
