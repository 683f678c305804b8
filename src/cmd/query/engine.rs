//! The SQL engine: DuckDB's command line, a program of its own that pip fetches once, so that no build waits for it.
//!
//! It sees the published tables and nothing else: no other file, no network, no extension. The SQL is handed over as text
//! of which DuckDB accepts a single SELECT.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::cmd::query::catalogue::{self, Table};
use crate::environment;
use crate::error::CliError;

/// The pip requirement. Its answers are what `mlsm query` promises, so another version is a change for users.
const PACKAGE: &str = "duckdb-cli==1.5.6";
/// Memory that a query may take before it spills to the temporary folder.
const MEMORY: &str = "768MiB";

/// A column of an answer.
#[derive(Clone, Debug, Deserialize)]
pub struct AnswerColumn {
    /// Its name.
    pub column_name: String,
    /// Its type in DuckDB.
    pub column_type: String,
}

/// The engine at work on one query. It is told the tables and the query, then one statement more; what that copies to
/// `/dev/stdout` can be read.
pub struct Engine {
    program: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Holds what does not fit in memory.
    spilled: tempfile::TempDir,
}

impl Engine {
    /// Starts the engine, which gets ready while its caller finds the tables.
    ///
    /// # Errors
    /// [`CliError::Usage`] when the engine is not there and cannot be fetched, does not run, or there is no temporary folder.
    pub fn start() -> Result<Self, CliError> {
        let program = program()?;
        let spilled = tempfile::tempdir().map_err(|e| {
            CliError::usage("cannot make a temporary folder", e.to_string(), "set TMPDIR to a folder you can write to")
        })?;
        let (child, stdin, stdout) = spawn(&program, spilled.path()).map_err(|e| not_running(&e))?;
        Ok(Self { program, child, stdin: Some(stdin), stdout, spilled })
    }

    /// Returns a place for a file that lives as long as the engine.
    pub fn temporary(&self, name: &str) -> PathBuf {
        self.spilled.path().join(name)
    }

    /// Asks a query of some tables; returns the columns of the answer. `folder`: the tables, with no link in its path.
    ///
    /// # Errors
    /// [`Refusal::Sql`] with DuckDB's reason.
    pub fn ask(
        &mut self,
        sql: &str,
        folder: &Path,
        tables: &[Table],
        threads: usize,
    ) -> Result<Vec<AnswerColumn>, Refusal> {
        let named = catalogue::named(tables, sql);
        match self.describe(sql, &self.prelude(folder, &named, threads)) {
            Err(Refusal::Sql(_)) if named.len() < tables.len() => {
                let (child, stdin, stdout) = spawn(&self.program, self.spilled.path()).map_err(Refusal::Engine)?;
                (self.child, self.stdin, self.stdout) = (child, Some(stdin), stdout);
                self.describe(sql, &self.prelude(folder, &tables.iter().collect::<Vec<_>>(), threads))
            }
            described => described,
        }
    }

    fn describe(&mut self, sql: &str, prelude: &str) -> Result<Vec<AnswerColumn>, Refusal> {
        self.say(&format!("{prelude}\nDESCRIBE SELECT * FROM query({})", text(sql)))?;
        let described = serde_json::Deserializer::from_reader(&mut self.stdout).into_iter::<Vec<AnswerColumn>>().next();
        if let Some(Ok(columns)) = described {
            self.stdout.skip_until(b'\n').map_err(Refusal::Engine)?;
            return Ok(columns);
        }
        self.finish()?;
        Err(Refusal::Sql("the SQL engine describes no answer".to_owned()))
    }

    /// Returns the statements that lay out the tables and shut everything else.
    fn prelude(&self, folder: &Path, tables: &[&Table], threads: usize) -> String {
        let views = tables.iter().map(|table| format!("CREATE VIEW {} AS {};", name(&table.name), table.select()));
        let spilled = text(&self.spilled.path().display().to_string());
        format!(
            "SET enable_progress_bar=false; SET enable_logging=false; SET threads={threads}; SET memory_limit='{MEMORY}'; SET TimeZone='UTC'; \
             SET parquet_metadata_cache=true; SET temp_directory={spilled}; SET autoinstall_known_extensions=false; SET autoload_known_extensions=false; \
             SET allowed_directories=[{}, {spilled}]; SET allowed_paths=['/dev/stdout']; SET enable_external_access=false; {} \
             SET lock_configuration=true;",
            text(&folder.display().to_string()),
            views.collect::<String>(),
        )
    }

