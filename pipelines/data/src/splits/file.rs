//! The split file: lines or TOML lists of classes, whichever a user finds easier to write. A class is named by its name
//! (in quotes where it stands in a list) or by its id.
//!
//! ```text
//! # a comment
//! 1 base
//! Great Grey Shrike val
//! novel = [3, "wren",
//!          5]
//! ```

use crate::brief::brief;
use crate::{DataError, Part};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Reads a split file: lines `class part`, lists `part = [class, …]` over one or more lines, or both. Returns the part of
/// each class by its name or id as written. Parts are `base`, `val` and `novel`; `#` outside quotes begins a comment.
///
/// # Errors
/// [`DataError::SplitLine`] names the line; [`DataError::ClassInTwoParts`] names the class.
pub fn parse_file(text: &str) -> Result<BTreeMap<String, Part>, DataError> {
    let mut reader = Reader { line: 0, parts: BTreeMap::new(), open_list: None };
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        reader.line += 1;
        let words = pieces(line).map_err(|why| reader.error(why))?;
        reader.read(&words)?;
    }
    match reader.open_list {
        None => Ok(reader.parts),
        Some((part, line)) => Err(DataError::SplitLine { line, why: format!("the list of {part} is never closed") }),
    }
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    /// A run of characters between blanks and signs.
    Word(String),
    /// What stood in quotes.
    Quoted(String),
    /// `=`, `[`, `]` or `,`.
    Sign(char),
}

