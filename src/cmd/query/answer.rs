//! A table that answers somebody, as a frame in memory: what `mlsm query` shows and `mlsm predict` writes.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mlsm_store::publish_file;
use polars::prelude::{AnyValue, DataFrame, ParquetReader, SerReader};

use super::frame;
use crate::error::CliError;
use crate::render::{stderr, stdout, terminal};
use crate::settings::{Settings, Verbosity};

/// The column that says how many rows there are where only the first are in the frame.
pub const ROWS_IN_ALL: &str = "rows in all";

/// How to answer with a table.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// How to write the answer [default: by the ending of --out, else table]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Writes the answer to this file
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
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
    /// One object on each line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl AnswerArgs {
    /// Returns the format that was asked for.
    pub fn format(&self, settings: &Settings) -> Format {
        let by_name = |path: &Path| match path.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "json" => Some(Format::Json),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "parquet" => Some(Format::Parquet),
            _ => None,
        };
        let default = if settings.is_json() { Format::Json } else { Format::Table };
        self.format.or_else(|| by_name(self.out.as_deref()?)).unwrap_or(default)
    }
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
        read.map(Self).map_err(|e| CliError::BadData(format!("cannot read a table: {e}")))
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
        let rows = self.take_rows();
        let answer = &mut self.0;
        let bytes = match args.format(settings) {
            Format::Table => {
                let width = if args.out.is_none() { terminal::width() } else { None };
                let (text, shown) = frame::to_text(answer, width);
                let left_out = rows.saturating_sub(shown);
                if left_out > 0 && args.out.is_none() && settings.verbosity != Verbosity::Quiet {
                    stderr::line(&format!("{left_out} more rows: write all with `--format csv`"));
                }
                text.into_bytes()
            }
            Format::Csv => frame::to_csv(answer).map_err(|e| unwritable(&e))?,
            Format::Json => frame::to_json(answer).map_err(|e| unwritable(&e))?,
            Format::Jsonl => frame::to_json_lines(answer).map_err(|e| unwritable(&e))?,
            Format::Parquet => frame::to_parquet(answer).map_err(|e| unwritable(&e))?,
        };
        match &args.out {
            Some(path) => Ok(publish_file(path, &bytes)?),
            None => stdout::write(&bytes),
        }
    }

    /// Takes the column of the number of rows away and returns that number.
    fn take_rows(&mut self) -> usize {
        let Ok(column) = self.0.drop_in_place(ROWS_IN_ALL) else { return self.0.height() };
        match column.get(0) {
            Ok(AnyValue::Int64(rows)) => rows as usize,
            _ => 0,
        }
    }
}

fn unwritable(error: &polars::error::PolarsError) -> CliError {
    let fix = "choose other columns, or another `--format`";
    CliError::usage("cannot write the answer in this format", error.to_string(), fix)
}
