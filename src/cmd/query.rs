//! `mlsm query`: SQL over the published tables. DuckDB answers; a text table is shaped as a frame.

pub mod answer;
mod arrow_file;
pub mod catalogue;
mod engine;
pub mod frame;
mod json_text;

use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::thread;

use arrow::error::ArrowError;
use clap::Args;
use mlsm_store::{StoreError, publish_stream};

use crate::cmd::query::answer::{Answer, AnswerArgs, Format};
use crate::cmd::query::catalogue::Table;
use crate::cmd::query::engine::{AnswerColumn, Engine, Refusal, name, not_running, text};
use crate::cmd::report;
use crate::error::CliError;
use crate::settings::Settings;

/// Where the engine copies an answer to that is handed on.
const STDOUT: &str = "'/dev/stdout'";

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
    // The engine gets ready while the run and its tables are found.
    let (published, engine) = thread::scope(|scope| {
        let engine = scope.spawn(Engine::start);
        let published = report::open(settings).and_then(|store| report::published(&store, args.run.as_deref()));
        (published, engine.join().expect("starting the engine does not panic"))
    });
    let (published, mut engine) = (published?, engine?);
    let tables = catalogue::listed(&published);
    let refused = |refusal| refused(refusal, &tables);
    // The engine begins while the tables are read through; nothing of its answer goes out before they are known to be whole.
    thread::scope(|scope| {
        let check = scope.spawn(|| catalogue::check(&published));
        let asked = engine
            .ask(&args.sql, published.folder(), &tables, settings.threads)
            .and_then(|columns| engine.answer(&statement(&engine, &columns, args, format)));
        check.join().expect("a check does not panic")?;
        asked.map_err(refused)
    })?;
    if format == Format::Table {
        return show(engine, args, settings, &refused);
    }
    let write = |out: &mut dyn Write, unwritten: &dyn Fn(io::Error) -> CliError| match format {
        Format::Arrow => convert(engine, out, unwritten, &refused),
        _ => deliver(engine, format, out, unwritten, &refused),
    };
    match &args.answer.out {
        None => write(&mut io::stdout().lock(), &CliError::Stdout),
        Some(path) => publish_stream(path, |out| write(out, &|e| CliError::Store(StoreError::io("write", path, e)))),
    }
}

/// Returns the statement that copies the answer to the engine's stdout; tables and Arrow files go by way of a Parquet file.
fn statement(engine: &Engine, columns: &[AnswerColumn], args: &QueryArgs, format: Format) -> String {
    let select = select(columns, &args.sql, format, args.answer.escape_formulas);
    let kept = text(&kept(engine).display().to_string());
    let copy = |to: &str, form: &str| format!("COPY ({select}) TO {to} (FORMAT {form})");
    match format {
        // A table in the engine would be among those that a query may list.
        Format::Table => format!(
            "{}; COPY (SELECT *, (SELECT count(*) FROM {kept}) AS \"{}\" FROM {kept} LIMIT {}) TO {STDOUT} (FORMAT parquet)",
            copy(&kept, "parquet"),
            answer::ROWS_IN_ALL,
            frame::ROWS
        ),
        Format::Csv => copy(STDOUT, "csv, HEADER"),
        Format::Tsv => copy(STDOUT, "csv, HEADER, DELIMITER '\t'"),
        Format::Parquet => copy(STDOUT, "parquet, COMPRESSION zstd"),
        Format::Arrow => copy(&kept, "parquet, COMPRESSION zstd"),
        Format::Json | Format::Jsonl => copy(STDOUT, "json"),
    }
}

/// Where an answer is kept that goes on only when it is whole.
fn kept(engine: &Engine) -> PathBuf {
    engine.temporary("answer.parquet")
}

