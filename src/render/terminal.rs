//! The width that text may take.

use std::os::fd::AsFd;

use crate::environment;

/// Returns the columns of the terminal that stdout is, or what `COLUMNS` says; `None` where text may be as wide as it likes.
pub fn width() -> Option<usize> {
    width_of(&std::io::stdout())
}

/// Returns the lines of the terminal that stdout is.
pub fn height() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(_, height)| usize::from(height.0))
}

/// Returns the same as [`width`] for another stream.
pub fn width_of(stream: &impl AsFd) -> Option<usize> {
    let columns = environment::variable("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
    let columns = columns.filter(|columns| *columns > 0);
    columns.or_else(|| terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0)))
}

/// Returns the same for sentences: where nothing limits them, they still end before lines become hard to read.
pub fn width_of_sentences() -> usize {
    width().unwrap_or(120)
}
