//! `mlsm query`: SQL over the published tables. With `mlsm tables`, the one place where polars links.

pub mod catalogue;
mod frame;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mlsm_store::publish_file;
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use polars::sql::SQLContext;

use crate::cmd::report;
use crate::error::CliError;
use crate::render::{stderr, stdout};
use crate::settings::{Settings, Verbosity};

/// What to ask, and how to answer.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The query, such as "SELECT method, k_shot, accuracy FROM results"
    sql: String,
    /// The run; the last successful one when left out
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// How to answer with a table.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// How to write the answer [default: by the ending of --out, else table]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Writes the answer to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns, cut after 200 rows.
    Table,
    /// Comma-separated values; lists become text.
    Csv,
    /// One array of objects.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// Answers the query.
///
/// # Errors
/// [`CliError::Usage`] when nothing is published or the SQL is refused.
pub fn query(args: &QueryArgs, settings: &Settings) -> Result<(), CliError> {
    let published = report::published(&report::open(settings)?, args.run.as_deref())?;
    let tables = catalogue::tables(&published)?;
    let mut context = SQLContext::new();
    for table in &tables {
        table.check(&published)?;
        context.register(&table.name, table.scan().map_err(|e| refused(&e, &tables))?);
    }
    let answer =
        context.execute(&args.sql).and_then(|plan| plan.collect()).map_err(|error| refused(&error, &tables))?;
    Answer(answer).deliver(&args.answer, settings)
}

/// A table that answers somebody.
pub struct Answer(DataFrame);

impl Answer {
    /// Reads a table out of its Parquet file.
    ///
    /// # Errors
    /// [`CliError::BadData`] when it is none.
    pub fn read(parquet: &[u8]) -> Result<Self, CliError> {
        let read = ParquetReader::new(std::io::Cursor::new(parquet)).finish();
        read.map(Self).map_err(|e| CliError::BadData(format!("cannot read a table: {}", first_lines(&e.to_string()))))
    }

    /// Counts the rows without a value in a column.
    pub fn missing(&self, column: &str) -> usize {
        self.0.column(column).map_or(0, |column| column.null_count())
    }

    /// Prints or writes it.
    ///
    /// # Errors
    /// [`CliError::Usage`] for a type that the format does not know, [`CliError::Store`] when the file cannot be written.
    pub fn deliver(mut self, args: &AnswerArgs, settings: &Settings) -> Result<(), CliError> {
        let answer = &mut self.0;
        let bytes = match args.format(settings) {
            Format::Table => {
                let (text, left_out) = frame::to_text(answer);
                if left_out > 0 && args.out.is_none() && settings.verbosity != Verbosity::Quiet {
                    stderr::line(&format!("{left_out} more rows: write all with `--format csv`"));
                }
                text.into_bytes()
            }
            Format::Csv => frame::to_csv(answer).map_err(|e| unwritable(&e))?,
            Format::Json => frame::to_json(answer).map_err(|e| unwritable(&e))?,
            Format::Parquet => frame::to_parquet(answer).map_err(|e| unwritable(&e))?,
        };
        match &args.out {
            Some(path) => Ok(publish_file(path, &bytes)?),
            None => stdout::write(&bytes),
        }
    }
}

impl AnswerArgs {
    fn format(&self, settings: &Settings) -> Format {
        let by_name = |path: &Path| match path.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "json" => Some(Format::Json),
            "parquet" => Some(Format::Parquet),
            _ => None,
        };
        let default = if settings.is_json() { Format::Json } else { Format::Table };
        self.format.or_else(|| by_name(self.out.as_deref()?)).unwrap_or(default)
    }
}

fn refused(error: &polars::error::PolarsError, tables: &[catalogue::Table]) -> CliError {
    let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
    let fix = format!("`mlsm tables` shows tables and columns; there are: {}", names.join(", "));
    CliError::usage("cannot answer the query", first_lines(&error.to_string()), fix)
}

fn unwritable(error: &polars::error::PolarsError) -> CliError {
    let fix = "choose other columns, or another `--format`";
    CliError::usage("cannot write the answer in this format", first_lines(&error.to_string()), fix)
}

/// polars appends its whole query plan to some errors; the reason stands first.
fn first_lines(text: &str) -> String {
    text.lines().take_while(|line| !line.trim().is_empty()).take(3).collect::<Vec<_>>().join(" ")
}
