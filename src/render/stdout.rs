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
    send_json(document).map(drop)
}

/// Does the same, and tells whether anybody reads it.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn send_json(document: &impl Serialize) -> Result<Reader, CliError> {
    let mut bytes = serde_json::to_vec(document).map_err(|e| CliError::Stdout(e.into()))?;
    bytes.push(b'\n');
    send(&bytes)
}

/// Writes bytes as they are.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn write(bytes: &[u8]) -> Result<(), CliError> {
    send(bytes).map(drop)
}

/// Whether anybody reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as is known.
    There,
    /// The other end of the pipe is closed.
    Gone,
}

/// Writes bytes as they are, and tells whether anybody reads them.
///
/// # Errors
/// [`CliError::Stdout`] when the output cannot be written.
pub fn send(bytes: &[u8]) -> Result<Reader, CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliError::Stdout(error)),
    }
}
