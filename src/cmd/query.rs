//! `mlsm query`: SQL over the published tables. DuckDB answers; a text table is shaped as a frame.

pub mod answer;
mod arrow_file;
pub mod catalogue;
mod engine;
pub mod frame;

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::process::Child;

use arrow::error::ArrowError;
use clap::Args;
use mlsm_store::{StoreError, publish_stream};

use crate::cmd::query::answer::{Answer, AnswerArgs, Format};
use crate::cmd::query::engine::{AnswerColumn, Engine, Refusal, name, text};
use crate::cmd::report;
use crate::error::CliError;
use crate::settings::Settings;

/// What to ask, and how to answer.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The query in DuckDB's SQL, such as "SELECT method, k_shot, accuracy FROM results"
    sql: String,
    /// The run; the last successful one when left out
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Answers the query.
///
/// # Errors
/// [`CliError::Usage`] when nothing is published or the SQL is refused.
pub fn query(args: &QueryArgs, settings: &Settings) -> Result<(), CliError> {
    let format = args.answer.format(settings)?;
    let published = report::published(&report::open(settings)?, args.run.as_deref())?;
    let tables = catalogue::tables(&published)?;
    let engine = Engine::new(published.folder(), &tables, settings.threads)?;
    let refused = |refusal| refused(refusal, &tables);
    let columns = engine.describe(&args.sql).map_err(refused)?;
    if format == Format::Table {
        return show(&engine, &columns, args, settings, &refused);
    }
    let form = match format {
        Format::Csv => "FORMAT csv, HEADER",
        Format::Tsv => "FORMAT csv, HEADER, DELIMITER '\t'",
        Format::Parquet => "FORMAT parquet, COMPRESSION zstd",
        _ => "FORMAT json",
    };
    let select = select(&columns, &args.sql, format, args.answer.escape_formulas);
    let write = |out: &mut dyn Write, unwritten: &dyn Fn(io::Error) -> CliError| {
        if format == Format::Arrow {
            return convert(&engine, &select, out, unwritten, &refused);
        }
        let child = engine.start(&[], &format!("COPY ({select}) TO '/dev/stdout' ({form})")).map_err(refused)?;
        deliver(child, format, out, unwritten, &refused)
    };
    match &args.answer.out {
        None => write(&mut io::stdout().lock(), &CliError::Stdout),
        Some(path) => publish_stream(path, |out| write(out, &|e| CliError::Store(StoreError::io("write", path, e)))),
    }
}

/// Writes an Arrow file, which DuckDB does not: it makes a Parquet file that is then read piece by piece.
fn convert(
    engine: &Engine,
    select: &str,
    out: &mut dyn Write,
    unwritten: &dyn Fn(io::Error) -> CliError,
    refused: &dyn Fn(Refusal) -> CliError,
) -> Result<(), CliError> {
    let parquet = engine.temporary("answer.parquet");
    let copy = format!("COPY ({select}) TO {} (FORMAT parquet)", text(&parquet.display().to_string()));
    Engine::finish(engine.start(&[], &copy).map_err(refused)?).map_err(refused)?;
    let file = File::open(&parquet).map_err(|e| refused(Refusal::Engine(e)))?;
    arrow_file::from_parquet(file, out).map_err(|e| match e {
        ArrowError::IoError(_, error) => unwritten(error),
        other => refused(Refusal::Sql(other.to_string())),
    })
}

/// Prints or writes the first rows as a text table.
fn show(
    engine: &Engine,
    columns: &[AnswerColumn],
    args: &QueryArgs,
    settings: &Settings,
    refused: &dyn Fn(Refusal) -> CliError,
) -> Result<(), CliError> {
    let select = select(columns, &args.sql, Format::Table, false);
    let statement = format!(
        "CREATE TEMP TABLE answer AS {select}; COPY (SELECT *, (SELECT count(*) FROM answer) AS \"{}\" FROM answer LIMIT \
         {}) TO '/dev/stdout' (FORMAT parquet)",
        answer::ROWS_IN_ALL,
        frame::ROWS
    );
    let mut child = engine.start(&[], &statement).map_err(refused)?;
    let mut parquet = Vec::new();
    copy(&mut child, &mut parquet).map_err(|e| refused(Refusal::Engine(e)))?;
    Engine::finish(child).map_err(refused)?;
    Answer::read(&parquet)?.deliver(&args.answer, settings)
}

