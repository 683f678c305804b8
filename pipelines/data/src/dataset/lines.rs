//! A metadata file of CUB: one record a line, columns parted by blanks.

use super::tree::Tree;
use crate::DataError;
use crate::brief::brief;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The text of a metadata file.
pub(super) struct MetadataFile {
    path: PathBuf,
    text: String,
}

/// The fields of one line, as many as were asked for.
pub(super) struct Record<'a> {
    path: &'a Path,
    pub line: usize,
    pub fields: Vec<&'a str>,
}

impl MetadataFile {
    /// Reads a file that must be there.
    pub fn read<T: Tree + ?Sized>(tree: &T, below: &str, name: &str) -> Result<Self, DataError> {
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        Self::read_if_there(tree, &path)?.ok_or_else(|| DataError::NoDataset {
            path: tree.place(below),
            why: format!("it has no `{name}`, and a CUB folder must"),
            fix: "extract the archive again, or give a folder of class folders",
        })
    }

    /// Reads a file that may be absent.
    pub fn read_if_there<T: Tree + ?Sized>(tree: &T, path: &str) -> Result<Option<Self>, DataError> {
        let (found, path) = (tree.read(path), tree.place(path));
        let bytes = match found {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataError::io("read", &path, error)),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Self { path, text })),
            Err(error) => {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
                Err(DataError::Malformed { path, line, why: "it is not UTF-8 text".into() })
            }
        }
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lines, each of exactly the columns named, separated by blanks. Empty lines are skipped.
    pub fn records(&self, columns: &'static [&'static str]) -> impl Iterator<Item = Result<Record<'_>, DataError>> {
        let lines = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text).lines().enumerate();
        lines.filter(|(_, text)| !text.trim().is_empty()).map(move |(index, text)| {
            let record = Record { path: &self.path, line: index + 1, fields: text.split_whitespace().collect() };
            if record.fields.len() == columns.len() {
                return Ok(record);
            }
            let (found, expected, names) = (record.fields.len(), columns.len(), columns.join(" "));
            Err(record.malformed(format!("it has {found} fields, expected {expected} ({names})")))
        })
    }
}

impl Record<'_> {
    /// An error at this line.
    pub fn malformed(&self, why: impl Into<String>) -> DataError {
        DataError::Malformed { path: self.path.to_owned(), line: self.line, why: brief(why) }
    }

    /// An error about the listed path at this line.
    pub fn outside_root(&self, listed: &str) -> DataError {
        DataError::OutsideRoot { path: self.path.to_owned(), line: self.line, listed: brief(listed) }
    }

    /// Reads field `index` as a number; `what` names it in the error.
    pub fn number<T: FromStr>(&self, index: usize, what: &str) -> Result<T, DataError> {
        let field = self.fields[index];
        field.parse().map_err(|_| self.malformed(format!("the {what} `{field}` is not a number that fits")))
    }

    /// Inserts into a table by id; an id that is already there is an error.
    pub fn insert_new<V>(&self, table: &mut BTreeMap<u32, V>, id: u32, value: V, what: &str) -> Result<(), DataError> {
        match table.insert(id, value) {
            None => Ok(()),
            Some(_) => Err(self.malformed(format!("the {what} {id} is listed a second time"))),
        }
    }
}
