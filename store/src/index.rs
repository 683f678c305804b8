//! The index: all manifests in one file of JSON lines, since reading a thousand small files takes twenty times longer.
//!
//! It is a copy, never the truth. Each record is one `write` in append mode, so writers do not tear each other's
//! lines; a torn last line is ignored. When the file is absent, it is rebuilt from the manifests.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Access, Fingerprint, Manifest, Store, StoreError, durable};

/// A manifest as it lies in the index, parsed when it is asked for.
enum Entry {
    Line(Box<str>),
    Parsed(Arc<Manifest>),
}

pub(crate) struct Index {
    path: PathBuf,
    entries: HashMap<Fingerprint, Entry>,
    /// How much of the file is in `entries`, and which file that was.
    read: u64,
    inode: u64,
}

impl Index {
    pub(crate) fn new(root: &Path) -> Self {
        Self { path: root.join("index.jsonl"), entries: HashMap::new(), read: 0, inode: 0 }
    }

    pub(crate) fn get(&mut self, fingerprint: &Fingerprint) -> Option<Arc<Manifest>> {
        let entry = self.entries.get_mut(fingerprint)?;
        if let Entry::Line(line) = entry {
            // A line that does not hold the manifest of its fingerprint is damage: the manifest file may still be whole.
            match Manifest::read(line.as_bytes()).filter(|m| m.fingerprint == *fingerprint) {
                Some(manifest) => *entry = Entry::Parsed(Arc::new(manifest)),
                None => {
                    self.entries.remove(fingerprint);
                    return None;
                }
            }
        }
        match self.entries.get(fingerprint) {
            Some(Entry::Parsed(manifest)) => Some(manifest.clone()),
            _ => None,
        }
    }

    /// Takes in what other processes have appended since.
    pub(crate) fn refresh(&mut self, store: &Store) -> Result<(), StoreError> {
        use std::os::unix::fs::MetadataExt;
        let stat = match fs::metadata(&self.path) {
            Ok(stat) => stat,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return self.rebuild(store),
            Err(e) => return Err(StoreError::io("stat", &self.path, e)),
        };
        if stat.ino() != self.inode || stat.len() < self.read {
            self.entries.clear();
            (self.inode, self.read) = (stat.ino(), 0);
        }
        if stat.len() == self.read {
            return Ok(());
        }
        let read = |e| StoreError::io("read", &self.path, e);
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(self.read)).map_err(read)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(read)?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|b| *b == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            if let Some((fingerprint, json)) = line.split_once(' ')
                && let Ok(fingerprint) = fingerprint.parse()
            {
                self.entries.insert(fingerprint, Entry::Line(json.into()));
            }
        }
        self.read += whole as u64;
        Ok(())
    }

    pub(crate) fn append(&mut self, store: &Store, manifest: &Arc<Manifest>) -> Result<(), StoreError> {
        self.refresh(store)?;
        let write = |e| StoreError::io("write", &self.path, e);
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(write)?;
        let torn = self.read < file.metadata().map_err(write)?.len();
        // After a torn line a newline closes it, so that this record stands on a line of its own.
        let line = format!("{}{}", if torn { "\n" } else { "" }, line(manifest));
        file.write_all(line.as_bytes()).map_err(write)?;
        self.entries.insert(manifest.fingerprint, Entry::Parsed(manifest.clone()));
        Ok(())
    }

    /// Reads all manifests; writes the file when the store may be written.
    fn rebuild(&mut self, store: &Store) -> Result<(), StoreError> {
        self.entries.clear();
        let mut text = String::new();
        for path in store.manifest_files() {
            let Some(manifest) = fs::read(&path).ok().and_then(|bytes| Manifest::read(&bytes)) else { continue };
            text.push_str(&line(&manifest));
            self.entries.insert(manifest.fingerprint, Entry::Parsed(Arc::new(manifest)));
        }
        if store.0.access == Access::ReadWrite {
            use std::os::unix::fs::MetadataExt;
            durable::write(&self.path, text.as_bytes(), &store.staging())?;
            let stat = fs::metadata(&self.path).map_err(|e| StoreError::io("stat", &self.path, e))?;
            (self.inode, self.read) = (stat.ino(), text.len() as u64);
        }
        Ok(())
    }
}

fn line(manifest: &Manifest) -> String {
    let json = serde_json::to_string(manifest).expect("a manifest has only text keys");
    format!("{} {json}\n", manifest.fingerprint)
}

impl Store {
    /// Lists the files of all manifests, sorted.
    pub(crate) fn manifest_files(&self) -> Vec<PathBuf> {
        files_below(&self.0.root.join("manifests"))
    }
}

/// Lists the files two levels below a folder, sorted; what cannot be read is left out.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<_> = entries(folder).flat_map(|f| entries(&f).collect::<Vec<_>>()).collect();
    files.sort();
    files
}
