//! The published tables: which Parquet files belong to each.
//!
//! A table is a folder. Its columns are in its files alone: folders above it may be named `key=value` by others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mlsm_store::Published;
use rayon::prelude::*;

use crate::cmd::query::engine::text;
use crate::error::CliError;

/// What every way to DuckDB's list of tables has in its name: `DESC` without a table is one, and `query('…')` may hold any.
const NAMES_TABLES: [&str; 8] = ["schema", "duckdb_", "sqlite_", "pg_", "pragma_", "show", "desc", "query"];

/// A published table.
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// Its files, sorted.
    pub files: Vec<PathBuf>,
}

/// Lists the published tables, by name, none of them damaged; a folder without Parquet files is none.
///
/// # Errors
/// [`CliError::Store`] when a file is damaged.
pub fn tables(published: &Published) -> Result<Vec<Table>, CliError> {
    check(published)?;
    Ok(listed(published))
}

/// Lists the published tables as [`tables`] does, whatever became of their files: who shows what they hold calls [`check`]
/// before.
pub fn listed(published: &Published) -> Vec<Table> {
    let mut tables = BTreeMap::<&str, Vec<PathBuf>>::new();
    for file in files(published) {
        if let Some((table, _)) = file.split_once('/') {
            tables.entry(table).or_default().push(published.folder().join(file));
        }
    }
    tables.into_iter().map(|(name, files)| Table { name: name.to_owned(), files }).collect()
}

/// Returns the tables that a query can see a trace of: those that it names, or all where it may ask which there are. To lay
/// out a table, the engine opens its files; a query that fails without the others is asked again with all of them.
pub fn named<'t>(tables: &'t [Table], sql: &str) -> Vec<&'t Table> {
    let sql = sql.to_lowercase();
    let asks_for_names = NAMES_TABLES.iter().any(|word| sql.contains(word));
    tables.iter().filter(|table| asks_for_names || sql.contains(&table.name)).collect()
}

/// Reads the files of all tables through.
///
/// # Errors
/// [`CliError::Store`] when one is damaged.
pub fn check(published: &Published) -> Result<(), CliError> {
    let files: Vec<_> = files(published).collect();
    Ok(files.par_iter().try_for_each(|file| published.path(file).map(drop))?)
}

fn files(published: &Published) -> impl Iterator<Item = &str> {
    published.files().filter(|file| file.ends_with(".parquet"))
}

impl Table {
    /// Returns the SELECT that reads the table.
    pub fn select(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| text(&file.display().to_string())).collect();
        let options = "hive_partitioning=false, union_by_name=true";
        format!("SELECT * FROM read_parquet([{}], {options})", files.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_gets_the_tables_that_it_names_and_one_that_lists_tables_gets_all() {
        let tables = ["images", "results"].map(|name| Table { name: name.to_owned(), files: Vec::new() });
        let names = |sql| named(&tables, sql).iter().map(|table| table.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names("SELECT * FROM \"Images\""), ["images"]);
        assert_eq!(names("SELECT 1"), [""; 0]);
        for all in [
            "FROM (SHOW TABLES)",
            "FROM (DESCRIBE)",
            "FROM (DESC)",
            "FROM query('SH' || 'OW TABLES')",
            "FROM information_schema.tables",
            "FROM duckdb_views()",
            "FROM pg_catalog.pg_class",
            "FROM sqlite_master",
            "FROM pragma_show_tables()",
        ] {
            assert_eq!(names(all), ["images", "results"], "{all}");
        }
    }
}
