//! A plain text table: columns as wide as their widest cell, numbers to the right, and never wider than the terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

/// The narrowest that a column of words becomes before rows are laid out one below the other.
const NARROWEST: usize = 10;
/// What stands between two columns.
const GAP: &str = "  ";

/// Which side a column leans to, and what happens to it where the terminal is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words, cut with `…`.
    Left,
    /// Names that people copy, always whole.
    Name,
    /// Sentences and lists, continued on the next line.
    Text,
    /// Numbers, always whole.
    Right,
}

/// A table of text.
#[derive(Clone, Debug)]
pub struct TextTable {
    header: Vec<String>,
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
    keeps_empty: bool,
}

impl TextTable {
    /// Starts a table with a heading and a side for each column.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            header: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            align: columns.iter().map(|(_, align)| *align).collect(),
            rows: Vec::new(),
            keeps_empty: false,
        }
    }

    /// Keeps columns that are empty throughout, for tables whose columns somebody asked for.
    #[must_use]
    pub fn keep_empty_columns(mut self) -> Self {
        self.keeps_empty = true;
        self
    }

    /// Adds a row; missing cells stay empty.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(printable).collect());
    }

    /// Tells whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lays the table out as text, with a rule under the heading; columns empty throughout are left out.
    #[cfg(test)]
    pub fn to_text(&self) -> String {
        self.fit(None)
    }

    /// Does the same within so many columns of a terminal. Words are cut, sentences continued; where that does not
    /// suffice, each row becomes a block with a line for each of its cells.
    pub fn fit(&self, width: Option<usize>) -> String {
        let columns = self.used_columns();
        let widths: Vec<_> = columns.iter().map(|c| self.width(*c)).collect();
        match width.map_or(Some(widths.clone()), |width| self.narrowed(&columns, widths, width)) {
            Some(widths) => self.grid(&columns, &widths),
            None => self.blocks(&columns, width.unwrap_or(usize::MAX)),
        }
    }

    fn grid(&self, columns: &[usize], widths: &[usize]) -> String {
        let rule: Vec<_> = widths.iter().map(|w| "─".repeat(*w)).collect();
        let mut text = self.line(&self.header, columns, widths);
        text.push_str(rule.join(GAP).trim_end());
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, columns, widths));
        }
        text
    }

    /// Takes width from the widest columns of words until all fit; `None` when they cannot.
    fn narrowed(&self, columns: &[usize], mut widths: Vec<usize>, width: usize) -> Option<Vec<usize>> {
        let gaps = GAP.len() * columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            let can_shrink =
                |i: &usize| matches!(self.align[columns[*i]], Align::Left | Align::Text) && widths[*i] > NARROWEST;
            let widest = (0..widths.len()).filter(can_shrink).max_by_key(|i| widths[*i])?;
            widths[widest] -= 1;
        }
        Some(widths)
    }

    /// Lays each row out as a block of lines, a cell each.
    fn blocks(&self, columns: &[usize], width: usize) -> String {
        let names = columns.iter().map(|c| self.header[*c].width()).max().unwrap_or(0).min(width / 2);
        let mut blocks = Vec::new();
        for row in &self.rows {
            let mut block = String::new();
            for c in columns {
                let cell = row.get(*c).map(String::as_str).unwrap_or_default();
                let room = width.saturating_sub(names + GAP.len()).max(1);
                let lines = if self.align[*c] == Align::Left { vec![cut(cell, room)] } else { wrap(cell, room) };
                let name = cut(&self.header[*c], names);
                for (i, line) in lines.iter().enumerate() {
                    let name = if i == 0 { name.as_str() } else { "" };
                    let _ = writeln!(block, "{}", format!("{}{GAP}{line}", pad(name, names)).trim_end());
                }
            }
            blocks.push(block);
        }
        blocks.join("\n")
    }

    /// Lays the table out as Markdown.
    pub fn to_markdown(&self) -> String {
        let columns = self.used_columns();
        let line = |row: &[String]| {
            let cells = columns.iter().map(|c| row.get(*c).map_or("", String::as_str).replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = columns.iter().map(|c| if self.align[*c] == Align::Right { "--:" } else { "---" });
        let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
        [line(&self.header), rule].into_iter().chain(self.rows.iter().map(|r| line(r))).collect()
    }

    /// Lays the table out as HTML, with every cell escaped.
    pub fn to_html(&self) -> String {
        let columns = self.used_columns();
        let line = |row: &[String], tag: &str| {
            let scope = if tag == "th" { " scope=\"col\"" } else { "" };
            let cell = |c: &usize| {
                let class = if self.align[*c] == Align::Right { " class=\"number\"" } else { "" };
                format!("<{tag}{scope}{class}>{}</{tag}>", escape_html(row.get(*c).map_or("", String::as_str)))
            };
            format!("<tr>{}</tr>\n", columns.iter().map(cell).collect::<String>())
        };
        let body: String = self.rows.iter().map(|r| line(r, "td")).collect();
        format!("<table>\n<thead>{}</thead>\n<tbody>{body}</tbody>\n</table>\n", line(&self.header, "th"))
    }

    fn used_columns(&self) -> Vec<usize> {
        let is_used = |c: &usize| self.rows.iter().any(|r| r.get(*c).is_some_and(|cell| !cell.is_empty()));
        (0..self.header.len()).filter(|c| self.keeps_empty || self.rows.is_empty() || is_used(c)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|r| r.get(column)).chain([&self.header[column]]);
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    }

    /// Lays one row out, on several lines where sentences are continued.
    fn line(&self, row: &[String], columns: &[usize], widths: &[usize]) -> String {
        let cells: Vec<Vec<String>> = columns
            .iter()
            .zip(widths)
            .map(|(c, width)| {
                let cell = row.get(*c).map(String::as_str).unwrap_or_default();
                if self.align[*c] == Align::Text { wrap(cell, *width) } else { vec![cut(cell, *width)] }
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        let mut text = String::new();
        for i in 0..height {
            let parts = cells.iter().zip(columns).zip(widths).map(|((lines, c), width)| {
                let cell = lines.get(i).map(String::as_str).unwrap_or_default();
                match self.align[*c] {
                    Align::Right => " ".repeat(width.saturating_sub(cell.width())) + cell,
                    Align::Left | Align::Name | Align::Text => pad(cell, *width),
                }
            });
            text.push_str(parts.collect::<Vec<_>>().join(GAP).trim_end());
            text.push('\n');
        }
        text
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Cuts text to a width, with `…` at its end.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.to_string().width() + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// Lays text out on lines of a width: between words, and inside a word that is wider than a line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it begins with one line");
        if line.is_empty() || line.width() + 1 + word.width() <= width {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
        while lines.last().is_some_and(|line| line.width() > width.max(1)) {
            let long = lines.pop().expect("it was just looked at");
            let mut end = 0;
            for (at, c) in long.char_indices() {
                if long[..at + c.len_utf8()].width() > width.max(1) && end > 0 {
                    break;
                }
                end = at + c.len_utf8();
            }
            lines.push(long[..end].to_owned());
            lines.push(long[end..].to_owned());
        }
    }
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Continues the lines that are wider than `width` on the next line, two columns further in.
pub fn fold(text: &str, width: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches('\n');
        if content.width() <= width {
            folded.push_str(line);
            continue;
        }
        let start = content.len() - content.trim_start_matches(' ').len();
        let (indent, further) = (start.min(width / 2), (start + 2).min(width / 2));
        for (i, part) in wrap(&content[start..], width - further).iter().enumerate() {
            folded.extend([if i == 0 { "" } else { "\n" }, &" ".repeat(if i == 0 { indent } else { further }), part]);
        }
        folded.push_str(&line[content.len()..]);
    }
    folded
}

/// Shows control characters by their names, so that a cell cannot steer a terminal or break a line.
fn printable(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Makes text harmless inside HTML.
pub fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> TextTable {
        let mut table = TextTable::new(&[("row", Align::Left), ("unused", Align::Left), ("n", Align::Right)]);
        table.row(vec!["a|b".to_owned(), String::new(), "1".to_owned()]);
        table.row(vec!["é<".to_owned(), String::new(), "1000".to_owned()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        assert_eq!(example().to_text(), "row     n\n───  ────\na|b     1\né<   1000\n");
    }

    #[test]
    fn a_narrow_terminal_cuts_words_continues_sentences_and_keeps_numbers() {
        let mut table = TextTable::new(&[("word", Align::Left), ("text", Align::Text), ("n", Align::Right)]);
        table.row(vec!["a-rather-long-name".to_owned(), "three words of text".to_owned(), "123456".to_owned()]);
        let text = table.fit(Some(32));
        let expected = "word         text              n\n───────────  ───────────  ──────\n\
                        a-rather-l…  three words  123456\n             of text\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn at_every_width_nothing_is_wider_than_the_terminal() {
        let mut table = TextTable::new(&[("row", Align::Left), ("columns", Align::Text), ("n", Align::Right)]);
        table.row(vec![
            "鳥の名前-x".to_owned(),
            "image_id, class_id, a_very_long_name_of_a_column".to_owned(),
            "12".to_owned(),
        ]);
        for width in 8..100 {
            let text = table.fit(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn a_name_is_whole_or_continued_but_never_cut() {
        let mut table = TextTable::new(&[("run", Align::Name), ("outcome", Align::Left)]);
        table.row(vec!["20261129-091500-1f2e".to_owned(), "success".to_owned()]);
        assert_eq!(table.fit(Some(30)).lines().nth(2), Some("20261129-091500-1f2e  success"));
        let text = table.fit(Some(20));
        assert_eq!(text, "run      20261129-09\n         1500-1f2e\noutcome  success\n");
    }

    #[test]
    fn long_lines_go_on_further_in_and_short_ones_stay() {
        let text = "error: no\n  why: three words more\n\n  fix: /a/path/without/a/blank";
        let expected = "error: no\n  why: three\n    words more\n\n  fix:\n    /a/path/with\n    out/a/blank";
        assert_eq!(fold(text, 16), expected);
        assert_eq!(fold(text, 80), text);
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let mut table = TextTable::new(&[("row", Align::Left)]);
        table.row(vec!["a\u{1b}[2Jb\nc".to_owned()]);
        assert_eq!(table.to_text(), "row\n──────────────\na\\u{1b}[2Jb\\nc\n");
    }

    #[test]
    fn markdown_and_html_escape_what_would_break_them() {
        assert_eq!(example().to_markdown(), "| row | n |\n|---|--:|\n| a\\|b | 1 |\n| é< | 1000 |\n");
        assert!(example().to_html().contains("<td>é&lt;</td>"));
    }
}
