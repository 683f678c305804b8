//! The store: layout, look-up, commit.
//!
//! ```text
//! format                 the number of the format
//! blobs/ab/cdef…         artifacts by digest, read-only
//! manifests/ab/cdef….json
//! index.jsonl            every manifest once, for quick answers; rebuilt from the manifests when it is gone
//! checkpoints/, datasets/, locks/, runs/, tables/, quarantine/, staging/, stat-cache.json
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::blob::Verified;
use crate::index::Index;
use crate::sweep::Writers;
use crate::{
    Digest, Fingerprint, Manifest, Output, Presence, Request, RunLog, StatCache, StoreError, Upstream, disk, durable,
    lock,
};

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
    /// What this store is the cache of, and its place among those who write there.
    pub(crate) upstream: OnceLock<(Box<dyn Upstream>, Option<Presence>)>,
    /// Held as long as this store may write: what lies in `staging/` is then no garbage.
    _writers: Option<Writers>,
}

impl Store {
    /// Opens or makes the store at `root`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not there and only reading is asked for; [`StoreError::NewerFormat`];
    /// [`StoreError::Unwritable`].
    pub fn open(root: &Path, access: Access) -> Result<Self, StoreError> {
        let format = root.join("format");
        let mut is_new = false;
        match fs::read_to_string(&format) {
            Ok(text) => check_format(root, text.trim())?,
            Err(e) if e.kind() == ErrorKind::NotFound && root.join("index.jsonl").exists() => {
                return Err(StoreError::LostFormat { path: root.to_owned() });
            }
            Err(e) if e.kind() == ErrorKind::NotFound && access == Access::ReadWrite => {
                begin(root)?;
                is_new = true;
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(match access {
                    Access::ReadOnly => StoreError::NotFound { path: root.to_owned() },
                    Access::ReadWrite => unwritable(root, "it is not a folder"),
                });
            }
            Err(e) => return Err(StoreError::io("read", &format, e)),
        }
        let mut writers = None;
        if access == Access::ReadWrite {
            prepare(root)?;
            writers = Some(Writers::join(root)?);
        }
        if is_new {
            // Last: a folder without this file is no store yet.
            let text = format!("{FORMAT}\n");
            durable::write(&format, text.as_bytes(), &root.join("staging")).map_err(|e| cannot_make(root, e))?;
        }
        let root = root.canonicalize().map_err(|e| StoreError::io("open", root, e))?;
        let index = Mutex::new(Index::new(&root));
        let (verified, upstream) = (Mutex::default(), OnceLock::new());
        Ok(Self(Arc::new(Inner { root, access, index, verified, upstream, _writers: writers })))
    }

    /// Returns the folder of the store.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns where new files are written before they get their names.
    pub(crate) fn staging(&self) -> PathBuf {
        self.0.root.join("staging")
    }

