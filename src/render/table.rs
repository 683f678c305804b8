//! A plain text table: columns as wide as their widest cell, numbers to the right.

/// Which side a column leans to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
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
        self.rows.push(cells);
    }

    /// Tells whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lays the table out as text, with a rule under the heading; columns empty throughout are left out.
    pub fn to_text(&self) -> String {
        let columns = self.used_columns();
        let widths: Vec<_> = columns.iter().map(|c| self.width(*c)).collect();
        let rule: Vec<_> = widths.iter().map(|w| "─".repeat(*w)).collect();
        let mut text = self.line(&self.header, &columns, &widths);
        text.push_str(rule.join("  ").trim_end());
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &columns, &widths));
        }
        text
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
            let cell = |c: &usize| {
                let class = if self.align[*c] == Align::Right { " class=\"number\"" } else { "" };
                format!("<{tag}{class}>{}</{tag}>", escape_html(row.get(*c).map_or("", String::as_str)))
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
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn line(&self, row: &[String], columns: &[usize], widths: &[usize]) -> String {
        let cells = columns.iter().zip(widths).map(|(c, width)| {
            let cell = row.get(*c).map_or("", String::as_str);
            let gap = " ".repeat(width - cell.chars().count());
            if self.align[*c] == Align::Right { gap + cell } else { cell.to_owned() + &gap }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    }
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
    fn markdown_and_html_escape_what_would_break_them() {
        assert_eq!(example().to_markdown(), "| row | n |\n|---|--:|\n| a\\|b | 1 |\n| é< | 1000 |\n");
        assert!(example().to_html().contains("<td>é&lt;</td>"));
    }
}
