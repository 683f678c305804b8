//! A text on a terminal that is drawn anew in its own place.

use crate::error::CliError;
use crate::render::stdout::{self, Reader};
use crate::render::{table, terminal};

/// What was drawn last.
#[derive(Debug, Default)]
pub struct Screen {
    lines: usize,
}

impl Screen {
    /// Draws a text over the last one; what does not fit below the terminal's upper edge is left out.
    ///
    /// # Errors
    /// [`CliError::Stdout`] when the output cannot be written.
    pub fn draw(&mut self, text: &str) -> Result<Reader, CliError> {
        let folded = terminal::width().map(|width| table::fold(text, width));
        let drawn = self.over(folded.as_deref().unwrap_or(text), terminal::height());
        stdout::send(drawn.as_bytes())
    }

    fn over(&mut self, text: &str, height: Option<usize>) -> String {
        let room = height.map_or(usize::MAX, |height| height.saturating_sub(1).max(1));
        let lines: Vec<&str> = text.lines().take(room).collect();
        let back = if self.lines > 0 { format!("\u{1b}[{}A\r\u{1b}[J", self.lines) } else { String::new() };
        self.lines = lines.len();
        back + &lines.into_iter().map(|line| format!("{line}\n")).collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_place_of_the_one_before_and_never_more_than_the_terminal() {
        let mut screen = Screen::default();
        assert_eq!(screen.over("a\nb\nc\n", Some(24)), "a\nb\nc\n");
        assert_eq!(screen.over("a\nb\nc\nd\n", Some(3)), "\u{1b}[3A\r\u{1b}[Ja\nb\n");
        assert_eq!(screen.over("z\n", None), "\u{1b}[2A\r\u{1b}[Jz\n");
    }
}
