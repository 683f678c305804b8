//! Standard error: everything that is not a result. Failing to write here must never end the work.

use std::io::{self, Write};

/// Writes text as it is.
pub fn print(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes one line.
pub fn line(text: &str) {
    print(&format!("{text}\n"));
}
