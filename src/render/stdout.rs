//! Standard output: results alone.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::error::CliError;
use crate::render::{table, terminal};

/// Writes text for people: lines wider than the terminal go on below.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn tell(text: &str) -> Result<(), CliError> {
    match terminal::width() {
        Some(width) => print(&table::fold(text, width)),
        None => print(text),
    }
}

/// Writes text as it is. A reader that went away, such as `head`, is no error.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn print(text: &str) -> Result<(), CliError> {
    write(text.as_bytes())
}

/// Writes one JSON document on one line.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn print_json(document: &impl Serialize) -> Result<(), CliError> {
    let mut bytes = serde_json::to_vec(document).map_err(|e| CliError::Stdout(e.into()))?;
    bytes.push(b'\n');
    write(&bytes)
}

/// Writes bytes as they are.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn write(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
        _ => Ok(()),
    }
}
