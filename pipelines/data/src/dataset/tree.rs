//! Where the lists of a data set are read from: a folder of this machine, or what an object store has below a place.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::presence;

/// Files by their paths below a root, with forward slashes.
pub(super) trait Tree {
    /// The root.
    fn root(&self) -> PathBuf;
    fn is_file(&self, path: &str) -> bool;
    fn is_folder(&self, path: &str) -> bool;
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// The names of the files right below a folder; an error of kind `NotFound` where there is no such folder.
    fn file_names(&self, folder: &str) -> io::Result<Vec<String>>;

    /// The place of a file, for messages.
    fn place(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root() } else { self.root().join(path) }
    }
}

/// A folder of this machine.
impl Tree for Path {
    fn root(&self) -> PathBuf {
        self.to_owned()
    }

    fn is_file(&self, path: &str) -> bool {
        self.join(path).is_file()
    }

    fn is_folder(&self, path: &str) -> bool {
        self.join(path).is_dir()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.join(path))
    }

    fn file_names(&self, folder: &str) -> io::Result<Vec<String>> {
        presence::names_on_disk(&self.join(folder))
    }
}

/// Reads a file: whole, or its first bytes.
pub type ReadFile<'a> = &'a dyn Fn(&str, Option<u64>) -> io::Result<Vec<u8>>;

/// What an object store has below a place: its files alone, since it knows no folders and no links.
pub struct ListedFiles<'a> {
    address: PathBuf,
    bytes_by_path: BTreeMap<String, u64>,
    read: ReadFile<'a>,
}

impl<'a> ListedFiles<'a> {
    /// Of files by their paths below `address`, each with its size. What some tools put in place of a folder is left out: an
    /// empty object that has the name of one.
    pub fn new(address: &str, files: impl IntoIterator<Item = (String, u64)>, read: ReadFile<'a>) -> Self {
        let all: BTreeMap<String, u64> = files.into_iter().collect();
        let is_file = |(path, bytes): &(&String, &u64)| **bytes > 0 || !has_below(&all, path);
        let bytes_by_path = all.iter().filter(is_file).map(|(path, bytes)| (path.clone(), *bytes)).collect();
        Self { address: PathBuf::from(address), bytes_by_path, read }
    }

    /// The files, by path.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.bytes_by_path.keys().map(String::as_str)
    }

    /// The first bytes of a file, none of an empty one.
    pub(super) fn head(&self, path: &str, bytes: u64) -> io::Result<Vec<u8>> {
        match self.bytes_by_path.get(path) {
            Some(0) | None => Ok(Vec::new()),
            Some(_) => (self.read)(path, Some(bytes)),
        }
    }
}

fn below<'a>(files: &'a BTreeMap<String, u64>, folder: &str) -> impl Iterator<Item = &'a str> {
    let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let rest = files.range(start.clone()..).map(|(path, _)| path.as_str());
    rest.map_while(move |path| path.strip_prefix(start.as_str()))
}

fn has_below(files: &BTreeMap<String, u64>, folder: &str) -> bool {
    below(files, folder).next().is_some()
}

impl Tree for ListedFiles<'_> {
    fn root(&self) -> PathBuf {
        self.address.clone()
    }

    fn is_file(&self, path: &str) -> bool {
        self.bytes_by_path.contains_key(path)
    }

    fn is_folder(&self, path: &str) -> bool {
        has_below(&self.bytes_by_path, path)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.is_file(path) {
            true => (self.read)(path, None),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    fn file_names(&self, folder: &str) -> io::Result<Vec<String>> {
        let names: Vec<String> =
            below(&self.bytes_by_path, folder).filter(|name| !name.contains('/')).map(str::to_owned).collect();
        if names.is_empty() && !self.is_folder(folder) { Err(ErrorKind::NotFound.into()) } else { Ok(names) }
    }
}