/// Cuts a line into pieces, up to its comment.
fn pieces(line: &str) -> Result<Vec<Piece>, String> {
    let (mut found, mut rest) = (Vec::new(), line.trim());
    while let Some(first) = rest.chars().next() {
        match first {
            '#' => break,
            '=' | '[' | ']' | ',' => {
                found.push(Piece::Sign(first));
                rest = &rest[1..];
            }
            '"' | '\'' => {
                let (text, after) = quoted(&rest[1..], first)?;
                found.push(Piece::Quoted(text));
                rest = after;
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '[' | ']' | ',' | '#');
                let end = rest.find(ends).unwrap_or(rest.len());
                found.push(Piece::Word(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

/// Reads up to the closing quote; between double quotes `\` takes the next character as it is.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let (mut out, mut characters) = (String::new(), text.char_indices());
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if quote == '"' => out.extend(characters.next().map(|(_, c)| c)),
            c if c == quote => return Ok((out, &text[at + 1..])),
            c => out.push(c),
        }
    }
    Err("a quote is never closed".to_owned())
}

struct Reader {
    line: usize,
    parts: BTreeMap<String, Part>,
    /// The part whose list is being read, and the line where it began.
    open_list: Option<(Part, usize)>,
}

impl Reader {
    fn read(&mut self, line: &[Piece]) -> Result<(), DataError> {
        match (line, self.open_list) {
            ([], _) => Ok(()),
            (_, Some((part, _))) => self.list_items(part, line),
            ([Piece::Word(part), Piece::Sign('='), Piece::Sign('['), items @ ..], None) => {
                let part = self.part(part)?;
                self.open_list = Some((part, self.line));
                self.list_items(part, items)
            }
            ([Piece::Word(part), Piece::Sign('='), ..], None) if self.part(part).is_ok() => {
                Err(self.error("a list begins with `[`"))
            }
            ([class @ .., Piece::Word(part)], None) if !class.is_empty() => {
                let part = self.part(part)?;
                self.insert(written(class), part)
            }
            _ => Err(self.error(format!("`{}` is not `class part`", written(line)))),
        }
    }

    /// Reads what a line holds of the open list, and closes it at `]`.
    fn list_items(&mut self, part: Part, items: &[Piece]) -> Result<(), DataError> {
        let end = items.iter().position(|piece| *piece == Piece::Sign(']'));
        for item in items[..end.unwrap_or(items.len())].split(|piece| *piece == Piece::Sign(',')) {
            match item {
                [] => {}
                [Piece::Quoted(name)] => self.insert(name.clone(), part)?,
                [Piece::Word(id)] if id.parse::<u32>().is_ok() => self.insert(id.clone(), part)?,
                other => {
                    let why = format!("`{}` is neither a class id nor a name in quotes", written(other));
                    return Err(self.error(why));
                }
            }
        }
        match end.map(|end| &items[end + 1..]) {
            None => return Ok(()),
            Some([]) => self.open_list = None,
            Some(after) => return Err(self.error(format!("`{}` follows the end of a list", written(after)))),
        }
        Ok(())
    }

    fn part(&self, word: &str) -> Result<Part, DataError> {
        word.parse().map_err(|_| self.error(format!("`{word}` is not a part (base, val or novel)")))
    }

    fn insert(&mut self, class: String, second: Part) -> Result<(), DataError> {
        match self.parts.entry(class) {
            Entry::Vacant(entry) => {
                entry.insert(second);
                Ok(())
            }
            Entry::Occupied(entry) if *entry.get() == second => Ok(()),
            Entry::Occupied(entry) => {
                let class = brief(entry.key().escape_debug().to_string());
                Err(DataError::ClassInTwoParts { class, first: *entry.get(), second })
            }
        }
    }

    fn error(&self, why: impl Into<String>) -> DataError {
        DataError::SplitLine { line: self.line, why: brief(why) }
    }
}

/// Pieces as they were written, parted by single blanks.
fn written(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Word(text) | Piece::Quoted(text) => text.clone(),
        Piece::Sign(sign) => sign.to_string(),
    };
    pieces.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(u32, &'static str)> {
        let parts = parse_file(text).unwrap().into_iter();
        parts.map(|(class, part)| (class.parse().unwrap(), part.name())).collect()
    }

    #[test]
    fn classes_are_named_with_blanks_signs_and_quotes() {
        let text =
            "Great Grey  Shrike val\n'#1' base\nnovel = [\"a, b\", \"say \\\"hi\\\"\", 'it]', 7] # end\n\"50%\" base";
        let parts = parse_file(text).unwrap();
        let found: Vec<(&str, &str)> = parts.iter().map(|(name, part)| (name.as_str(), part.name())).collect();
        let expected =
            [("#1", "base"), ("50%", "base"), ("7", "novel"), ("Great Grey Shrike", "val"), ("a, b", "novel")];
        assert_eq!(found[..5], expected);
        assert_eq!(found[5..], [("it]", "novel"), ("say \"hi\"", "novel")]);
    }

    #[test]
    fn lines_and_lists_say_the_same() {
        let expected = [(1, "base"), (2, "val"), (3, "novel"), (4, "novel")];
        assert_eq!(pairs("1 base\n2\tval\n3 novel\n4 novel"), expected);
        assert_eq!(pairs("base = [1]\nval=[ 2, ]\nnovel = [3, 4]\n"), expected);
        assert_eq!(pairs("novel = [\n  3, # three\n\n  4\n]\n1 base\n2 val\n"), expected);
    }

    #[test]
    fn comments_empty_lines_and_line_ends_of_windows_count_for_nothing() {
        assert_eq!(pairs("\u{feff}# split\r\n\r\n1 base # first\r\n"), [(1, "base")]);
        assert!(pairs("").is_empty());
    }

    #[test]
    fn a_class_in_two_parts_is_named() {
        for text in ["7 base\n7 novel\n", "base = [1, 7]\nnovel = [7]", "base = [7]\n7 novel"] {
            let error = parse_file(text).unwrap_err();
            assert!(
                matches!(
                    error,
                    DataError::ClassInTwoParts { ref class, first: Part::Base, second: Part::Novel } if class == "7"
                ),
                "{error}"
            );
            assert!(error.to_string().contains("class 7"), "{error}");
        }
    }

    #[test]
    fn a_class_named_twice_in_one_part_is_harmless() {
        assert_eq!(pairs("7 base\nbase = [7, 7]"), [(7, "base")]);
    }

    #[test]
    fn an_error_names_its_line() {
        let cases = [
            ("1 base\n\nval", 3, "`val` is not `class part`"),
            ("novel = [\"a]", 1, "a quote is never closed"),
            ("1 base\n2 test", 2, "`test` is not a part"),
            ("1 base\n2", 2, "`2` is not `class part`"),
            ("base = 1", 1, "a list begins with `[`"),
            ("train = [1]", 1, "`train` is not a part"),
            ("1 base\nval = [2,\n3", 2, "the list of val is never closed"),
            ("base = [1] 2", 1, "`2` follows the end of a list"),
            ("base = [\n1,\nwren]", 3, "`wren` is neither a class id nor a name in quotes"),
            ("base = [1 2]", 1, "`1 2` is neither a class id"),
            ("base = [99999999999]", 1, "is neither a class id"),
        ];
        for (text, expected_line, expected_why) in cases {
            match parse_file(text).unwrap_err() {
                DataError::SplitLine { line, why } => {
                    assert_eq!(line, expected_line, "{text}");
                    assert!(why.contains(expected_why), "{why}");
                }
                other => panic!("{text}: {other}"),
            }
        }
    }
}
