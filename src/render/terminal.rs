//! The width that text may take.

use crate::environment;

/// Returns the columns of the terminal that stdout is, or what `COLUMNS` says; `None` where text may be as wide as it likes.
pub fn width() -> Option<usize> {
    let variable =
        environment::variable("COLUMNS").and_then(|text| text.to_str()?.parse().ok()).filter(|columns| *columns > 0);
    variable.or_else(|| terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0)))
}

/// Returns the same for sentences: where nothing limits them, they still end before lines become hard to read.
pub fn width_of_sentences() -> usize {
    width().unwrap_or(120)
}
