//! `mlsm tables`: which tables are published; of one table its columns, three rows, and how other tools open it.

use std::fs::File;
use std::path::Path;

use clap::Args;
use mlsm_pipelines::dictionary::{ColumnDoc, describe};
use polars::prelude::{DataFrame, ParquetReader, PolarsResult, SerReader};
use serde::Serialize;

use crate::cmd::query::catalogue::{self, Table};
use crate::cmd::query::frame;
use crate::cmd::report;
use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stdout, terminal};
use crate::settings::Settings;

/// Rows of a table that are shown.
const ROWS: usize = 3;

/// Which table, of which run.
#[derive(Debug, Args)]
pub struct TablesArgs {
    /// Describes this table: columns, units, three rows, and the line that opens it in other tools
    name: Option<String>,
    /// The run; the last successful one when left out
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// One table as JSON.
#[derive(Serialize)]
struct TableLine {
    table: String,
    row: &'static str,
    rows: usize,
    columns: Vec<ColumnLine>,
    files: Vec<String>,
}

/// One column as JSON.
#[derive(Serialize)]
struct ColumnLine {
    column: String,
    #[serde(rename = "type")]
    kind: String,
    unit: &'static str,
    meaning: &'static str,
}

/// Lists the tables, or describes one.
///
/// # Errors
/// [`CliError::Usage`] when nothing is published, no table has the name, or one cannot be read.
pub fn tables(args: &TablesArgs, settings: &Settings) -> Result<(), CliError> {
    let published = report::published(&report::open(settings)?, args.run.as_deref())?;
    let tables = catalogue::tables(&published)?;
    match &args.name {
        None => list(published.folder(), &tables, settings),
        Some(name) => match tables.iter().find(|table| table.name == *name) {
            Some(table) => one(table, settings),
            None => {
                let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
                let fix = format!("there are: {}", names.join(", "));
                Err(CliError::usage(format!("no table `{name}`"), "no such table is published", fix))
            }
        },
    }
}

fn list(folder: &Path, tables: &[Table], settings: &Settings) -> Result<(), CliError> {
    let lines = tables.iter().map(|table| Ok(line(table)?.0)).collect::<Result<Vec<_>, CliError>>()?;
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    let mut table = TextTable::new(&[("table", Align::Left), ("rows", Align::Right), ("columns", Align::Text)]);
    for line in &lines {
        let columns: Vec<_> = line.columns.iter().map(|c| c.column.as_str()).collect();
        table.row(vec![line.table.clone(), line.rows.to_string(), columns.join(", ")]);
    }
    let table = table.fit(Some(terminal::width_of_sentences()));
    stdout::tell(&format!("{table}\nin {}\n`mlsm tables NAME` describes one of them\n", folder.display()))
}

fn one(table: &Table, settings: &Settings) -> Result<(), CliError> {
    let (line, first) = line(table)?;
    if settings.is_json() {
        return stdout::print_json(&line);
    }
    let width = terminal::width_of_sentences();
    let [words, sentences] = [Align::Left, Align::Text];
    let mut columns = TextTable::new(&[("column", words), ("type", words), ("unit", words), ("meaning", sentences)]);
    for c in &line.columns {
        columns.row(vec![c.column.clone(), c.kind.clone(), c.unit.to_owned(), c.meaning.to_owned()]);
    }
    let (rows, _) = frame::to_text(&first, Some(width));
    let heading = format!("{}: {} rows, each {}", line.table, line.rows, line.row);
    let openers: String = table.files.iter().map(|file| openers(&file.display().to_string())).collect();
    stdout::tell(&format!("{heading}\n\n{}\n{rows}\n", columns.fit(Some(width))))?;
    stdout::print(&openers) // to be copied: never folded
}

/// The line that opens a file in each tool. Columns are in the file: those that folders above it seem to name are others'.
fn openers(path: &str) -> String {
    let sql = path.replace('\'', "''");
    let python = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "duckdb   SELECT * FROM read_parquet('{sql}', hive_partitioning=false)\n\
         polars   pl.read_parquet(\"{python}\", hive_partitioning=False)\n\
         pandas   pd.read_parquet(\"{python}\", partitioning=None)\n\
         pyarrow  pq.read_table(\"{python}\", partitioning=None)\n"
    )
}

fn line(table: &Table) -> Result<(TableLine, DataFrame), CliError> {
    let (rows, first) = shape(table).map_err(|error| {
        let what = format!("cannot read table `{}`", table.name);
        CliError::usage(what, error.to_string(), "`mlsm run` publishes it again")
    })?;
    let doc = describe(&table.name);
    let of_column = |column: &polars::prelude::Column| {
        let known = doc.and_then(|doc| doc.columns.iter().find(|c| c.name == column.name().as_str()));
        let kind = known.map_or_else(|| column.dtype().to_string(), |c: &ColumnDoc| c.kind.sql().to_owned());
        let (unit, meaning) = known.map_or(("", ""), |c| (c.unit, c.meaning));
        ColumnLine { column: column.name().to_string(), kind, unit, meaning }
    };
    let columns = first.columns().iter().map(of_column).collect();
    let files = table.files.iter().map(|file| file.display().to_string()).collect();
    let row = doc.map_or("a row", |doc| doc.row);
    Ok((TableLine { table: table.name.clone(), row, rows, columns, files }, first))
}

/// Counts the rows of all files, and reads the first ones.
fn shape(table: &Table) -> PolarsResult<(usize, DataFrame)> {
    let mut rows = 0;
    for file in &table.files {
        rows += ParquetReader::new(File::open(file)?).num_rows()?;
    }
    let first = ParquetReader::new(File::open(&table.files[0])?).with_slice(Some((0, ROWS))).finish()?;
    Ok((rows, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_the_path_does_not_end_the_text() {
        let lines = openers("/a/it's \"b\"/x.parquet");
        assert!(lines.contains("read_parquet('/a/it''s \"b\"/x.parquet', hive"), "{lines}");
        assert!(lines.contains("pl.read_parquet(\"/a/it's \\\"b\\\"/x.parquet\", hive"), "{lines}");
    }
}