    /// Refuses when the store was opened for reading.
    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        match self.0.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(unwritable(&self.0.root, "it was opened for reading only")),
        }
    }

    /// Moves a file or folder to `quarantine/`, so that nothing finds it any more; returns where it is now. One that is
    /// gone already is no error.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        self.writable()?;
        let folder = self.0.root.join("quarantine");
        durable::make_folder(&folder)?;
        let inner = path.strip_prefix(&self.0.root).unwrap_or(path);
        let name = inner.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("-");
        let numbered = (1..).map(|n| folder.join(format!("{name}-{n}")));
        let mut free = [folder.join(&name)].into_iter().chain(numbered);
        let to = free.find(|to| fs::symlink_metadata(to).is_err()).unwrap_or(folder);
        match disk::rename(path, &to) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(to),
            result => result.map(|()| to),
        }
    }

    pub(crate) fn manifest_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        let hex = fingerprint.to_string();
        self.0.root.join("manifests").join(&hex[..2]).join(format!("{}.json", &hex[2..]))
    }

    /// Finds the answer to a request: its manifest, provided that every blob of it is there in its full size.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the index cannot be read; those of [`Upstream::fetch`] where the store is a cache.
    pub fn lookup(&self, fingerprint: &Fingerprint) -> Result<Option<Arc<Manifest>>, StoreError> {
        let here = self.index().find(self, fingerprint)?;
        match (here, self.upstream()) {
            (None, Some(upstream)) => self.fetch(upstream, fingerprint, false),
            (here, _) => Ok(here),
        }
    }

    /// Takes over what a shared place has.
    pub(crate) fn fetch(
        &self,
        upstream: &dyn Upstream,
        fingerprint: &Fingerprint,
        is_fresh: bool,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        upstream.fetch(self, fingerprint, is_fresh)?.map(|manifest| self.adopt(manifest)).transpose()
    }

    /// Returns the fingerprints of all manifests.
    pub fn fingerprints(&self) -> BTreeSet<Fingerprint> {
        let name = |path: PathBuf| {
            let (folder, file) = (path.parent()?.file_name()?.to_str()?, path.file_stem()?.to_str()?);
            format!("{folder}{file}").parse().ok()
        };
        self.manifest_files().into_iter().filter_map(name).collect()
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// Reads the file of a manifest; `None` unless it is there, whole, and has its blobs.
    pub(crate) fn read_manifest(&self, fingerprint: &Fingerprint) -> Result<Option<Manifest>, StoreError> {
        let path = self.manifest_path(fingerprint);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        Ok(Manifest::read(&bytes).filter(|m| m.fingerprint == *fingerprint && self.has_all(m)))
    }

    pub(crate) fn has_all(&self, manifest: &Manifest) -> bool {
        manifest.outputs.values().all(|o| self.has(o))
    }

    /// Tells whether an artifact is there in its full size.
    pub fn has(&self, output: &Output) -> bool {
        fs::metadata(self.blob_path(&output.digest)).is_ok_and(|m| m.len() == output.bytes)
    }

    /// Records the answer to a request. Its blobs must be in the store; the manifest is written after them.
    ///
    /// The first realisation wins: when a whole manifest of this fingerprint is there, it is returned instead.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when a blob is not there; [`StoreError::Full`], [`StoreError::Unwritable`]; those of
    /// [`Upstream::offer`] where the store is a cache.
    pub fn commit(
        &self,
        request: Request,
        outputs: BTreeMap<String, Output>,
        provenance: BTreeMap<String, String>,
    ) -> Result<Arc<Manifest>, StoreError> {
        self.writable()?;
        let fingerprint = request.fingerprint();
        if let Some(first) = self.lookup(&fingerprint)? {
            return Ok(first);
        }
        let manifest = Manifest { format: FORMAT, fingerprint, request, outputs, provenance };
        self.check_artifacts(&manifest)?;
        let faster = self.upstream().map(|upstream| upstream.offer(self, &manifest)).transpose()?.flatten();
        self.adopt(faster.unwrap_or(manifest))
    }

    /// Records an answer as it is, with its provenance, unless there is one already. Its blobs must be in the store.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn adopt(&self, manifest: Manifest) -> Result<Arc<Manifest>, StoreError> {
        self.writable()?;
        let fingerprint = manifest.fingerprint;
        if let Some(first) = self.index().find(self, &fingerprint)? {
            return Ok(first);
        }
        self.check_artifacts(&manifest)?;
        self.index().forget(self, &fingerprint)?;
        let is_first = durable::write_first(&self.manifest_path(&fingerprint), &manifest.write(), &self.staging())?;
        if !is_first && let Some(first) = self.overrule(&manifest)? {
            return Ok(first); // another writer was faster
        }
        let manifest = Arc::new(manifest);
        self.index().append(self, &manifest)?;
        Ok(manifest)
    }

    fn check_artifacts(&self, manifest: &Manifest) -> Result<(), StoreError> {
        match manifest.outputs.values().find(|o| !self.has(o)) {
            Some(absent) => Err(StoreError::Missing { digest: absent.digest }),
            None => Ok(()),
        }
    }

    /// Replaces a manifest that is no longer whole, or returns the one that has replaced it meanwhile. One writer at a
    /// time, or a second would overrule what the first has told its caller.
    fn overrule(&self, manifest: &Manifest) -> Result<Option<Arc<Manifest>>, StoreError> {
        let _alone = lock::wait_for(&self.0.root.join("locks/replace"))?;
        if let Some(first) = self.index().find(self, &manifest.fingerprint)? {
            return Ok(Some(first));
        }
        durable::write(&self.manifest_path(&manifest.fingerprint), &manifest.write(), &self.staging())?;
        Ok(None)
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
        self.writable()?;
        let output = Output { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        if !self.has(&output) {
            durable::write_read_only(&self.blob_path(&output.digest), bytes, &self.staging())?;
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

/// Says what the system said, under the name of the store; a full disk stays a full disk.
fn cannot_make(root: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Io { source, .. } => unwritable(root, source),
        StoreError::Unwritable { reason, .. } => unwritable(root, reason),
        other => other,
    }
}

fn unwritable(root: &Path, reason: impl ToString) -> StoreError {
    StoreError::Unwritable { path: root.to_owned(), reason: reason.to_string() }
}

/// Makes the folder of a new store, unless it serves something else.
fn begin(root: &Path) -> Result<(), StoreError> {
    let strange = fs::read_dir(root).is_ok_and(|mut entries| {
        // Another process may be making the same store at this moment.
        entries.any(|e| e.is_ok_and(|e| e.file_name() != "format" && !FOLDERS.iter().any(|f| e.file_name() == *f)))
    });
    if strange {
        return Err(unwritable(root, "the folder holds other files and is no store"));
    }
    durable::make_folder(root).map_err(|e| cannot_make(root, e))
}

fn prepare(root: &Path) -> Result<(), StoreError> {
    for folder in FOLDERS {
        durable::make_folder(&root.join(folder)).map_err(|e| cannot_make(root, e))?;
    }
    rustix::fs::access(root.join("staging"), rustix::fs::Access::WRITE_OK).map_err(|e| unwritable(root, e))
}
