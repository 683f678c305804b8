//! The split file: lines or TOML lists of class ids, whichever a user finds easier to write.
//!
//! ```text
//! # a comment
//! 1 base
//! 2 val
//! novel = [3, 4,
//!          5]
//! ```

use crate::{ClassId, DataError, Part};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Reads a split file: lines `class_id part`, lists `part = [class_id, …]` over one or more lines, or both.
/// Parts are `base`, `val` and `novel`; `#` begins a comment; empty lines count for nothing.
///
/// # Errors
/// [`DataError::SplitLine`] names the line; [`DataError::ClassInTwoParts`] names the class.
pub fn parse_file(text: &str) -> Result<BTreeMap<ClassId, Part>, DataError> {
    let mut reader = Reader { line: 0, parts: BTreeMap::new(), open_list: None };
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        reader.line += 1;
        let content = line.split('#').next().unwrap_or_default().trim();
        reader.read(content)?;
    }
    match reader.open_list {
        None => Ok(reader.parts),
        Some((part, line)) => Err(DataError::SplitLine { line, why: format!("the list of {part} is never closed") }),
    }
}

struct Reader {
    line: usize,
    parts: BTreeMap<ClassId, Part>,
    /// The part whose list is being read, and the line where it began.
    open_list: Option<(Part, usize)>,
}

impl Reader {
    fn read(&mut self, content: &str) -> Result<(), DataError> {
        if content.is_empty() {
            return Ok(());
        }
        if self.open_list.is_some() {
            return self.list_items(content);
        }
        if let Some((key, value)) = content.split_once('=') {
            let items = value.trim_start().strip_prefix('[');
            let items = items.ok_or_else(|| self.error("a list begins with `[`"))?;
            self.open_list = Some((self.part(key.trim())?, self.line));
            return self.list_items(items);
        }
        let fields: Vec<&str> = content.split_whitespace().collect();
        let [class_id, part] = fields[..] else {
            let why = format!("it has {} fields, expected 2 (class_id part)", fields.len());
            return Err(self.error(why));
        };
        let (class_id, part) = (self.class_id(class_id)?, self.part(part)?);
        self.insert(class_id, part)
    }

    /// Reads what a line holds of the open list, and closes it at `]`.
    fn list_items(&mut self, content: &str) -> Result<(), DataError> {
        let Some((part, _)) = self.open_list else { return Ok(()) };
        let (items, after) = match content.split_once(']') {
            Some((items, after)) => (items, Some(after.trim())),
            None => (content, None),
        };
        for item in items.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let class_id = self.class_id(item)?;
            self.insert(class_id, part)?;
        }
        match after {
            None => return Ok(()),
            Some("") => self.open_list = None,
            Some(after) => return Err(self.error(format!("`{after}` follows the end of a list"))),
        }
        Ok(())
    }

    fn class_id(&self, text: &str) -> Result<ClassId, DataError> {
        text.parse().map(ClassId).map_err(|_| self.error(format!("`{text}` is not a class id")))
    }

    fn part(&self, word: &str) -> Result<Part, DataError> {
        word.parse().map_err(|_| self.error(format!("`{word}` is not a part (base, val or novel)")))
    }

    fn insert(&mut self, class_id: ClassId, second: Part) -> Result<(), DataError> {
        match self.parts.entry(class_id) {
            Entry::Vacant(entry) => {
                entry.insert(second);
                Ok(())
            }
            Entry::Occupied(entry) if *entry.get() == second => Ok(()),
            Entry::Occupied(entry) => Err(DataError::ClassInTwoParts { class_id, first: *entry.get(), second }),
        }
    }

    fn error(&self, why: impl Into<String>) -> DataError {
        DataError::SplitLine { line: self.line, why: why.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(u32, &'static str)> {
        parse_file(text).unwrap().into_iter().map(|(class_id, part)| (class_id.0, part.name())).collect()
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
                    DataError::ClassInTwoParts { class_id: ClassId(7), first: Part::Base, second: Part::Novel }
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
            ("1 base\n\nx val", 3, "`x` is not a class id"),
            ("1 base\n2 test", 2, "`test` is not a part"),
            ("1 base\n2", 2, "1 fields, expected 2"),
            ("1 2 base", 1, "3 fields, expected 2"),
            ("base = 1", 1, "a list begins with `[`"),
            ("train = [1]", 1, "`train` is not a part"),
            ("1 base\nval = [2,\n3", 2, "the list of val is never closed"),
            ("base = [1] 2", 1, "`2` follows the end of a list"),
            ("base = [\n1,\n-2]", 3, "`-2` is not a class id"),
            ("base = [1 2]", 1, "`1 2` is not a class id"),
            ("99999999999 base", 1, "is not a class id"),
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
