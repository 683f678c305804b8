//! A table that answers somebody, as a frame in memory: what `mlsm query` shows and `mlsm predict` writes.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use mlsm_errors::Explanation;
use mlsm_store::publish_file;
use polars::prelude::{AnyValue, DataFrame, ParquetReader, SerReader};

use super::frame::Formulas;
use super::{arrow_file, frame};
use crate::error::CliError;
use crate::render::{stderr, stdout, terminal};
use crate::settings::{Settings, Verbosity};

/// The column that says how many rows there are where only the first are in the frame.
pub const ROWS_IN_ALL: &str = "\u{1}rows in all"; // no query names a column so

/// How to answer with a table.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// How to write the answer [default: by the ending of --out, else table]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Writes the answer to this file, whose ending names the format; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Puts ' before text in CSV and TSV that a spreadsheet would take for a formula
    #[arg(long)]
    pub(super) escape_formulas: bool,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns, cut after 200 rows.
    Table,
    /// Comma-separated values; lists become text.
    Csv,
    /// Tab-separated values; lists become text.
    Tsv,
    /// One array of objects.
    Json,
    /// One object on each line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
    /// An Apache Arrow file, also known as Feather.
    Arrow,
}

impl AnswerArgs {
    /// Returns the format that was asked for.
    ///
    /// # Errors
    /// [`CliError::Usage`] for an ending that names no format.
    pub fn format(&self, settings: &Settings) -> Result<Format, CliError> {
        let default = if settings.is_json() { Format::Json } else { Format::Table };
        if let Some(format) = self.format {
            return Ok(format);
        }
        let Some((path, ending)) = self.out.as_deref().and_then(|path| Some((path, path.extension()?))) else {
            return Ok(default);
        };
        let ending = ending.to_string_lossy().to_lowercase();
        Ok(match ending.as_str() {
            "csv" => Format::Csv,
            "tsv" | "tab" => Format::Tsv,
            "json" => Format::Json,
            "jsonl" | "ndjson" => Format::Jsonl,
            "parquet" => Format::Parquet,
            "arrow" | "feather" => Format::Arrow,
            "txt" => Format::Table,
            _ => {
                let what = format!("cannot write the answer to {}", path.display());
                let fix = "end the name in .csv, .tsv, .json, .jsonl, .parquet, .arrow or .txt, or give `--format`";
                return Err(CliError::usage(what, format!("the ending .{ending} names no format"), fix));
            }
        })
    }
}

/// A table that answers somebody.
pub struct Answer(DataFrame);

impl Answer {
    /// A table in memory.
    pub fn of(table: DataFrame) -> Self {
        Self(table)
    }

    /// Reads a table out of its Parquet file.
    ///
    /// # Errors
    /// [`CliError::BadData`] when it is none.
    pub fn read(parquet: &[u8]) -> Result<Self, CliError> {
        let read = ParquetReader::new(std::io::Cursor::new(parquet)).finish();
        read.map(Self).map_err(|e| {
            let said = Explanation::new("cannot read a table").because(e.to_string());
            CliError::BadData(said.fix("`mlsm run` publishes it again"))
        })
    }

    /// Prints or writes it.
    ///
    /// # Errors
    /// [`CliError::Usage`] for a type that the format does not know, [`CliError::Store`] when the file cannot be written.
    pub fn deliver(mut self, args: &AnswerArgs, settings: &Settings) -> Result<(), CliError> {
        let rows = self.take_rows();
        let format = args.format(settings)?;
        let answer = &mut self.0;
        let formulas = if args.escape_formulas { Formulas::Escaped } else { Formulas::Kept };
        let bytes = match format {
            Format::Table => {
                let width = if args.out.is_none() { terminal::width() } else { None };
                let (text, shown) = frame::to_text(answer, width);
                let left_out = rows.saturating_sub(shown);
                if left_out > 0 && args.out.is_none() && settings.verbosity != Verbosity::Quiet {
                    stderr::line(&format!("{left_out} more rows: write all with `--format csv`"));
                }
                text.into_bytes()
            }
            Format::Csv => frame::to_csv(answer, b',', formulas).map_err(|e| unwritable(&e))?,
            Format::Tsv => frame::to_csv(answer, b'\t', formulas).map_err(|e| unwritable(&e))?,
            Format::Json => frame::to_json(answer).map_err(|e| unwritable(&e))?,
            Format::Jsonl => frame::to_json_lines(answer).map_err(|e| unwritable(&e))?,
            Format::Parquet => frame::to_parquet(answer).map_err(|e| unwritable(&e))?,
            Format::Arrow => {
                let parquet = frame::to_parquet(answer).map_err(|e| unwritable(&e))?;
                let mut bytes = Vec::new();
                arrow_file::from_parquet(Bytes::from(parquet), &mut bytes).map_err(|e| unwritable(&e))?;
                bytes
            }
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

fn unwritable(error: &dyn std::error::Error) -> CliError {
    let fix = "choose other columns, or another `--format`";
    CliError::usage("cannot write the answer in this format", error.to_string(), fix)
}