    /// Hands the last statement over, which begins at once.
    ///
    /// # Errors
    /// [`Refusal::Engine`] when the engine cannot be spoken to.
    pub fn answer(&mut self, statement: &str) -> Result<(), Refusal> {
        self.say(statement)?;
        self.stdin = None;
        Ok(())
    }

    /// Returns what the last statement copies to `/dev/stdout`.
    pub fn out(&mut self) -> &mut BufReader<ChildStdout> {
        &mut self.stdout
    }

    /// Waits for the end of what was handed over.
    ///
    /// # Errors
    /// [`Refusal::Sql`] with DuckDB's reason.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        self.stdin = None;
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).map_err(Refusal::Engine)?;
        }
        let status = self.child.wait().map_err(Refusal::Engine)?;
        if status.success() { Ok(()) } else { Err(Refusal::Sql(reason(&said))) }
    }

    /// An engine that has ended says why when it is waited for.
    fn say(&mut self, statement: &str) -> Result<(), Refusal> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write_all(format!("{statement};\n").as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Refusal::Engine(error)),
            _ => Ok(()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, folder: &Path) -> io::Result<(Child, ChildStdin, BufReader<ChildStdout>)> {
    let mut child = Command::new(program)
        .args(["-init", "/dev/null", "-batch", "-bail", "-json"])
        .current_dir(folder)
        .env_remove("DUCKDB_RC_PATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take().expect("piped just above");
    let stdout = BufReader::new(child.stdout.take().expect("piped just above"));
    Ok((child, stdin, stdout))
}

/// Says that the engine does not run.
pub fn not_running(error: &io::Error) -> CliError {
    let fix = "set MLSM_DUCKDB to a program `duckdb` that runs on this machine";
    CliError::usage("cannot run the SQL engine", error.to_string(), fix)
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refusal {
    /// The engine does not run.
    Engine(io::Error),
    /// The query is refused, or fails.
    Sql(String),
}

/// Quotes text.
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// Quotes a name.
pub fn name(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

/// DuckDB adds hints and the place in the query after an empty line; the reason comes first.
fn reason(said: &str) -> String {
    let said = said.trim();
    let first = said.lines().take_while(|line| !line.trim().is_empty()).take(3).collect::<Vec<_>>().join(" ");
    if first.is_empty() { "the SQL engine ended without a word; is there enough memory?".to_owned() } else { first }
}

/// Returns the engine's program, which is fetched when it is not there: `MLSM_DUCKDB`, or the folder of caches.
fn program() -> Result<PathBuf, CliError> {
    if let Some(program) = environment::variable("MLSM_DUCKDB") {
        return Ok(program.into());
    }
    let caches = environment::caches().ok_or_else(|| {
        let fix = "set HOME, or MLSM_DUCKDB to the program `duckdb`";
        CliError::usage("no folder for the SQL engine", "neither XDG_CACHE_HOME nor HOME is set", fix)
    })?;
    let home = caches.join(PACKAGE.replace("==", "-"));
    let program = home.join("duckdb_cli/duckdb");
    if !program.exists() {
        fetch(&home).map_err(|why| {
            let fix = "check the network and `python3 -m pip --version`, or set MLSM_DUCKDB to the program `duckdb`";
            CliError::usage(format!("cannot fetch the SQL engine {PACKAGE}"), why, fix)
        })?;
    }
    Ok(program)
}

/// Unpacks the package beside its place and moves it there whole; of several processes one does so.
fn fetch(home: &Path) -> Result<(), String> {
    let above = home.parent().unwrap_or(home);
    fs::create_dir_all(above).map_err(|e| format!("{}: {e}", above.display()))?;
    #[expect(clippy::disallowed_methods, reason = "a cache of programs, beside the stores")]
    let lock = File::create(above.join(format!("{PACKAGE}.lock"))).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if home.exists() {
        return Ok(()); // another process was faster
    }
    let unpacked = tempfile::tempdir_in(above).map_err(|e| e.to_string())?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(unpacked.path())
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("pip failed").to_owned());
    }
    #[expect(clippy::disallowed_methods, reason = "a cache of programs, beside the stores")]
    fs::rename(unpacked.keep(), home).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_where_they_should() {
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn the_reason_is_what_stands_before_the_place() {
        let said = "Catalog Error: Table with name x does not exist!\nDid you mean \"y\"?\n\nLINE 1: SELECT\n";
        assert_eq!(reason(said), "Catalog Error: Table with name x does not exist! Did you mean \"y\"?");
    }
}
