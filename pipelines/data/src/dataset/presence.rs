//! Which listed photos have a file, by reading each folder once: far cheaper than asking file by file.

use crate::DataError;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Answers for the photos below one folder.
pub(super) struct Presence {
    root: PathBuf,
    names_by_folder: BTreeMap<String, BTreeSet<String>>,
}

impl Presence {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), names_by_folder: BTreeMap::new() }
    }

    /// Whether `path`, relative with forward slashes, is a file; letter case counts, on any file system.
    pub fn is_there(&mut self, path: &str) -> Result<bool, DataError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(names) = self.names_by_folder.get(folder) {
            return Ok(names.contains(name));
        }
        let names = file_names(&self.root.join(folder))?.into_iter().collect::<BTreeSet<_>>();
        let is_there = names.contains(name);
        self.names_by_folder.insert(folder.to_owned(), names);
        Ok(is_there)
    }
}

/// Names of the files of a folder, links to files included; none when there is no such folder. Names that are
/// not UTF-8 are left out: no list can name them.
fn file_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = |folder: &Path| -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if let (true, Ok(name)) = (is_file(&entry)?, entry.file_name().into_string()) {
                names.push(name);
            }
        }
        Ok(names)
    };
    let is_none = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename);
    match names(folder) {
        Err(error) if is_none(error.kind()) => Ok(Vec::new()),
        Err(error) => Err(DataError::io("list", folder, error)),
        Ok(names) => Ok(names),
    }
}

/// Whether an entry is a file or a link to one; a broken link is not.
pub(super) fn is_file(entry: &DirEntry) -> io::Result<bool> {
    let kind = entry.file_type()?;
    Ok(kind.is_file() || (kind.is_symlink() && entry.path().is_file()))
}
