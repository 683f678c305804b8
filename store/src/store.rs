//! The store: layout, look-up, commit.
//!
//! ```text
//! format                 the number of the format
//! blobs/ab/cdef…         artifacts by digest, read-only
//! manifests/ab/cdef….json
//! index.jsonl            every manifest once, for quick answers; rebuilt from the manifests when it is gone
//! checkpoints/, locks/, runs/, tables/, quarantine/, staging/, stat-cache.json
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::blob::Verified;
use crate::index::Index;
use crate::{Digest, Fingerprint, Manifest, Output, Request, RunLog, StatCache, StoreError, durable};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const FOLDERS: [&str; 7] = ["blobs", "manifests", "checkpoints", "locks", "runs", "tables", "staging"];

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading and writing; the store is made when it is not there.
    ReadWrite,
    /// Reading only.
    ReadOnly,
}

/// A store in a local folder. Clones share one index.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) access: Access,
    pub(crate) index: Mutex<Index>,
    pub(crate) verified: Mutex<Verified>,
}

impl Store {
    /// Opens or makes the store at `root`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not there and only reading is asked for; [`StoreError::NewerFormat`];
    /// [`StoreError::Unwritable`].
    pub fn open(root: &Path, access: Access) -> Result<Self, StoreError> {
        let format = root.join("format");
        match fs::read_to_string(&format) {
            Ok(text) => check_format(root, text.trim())?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && access == Access::ReadWrite => make(root)?,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(match access {
                    Access::ReadOnly => StoreError::NotFound { path: root.to_owned() },
                    Access::ReadWrite => unwritable(root, "it is not a folder"),
                });
            }
            Err(e) => return Err(StoreError::io("read", &format, e)),
        }
        if access == Access::ReadWrite {
            prepare(root)?;
        }
        let root = root.canonicalize().map_err(|e| StoreError::io("open", root, e))?;
        let index = Mutex::new(Index::new(&root));
        Ok(Self(Arc::new(Inner { root, access, index, verified: Mutex::default() })))
    }

    /// Returns the folder of the store.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns where new files are written before they get their names.
    pub(crate) fn staging(&self) -> PathBuf {
        self.0.root.join("staging")
    }

    pub(crate) fn manifest_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        let hex = fingerprint.to_string();
        self.0.root.join("manifests").join(&hex[..2]).join(format!("{}.json", &hex[2..]))
    }

    /// Finds the answer to a request: its manifest, provided that every blob of it is there in its full size.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the index cannot be read.
    pub fn lookup(&self, fingerprint: &Fingerprint) -> Result<Option<Arc<Manifest>>, StoreError> {
        let found = {
            let mut index = self.0.index.lock().unwrap_or_else(|p| p.into_inner());
            index.refresh(self)?;
            index.get(fingerprint)
        };
        let Some(manifest) = found else { return Ok(None) };
        let is_whole = manifest.outputs.values().all(|o| self.has(o));
        Ok(is_whole.then_some(manifest))
    }

    fn has(&self, output: &Output) -> bool {
        fs::metadata(self.blob_path(&output.digest)).is_ok_and(|m| m.len() == output.bytes)
    }

    /// Records the answer to a request. Its blobs must be in the store; the manifest is written after them.
    ///
    /// The first realisation wins: when a whole manifest of this fingerprint is there, it is returned instead.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when a blob is not there; [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn commit(
        &self,
        request: Request,
        outputs: BTreeMap<String, Output>,
        provenance: BTreeMap<String, String>,
    ) -> Result<Arc<Manifest>, StoreError> {
        let fingerprint = request.fingerprint();
        if let Some(first) = self.lookup(&fingerprint)? {
            return Ok(first);
        }
        if let Some(absent) = outputs.values().find(|o| !self.has(o)) {
            return Err(StoreError::Missing { digest: absent.digest });
        }
        let manifest = Manifest { format: FORMAT, fingerprint, request, outputs, provenance };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest has only text keys");
        durable::write(&self.manifest_path(&fingerprint), &bytes, &self.staging())?;
        let manifest = Arc::new(manifest);
        self.0.index.lock().unwrap_or_else(|p| p.into_inner()).append(self, &manifest)?;
        Ok(manifest)
    }

    /// Returns the run log.
    pub fn runs(&self) -> RunLog<'_> {
        RunLog::new(self)
    }

    /// Opens the cache of digests of files outside the store.
    ///
    /// # Errors
    /// Never for a damaged cache, which counts as empty.
    pub fn stat_cache(&self) -> Result<StatCache, StoreError> {
        Ok(StatCache::open(self))
    }

    /// Stores an artifact.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn put(&self, bytes: &[u8]) -> Result<Output, StoreError> {
        let output = Output { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        if !self.has(&output) {
            durable::write(&self.blob_path(&output.digest), bytes, &self.staging())?;
        }
        Ok(output)
    }
}

fn check_format(root: &Path, found: &str) -> Result<(), StoreError> {
    match found.parse::<u32>() {
        Ok(n) if (1..=FORMAT).contains(&n) => Ok(()),
        _ => Err(StoreError::NewerFormat { path: root.to_owned(), found: found.to_owned(), expected: FORMAT }),
    }
}

fn unwritable(root: &Path, reason: impl ToString) -> StoreError {
    StoreError::Unwritable { path: root.to_owned(), reason: reason.to_string() }
}

/// Makes the folders, and the file `format` last: a folder without it is no store yet.
fn make(root: &Path) -> Result<(), StoreError> {
    let strange = fs::read_dir(root).is_ok_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| !FOLDERS.iter().any(|f| e.file_name() == *f)))
    });
    if strange {
        return Err(unwritable(root, "the folder holds other files and is no store"));
    }
    fs::create_dir_all(root).map_err(|e| unwritable(root, e))?;
    prepare(root)?;
    durable::write(&root.join("format"), format!("{FORMAT}\n").as_bytes(), &root.join("staging"))
        .map_err(|e| unwritable(root, e))
}

fn prepare(root: &Path) -> Result<(), StoreError> {
    for folder in FOLDERS {
        let folder = root.join(folder);
        if !folder.is_dir() {
            fs::create_dir_all(&folder).map_err(|e| unwritable(root, e))?;
        }
    }
    rustix::fs::access(root.join("staging"), rustix::fs::Access::WRITE_OK).map_err(|e| unwritable(root, e))
}
