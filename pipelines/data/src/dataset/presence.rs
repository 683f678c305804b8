//! Which listed photos have a file, by reading each folder once: far cheaper than asking file by file.

use super::tree::Tree;
use crate::DataError;
use std::collections::{BTreeMap, HashSet};
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Answers for the photos below one folder of a tree.
pub(super) struct Presence<'a, T: ?Sized> {
    tree: &'a T,
    root: String,
    names_by_folder: BTreeMap<String, HashSet<String>>,
}

impl<'a, T: Tree + ?Sized> Presence<'a, T> {
    pub fn new(tree: &'a T, root: &str) -> Self {
        Self { tree, root: root.to_owned(), names_by_folder: BTreeMap::new() }
    }

    /// Whether `path`, relative with forward slashes, is a file; letter case counts, on any file system.
    pub fn is_there(&mut self, path: &str) -> Result<bool, DataError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(names) = self.names_by_folder.get(folder) {
            return Ok(names.contains(name));
        }
        let place = if folder.is_empty() { self.root.clone() } else { format!("{}/{folder}", self.root) };
        let names = match self.tree.file_names(&place) {
            Err(error) if is_none(error.kind()) => HashSet::new(),
            Err(error) => return Err(DataError::io("list", &self.tree.place(&place), error)),
            Ok(names) => names.into_iter().collect(),
        };
        let is_there = names.contains(name);
        self.names_by_folder.insert(folder.to_owned(), names);
        Ok(is_there)
    }
}

/// Whether a folder that cannot be listed is none: it is not there, or no file system has a name like that.
fn is_none(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

/// Names of the files of a folder of this machine, links to files included. Names that are not UTF-8 are left out: no list
/// can name them.
pub(super) fn names_on_disk(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let (true, Ok(name)) = (is_file(&entry)?, entry.file_name().into_string()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether an entry is a file or a link to one; a broken link is not.
pub(super) fn is_file(entry: &DirEntry) -> io::Result<bool> {
    let kind = entry.file_type()?;
    Ok(kind.is_file() || (kind.is_symlink() && entry.path().is_file()))
}
