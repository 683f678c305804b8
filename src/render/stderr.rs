//! Standard error: everything that is not a result. Failing to write here must never end the work.

use std::io::{self, Write};

use crate::render::{table, terminal};

/// Writes text; lines wider than the terminal go on below.
pub fn print(text: &str) {
    let folded = terminal::width_of(&io::stderr()).map(|width| table::fold(text, width));
    let _ = io::stderr().lock().write_all(folded.as_deref().unwrap_or(text).as_bytes());
}

/// Writes one line.
pub fn line(text: &str) {
    print(&format!("{text}\n"));
}