/// Writes an Arrow file, which DuckDB does not: it makes a Parquet file that is then read piece by piece.
fn convert(
    mut engine: Engine,
    out: &mut dyn Write,
    unwritten: &dyn Fn(io::Error) -> CliError,
    refused: &dyn Fn(Refusal) -> CliError,
) -> Result<(), CliError> {
    engine.finish().map_err(refused)?;
    let file = File::open(kept(&engine)).map_err(|e| refused(Refusal::Engine(e)))?;
    arrow_file::from_parquet(file, out).map_err(|e| match e {
        ArrowError::IoError(_, error) => unwritten(error),
        other => refused(Refusal::Sql(other.to_string())),
    })
}

/// Prints or writes the first rows as a text table.
fn show(
    mut engine: Engine,
    args: &QueryArgs,
    settings: &Settings,
    refused: &dyn Fn(Refusal) -> CliError,
) -> Result<(), CliError> {
    let mut parquet = Vec::new();
    engine.out().read_to_end(&mut parquet).map_err(|e| refused(Refusal::Engine(e)))?;
    engine.finish().map_err(refused)?;
    Answer::read(&parquet)?.deliver(&args.answer, settings)
}

/// Hands an answer on as it arrives. A reader that went away, such as `head`, is no error.
fn deliver(
    mut engine: Engine,
    format: Format,
    out: &mut dyn Write,
    unwritten: &dyn Fn(io::Error) -> CliError,
    refused: &dyn Fn(Refusal) -> CliError,
) -> Result<(), CliError> {
    let written = match format {
        Format::Json => copy_lines(engine.out(), out, b"[", b","),
        Format::Jsonl => copy_lines(engine.out(), out, b"", b"\n"),
        _ => io::copy(engine.out(), out).map(|bytes| bytes > 0),
    };
    let has_rows = match written.and_then(|has_rows| out.flush().map(|()| has_rows)) {
        Ok(has_rows) => has_rows,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => return Err(unwritten(error)),
    };
    engine.finish().map_err(refused)?;
    // An array is closed only when it is whole, so that nobody takes the beginning of an answer for all of it.
    let end: &[u8] = match (format, has_rows) {
        (Format::Json, true) => b"]\n",
        (Format::Json, false) => b"[]\n",
        (Format::Jsonl, true) => b"\n",
        _ => b"",
    };
    match out.write_all(end).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(error)),
        _ => Ok(()),
    }
}

/// Copies lines of objects, with something before the first and between two; tells whether there were any.
fn copy_lines(from: &mut dyn BufRead, out: &mut dyn Write, before: &[u8], between: &[u8]) -> io::Result<bool> {
    let mut out = io::BufWriter::new(out);
    let mut has_rows = false;
    for line in from.split(b'\n') {
        let line = line?;
        if !line.is_empty() {
            out.write_all(if has_rows { between } else { before })?;
            out.write_all(&json_text::without_nan(&line))?;
            has_rows = true;
        }
    }
    out.flush()?;
    Ok(has_rows)
}

/// Returns the query with its columns in types that the format has.
fn select(columns: &[AnswerColumn], sql: &str, format: Format, escape: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut values = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let mut unique = column.column_name.clone();
        for n in 1.. {
            if !names.iter().any(|other| other.eq_ignore_ascii_case(&unique)) {
                break;
            }
            unique = format!("{}_{n}", column.column_name);
        }
        let mut value = value(&format!("c{i}"), &column.column_type, format);
        let mut heading = unique.clone();
        if escape && matches!(format, Format::Csv | Format::Tsv) {
            heading = frame::escaped(&heading);
            if column.column_type == "VARCHAR" || column.column_type.starts_with("ENUM(") {
                let text = format!("CAST({value} AS VARCHAR)");
                let is_formula = format!("regexp_matches({text}, '^[=+@\\t\\r-]')");
                value = format!("CASE WHEN {is_formula} THEN chr(39) || {text} ELSE {text} END");
            }
        }
        values.push(format!("{value} AS {}", name(&heading)));
        names.push(unique);
    }
    let places: Vec<_> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    format!("SELECT {} FROM query({}) AS answer({})", values.join(", "), text(sql), places.join(", "))
}

