//! The index: all manifests in one file of JSON lines, since reading a thousand small files takes twenty times longer.
//!
//! It is a copy, never the truth: an answer counts while the manifest's file is there, and what the index lacks, a
//! crash between manifest and index say, is read from that file. Each record is one `write` in append mode, so writers
//! do not tear each other's lines; a torn last line is ignored. An absent index is rebuilt from the manifests.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Answer, Fingerprint, Manifest, Store, StoreError, disk, durable};

/// A manifest as it lies in the index, parsed when it is asked for.
enum Entry {
    Line(Box<str>),
    Parsed(Arc<Manifest>),
}

pub(crate) struct Index {
    path: PathBuf,
    entries: HashMap<Fingerprint, Entry>,
    /// How much of the file is in `entries`, and which file that was: it stays open, so that none that replaces it can
    /// have its inode.
    read: u64,
    file: Option<File>,
}

impl Index {
    pub(crate) fn new(root: &Path) -> Self {
        Self { path: root.join("index.jsonl"), entries: HashMap::new(), read: 0, file: None }
    }

    /// Finds the manifest of a fingerprint, provided that its blobs are there.
    pub(crate) fn find(
        &mut self,
        store: &Store,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.refresh(store)?;
        if let Some(manifest) = self.get(fingerprint).filter(|m| store.has_all(&m.outputs)) {
            return Ok(store.manifest_path(fingerprint).exists().then_some(manifest));
        }
        // The index does not know it, or knows an older one.
        let Some(manifest) = store.read_manifest(fingerprint)?.map(Arc::new) else { return Ok(None) };
        match store.0.access.is_writing() {
            true => self.append(store, &manifest)?,
            false => drop(self.entries.insert(*fingerprint, Entry::Parsed(manifest.clone()))),
        }
        Ok(Some(manifest))
    }

    /// Finds what answers a request, as [`Index::find`] does, and reads no more of the manifest than that.
    pub(crate) fn answer(
        &mut self,
        store: &Store,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Arc<Answer>>, StoreError> {
        self.refresh(store)?;
        let told = match self.entries.get(fingerprint) {
            Some(Entry::Line(line)) => Answer::read(line.as_bytes()),
            Some(Entry::Parsed(manifest)) => Some(Answer::from(manifest.as_ref())),
            None => None,
        };
        match told.filter(|answer| answer.fingerprint == *fingerprint && store.has_all(&answer.outputs)) {
            Some(answer) => Ok(store.manifest_path(fingerprint).exists().then(|| Arc::new(answer))),
            None => Ok(self.find(store, fingerprint)?.map(|manifest| Arc::new(Answer::from(manifest.as_ref())))),
        }
    }

    fn get(&mut self, fingerprint: &Fingerprint) -> Option<Arc<Manifest>> {
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
    fn refresh(&mut self, store: &Store) -> Result<(), StoreError> {
        let stat = match fs::metadata(&self.path) {
            Ok(stat) => stat,
            Err(e) if e.kind() == ErrorKind::NotFound && store.0.access.is_writing() => {
                return self.rebuild(store);
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()), // each manifest is read when asked for
            Err(e) => return Err(StoreError::io("stat", &self.path, e)),
        };
        if stat.len() != self.read || !self.is_open(&stat) {
            self.read_on(&stat).map_err(|e| StoreError::io("read", &self.path, e))?;
        }
        Ok(())
    }

    /// Tells whether the file that was read is the one that is there now.
    fn is_open(&self, now: &Metadata) -> bool {
        let opened = self.file.as_ref().and_then(|file| file.metadata().ok());
        opened.is_some_and(|opened| (opened.dev(), opened.ino()) == (now.dev(), now.ino()))
    }

    /// Reads what is new in the file; all of it when it is another one or has become shorter.
    fn read_on(&mut self, now: &Metadata) -> io::Result<()> {
        if !self.is_open(now) || now.len() < self.read {
            self.entries.clear();
            self.read = 0;
            self.file = Some(File::open(&self.path)?);
        }
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        for (fingerprint, json) in text[..whole].split(|b| *b == b'\n').filter_map(parts) {
            self.entries.insert(fingerprint, Entry::Line(json.into()));
        }
        self.read += whole as u64;
        Ok(())
    }

    pub(crate) fn append(&mut self, store: &Store, manifest: &Arc<Manifest>) -> Result<(), StoreError> {
        self.refresh(store)?;
        let length = fs::metadata(&self.path).map_err(|e| StoreError::io("stat", &self.path, e))?.len();
        // After a torn line a newline closes it, so that this record stands on a line of its own.
        let newline = if self.read < length { "\n" } else { "" };
        disk::append(&self.path, format!("{newline}{}", line(manifest)).as_bytes())?;
        self.entries.insert(manifest.fingerprint, Entry::Parsed(manifest.clone()));
        Ok(())
    }

    /// Takes back what the index says of a fingerprint, before another manifest is written. Otherwise a crash between
    /// that and its line would leave the old answer standing. Most often there is none, and nothing is to be done.
    pub(crate) fn forget(&mut self, store: &Store, fingerprint: &Fingerprint) -> Result<(), StoreError> {
        self.refresh(store)?;
        if self.entries.remove(fingerprint).is_some() {
            // A line that holds no manifest sends who reads it to the manifest's file.
            let file = disk::append(&self.path, format!("\n{fingerprint} \n").as_bytes())?;
            disk::sync(&file, &self.path)?;
        }
        Ok(())
    }

    /// Reads all manifests and writes them down as one file.
    pub(crate) fn rebuild(&mut self, store: &Store) -> Result<(), StoreError> {
        self.entries.clear();
        let files = store.manifest_files().into_iter();
        let manifests: Vec<_> = files.filter_map(|path| Manifest::read(&fs::read(path).ok()?)).collect();
        let length = write(store, &manifests)?;
        self.entries.extend(manifests.into_iter().map(|m| (m.fingerprint, Entry::Parsed(Arc::new(m)))));
        let file = File::open(&self.path).map_err(|e| StoreError::io("open", &self.path, e))?;
        (self.file, self.read) = (Some(file), length);
        Ok(())
    }
}

/// Puts an index of these manifests alone in place of the present one; returns its length in bytes.
pub(crate) fn write<'a>(store: &Store, manifests: impl IntoIterator<Item = &'a Manifest>) -> Result<u64, StoreError> {
    let text: String = manifests.into_iter().map(line).collect();
    durable::write(&store.root().join("index.jsonl"), text.as_bytes(), &store.staging())?;
    Ok(text.len() as u64)
}

/// Parts a line into a fingerprint and its manifest, which is empty when what was said of it is taken back. `None` for what
/// is no such line.
pub(crate) fn parts(line: &[u8]) -> Option<(Fingerprint, &str)> {
    let (fingerprint, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some((fingerprint.parse().ok()?, json))
}

/// Returns the line of a manifest.
pub(crate) fn line(manifest: &Manifest) -> String {
    format!("{} {}\n", manifest.fingerprint, String::from_utf8_lossy(&manifest.write()))
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