/// Hands an answer on as it arrives. A reader that went away, such as `head`, is no error.
fn deliver(
    mut child: Child,
    format: Format,
    out: &mut dyn Write,
    unwritten: &dyn Fn(io::Error) -> CliError,
    refused: &dyn Fn(Refusal) -> CliError,
) -> Result<(), CliError> {
    let written = match format {
        Format::Json => copy_as_array(&mut child, out),
        _ => copy(&mut child, out),
    };
    if let Err(error) = written.and_then(|()| out.flush()) {
        let _ = child.kill(); // it may have ended by itself
        let _ = child.wait();
        return if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(unwritten(error)) };
    }
    Engine::finish(child).map_err(refused)
}

fn copy(child: &mut Child, out: &mut dyn Write) -> io::Result<()> {
    let mut from = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    io::copy(&mut from, out).map(drop)
}

/// Turns lines of objects into one array on one line, as all JSON of this program is.
fn copy_as_array(child: &mut Child, out: &mut dyn Write) -> io::Result<()> {
    let from = BufReader::new(child.stdout.take().ok_or(ErrorKind::BrokenPipe)?);
    let mut out = io::BufWriter::new(out);
    out.write_all(b"[")?;
    let mut separator: &[u8] = b"";
    for line in from.split(b'\n') {
        let line = line?;
        if !line.is_empty() {
            out.write_all(separator)?;
            out.write_all(&line)?;
            separator = b",";
        }
    }
    out.write_all(b"]\n")?;
    out.flush()
}

/// Returns the query with its columns in types that the format has.
fn select(columns: &[AnswerColumn], sql: &str, format: Format, escape: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut values = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let mut unique = column.column_name.clone();
        for n in 1.. {
            if !names.contains(&unique) {
                break;
            }
            unique = format!("{}_{n}", column.column_name);
        }
        let mut value = value(&format!("c{i}"), &column.column_type, format);
        if escape && column.column_type == "VARCHAR" && matches!(format, Format::Csv | Format::Tsv) {
            value =
                format!("CASE WHEN regexp_matches({value}, '^[=+@\\t\\r-]') THEN chr(39) || {value} ELSE {value} END");
        }
        values.push(format!("{value} AS {}", name(&unique)));
        names.push(unique);
    }
    let places: Vec<_> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    format!("SELECT {} FROM query({}) AS answer({})", values.join(", "), text(sql), places.join(", "))
}

/// Sums of whole numbers have 128 bits, which files and other readers do not: one that needs them is an error.
fn value(column: &str, kind: &str, format: Format) -> String {
    let item = kind.trim_end_matches("[]");
    let is_known = ["BIGINT", "INTEGER", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT", "VARCHAR", "BOOLEAN"]
        .contains(&item)
        || ["DATE", "TIMESTAMP"].contains(&kind);
    match (kind, format) {
        ("HUGEINT" | "UHUGEINT" | "UBIGINT", _) => format!("CAST({column} AS BIGINT)"),
        ("DOUBLE" | "FLOAT", Format::Json | Format::Jsonl) => format!("CASE WHEN isfinite({column}) THEN {column} END"),
        (_, Format::Table) if kind.starts_with("DECIMAL") && !kind.ends_with(']') => {
            format!("CAST({column} AS DOUBLE)")
        }
        (_, Format::Table) if !is_known => format!("CAST({column} AS VARCHAR)"),
        _ => column.to_owned(),
    }
}

fn refused(refusal: Refusal, tables: &[catalogue::Table]) -> CliError {
    match refusal {
        Refusal::Engine(error) => {
            let fix = "set MLSM_DUCKDB to a program `duckdb` that runs on this machine";
            CliError::usage("cannot run the SQL engine", error.to_string(), fix)
        }
        Refusal::Sql(why) => {
            let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
            let fix = format!("`mlsm tables NAME` describes a table; there are: {}", names.join(", "));
            CliError::usage("cannot answer the query", why, fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_name_are_told_apart_and_wide_integers_narrowed() {
        let column = |name: &str, kind: &str| AnswerColumn { column_name: name.into(), column_type: kind.into() };
        let columns = [column("n", "HUGEINT"), column("n", "DOUBLE"), column("d", "DECIMAL(3,1)")];
        assert_eq!(
            select(&columns, "SELECT 'x'", Format::Table, false),
            "SELECT CAST(c0 AS BIGINT) AS \"n\", c1 AS \"n_1\", CAST(c2 AS DOUBLE) AS \"d\" \
             FROM query('SELECT ''x''') AS answer(c0, c1, c2)"
        );
        assert!(select(&columns, "", Format::Json, false).contains("CASE WHEN isfinite(c1) THEN c1 END AS \"n_1\""));
    }
}
