//! `mlsm tables`: which tables are published, with their rows, columns and folders.

use clap::Args;
use serde::Serialize;

use crate::cmd::query::catalogue;
use crate::cmd::report;
use crate::error::CliError;
use crate::render::stdout;
use crate::render::table::{Align, TextTable};
use crate::settings::Settings;

/// Of which run.
#[derive(Debug, Args)]
pub struct TablesArgs {
    /// The run; the last successful one when left out
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// One table as JSON.
#[derive(Serialize)]
struct TableLine {
    table: String,
    rows: u64,
    columns: Vec<ColumnLine>,
    path: String,
}

/// One column as JSON.
#[derive(Serialize)]
struct ColumnLine {
    column: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Lists the tables.
///
/// # Errors
/// [`CliError::Usage`] when nothing is published or a table cannot be read.
pub fn tables(args: &TablesArgs, settings: &Settings) -> Result<(), CliError> {
    let published = report::published(&report::open(settings)?, args.run.as_deref())?;
    let tables = catalogue::tables(&published)?;
    tables.iter().try_for_each(|table| table.check(&published))?;
    let lines = tables.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    let mut table = TextTable::new(&[("table", Align::Left), ("rows", Align::Right), ("columns", Align::Left)]);
    for line in &lines {
        let columns: Vec<_> = line.columns.iter().map(|c| c.column.as_str()).collect();
        table.row(vec![line.table.clone(), line.rows.to_string(), columns.join(", ")]);
    }
    stdout::print(&format!("{}\n{}/TABLE/**/*.parquet\n", table.to_text(), published.folder().display()))
}

fn line(table: &catalogue::Table) -> Result<TableLine, CliError> {
    let (rows, columns) = table.shape().map_err(|error| {
        let what = format!("cannot read table `{}`", table.name);
        CliError::usage(what, error.to_string(), "`mlsm run` publishes it again")
    })?;
    let columns = columns.into_iter().map(|(column, kind)| ColumnLine { column, kind }).collect();
    Ok(TableLine { table: table.name.clone(), rows, columns, path: table.path.display().to_string() })
}