/// Returns a column in a type that the format has. Sums of whole numbers have 128 bits, which few readers know: one that
/// needs them is an error, except in text. A table shows as text what it could not lay out without loss.
fn value(column: &str, kind: &str, format: Format) -> String {
    match format {
        Format::Csv | Format::Tsv => column.to_owned(),
        Format::Table => {
            let item = kind.trim_end_matches("[]");
            let is_known =
                ["BIGINT", "UBIGINT", "INTEGER", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT", "VARCHAR", "BOOLEAN"];
            match kind {
                "HUGEINT" | "UHUGEINT" => format!("CAST({column} AS BIGINT)"),
                _ if is_known.contains(&item) => column.to_owned(),
                _ => format!("CAST({column} AS VARCHAR)"),
            }
        }
        Format::Json | Format::Jsonl => cast(column, kind, &[("UHUGEINT", "BIGINT"), ("HUGEINT", "BIGINT")]),
        Format::Parquet | Format::Arrow => {
            let others = [("UHUGEINT", "BIGINT"), ("HUGEINT", "BIGINT"), ("INTERVAL", "VARCHAR"), ("UUID", "VARCHAR")];
            match kind.starts_with("UNION(") {
                true => format!("CAST({column} AS VARCHAR)"),
                false => cast(column, kind, &others),
            }
        }
    }
}

/// Casts a column whose type holds types that the format has not, wherever in it they are. Names of fields are quoted where
/// they could be taken for types.
fn cast(column: &str, kind: &str, others: &[(&str, &str)]) -> String {
    let replaced = |part: &str| others.iter().fold(part.to_owned(), |text, (from, to)| text.replace(from, to));
    let parts = kind.split('"').enumerate();
    let parts: Vec<String> = parts.map(|(i, part)| if i % 2 == 0 { replaced(part) } else { part.to_owned() }).collect();
    let found = parts.join("\"");
    if found == kind { column.to_owned() } else { format!("CAST({column} AS {found})") }
}

fn refused(refusal: Refusal, tables: &[Table]) -> CliError {
    match refusal {
        Refusal::Engine(error) => not_running(&error),
        Refusal::Sql(why) => {
            let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
            let fix = match why.contains("INT128") || why.contains("UINT64") {
                true => "write `COLUMN::VARCHAR` or `COLUMN::DOUBLE` for a whole number beyond 64 bits".to_owned(),
                false => format!("`mlsm tables NAME` describes a table; there are: {}", names.join(", ")),
            };
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
        let columns = [column("n", "HUGEINT"), column("N", "DOUBLE"), column("d", "DECIMAL(3,1)")];
        assert_eq!(
            select(&columns, "SELECT 'x'", Format::Table, false),
            "SELECT CAST(c0 AS BIGINT) AS \"n\", c1 AS \"N_1\", CAST(c2 AS VARCHAR) AS \"d\" \
             FROM query('SELECT ''x''') AS answer(c0, c1, c2)"
        );
        assert!(select(&columns, "", Format::Csv, false).starts_with("SELECT c0 AS \"n\", c1 AS "));
    }

    #[test]
    fn types_that_a_format_lacks_are_cast_wherever_they_are() {
        let nested = "STRUCT(a HUGEINT, \"UUID\" UUID[], c INTERVAL)";
        assert_eq!(value("c0", nested, Format::Parquet), "CAST(c0 AS STRUCT(a BIGINT, \"UUID\" VARCHAR[], c VARCHAR))");
        assert_eq!(value("c0", nested, Format::Json), "CAST(c0 AS STRUCT(a BIGINT, \"UUID\" UUID[], c INTERVAL))");
        assert_eq!(value("c0", "UBIGINT", Format::Arrow), "c0");
        assert_eq!(value("c0", "TIMESTAMP", Format::Table), "CAST(c0 AS VARCHAR)");
    }

    #[test]
    fn headings_are_escaped_with_their_columns() {
        let columns = [AnswerColumn { column_name: "=x".into(), column_type: "ENUM('a')".into() }];
        let found = select(&columns, "", Format::Csv, true);
        assert!(found.contains("chr(39)") && found.contains("AS \"'=x\""), "{found}");
    }
}
