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

use crate::at_work::AtWork;
use crate::blob::Verified;
use crate::index::Index;
use crate::lock::Mode;
use crate::open::unwritable;
use crate::patience::Hold;
use crate::sweep::Writers;
use crate::{
    Access, Answer, FORMAT, Fingerprint, Listing, LockGuard, Manifest, Output, Patience, Presence, Request, RunLog,
    StatCache, StoreError, Upstream, durable,
};

/// A store in a local folder. Clones share one index.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) access: Access,
    pub(crate) patience: Patience,
    pub(crate) index: Mutex<Index>,
    pub(crate) verified: Mutex<Verified>,
    /// What this store is the cache of, and its place among those who write there.
    pub(crate) upstream: OnceLock<(Box<dyn Upstream>, Option<Presence>)>,
    /// Set when no remembered digest of a file outside is to be believed.
    pub(crate) rehash: OnceLock<()>,
    /// The sign that this process computes, from its first lock of a request on.
    pub(crate) at_work: OnceLock<Option<AtWork>>,
    /// Held as long as this store may write: what lies in `staging/` is then no garbage.
    pub(crate) _writers: Option<Writers>,
}

impl Store {
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
            Access::ReadWrite | Access::Existing => Ok(()),
            Access::ReadOnly => Err(unwritable(&self.0.root, "it was opened for reading only")),
        }
    }

    /// Returns the terms on which this store waits, and whether stopping was asked for.
    pub fn patience(&self) -> &Patience {
        &self.0.patience
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
            (None, Some(upstream)) => self.fetch(upstream, fingerprint, Listing::Kept),
            (here, _) => Ok(here),
        }
    }

    /// Finds the artifacts that answer a request, as [`Store::lookup`] does, without what was asked.
    ///
    /// # Errors
    /// Those of [`Store::lookup`].
    pub fn answer(&self, fingerprint: &Fingerprint) -> Result<Option<Arc<Answer>>, StoreError> {
        if let Some(here) = self.index().answer(self, fingerprint)? {
            return Ok(Some(here));
        }
        match self.upstream() {
            Some(_) => Ok(self.lookup(fingerprint)?.map(|manifest| Arc::new(Answer::from(manifest.as_ref())))),
            None => Ok(None),
        }
    }

    /// Takes over what a shared place has.
    pub(crate) fn fetch(
        &self,
        upstream: &dyn Upstream,
        fingerprint: &Fingerprint,
        list: Listing,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        upstream.fetch(self, fingerprint, list)?.map(|manifest| self.adopt(manifest)).transpose()
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
        Ok(Manifest::read(&bytes).filter(|m| m.fingerprint == *fingerprint && self.has_all(&m.outputs)))
    }

    pub(crate) fn has_all(&self, outputs: &BTreeMap<String, Output>) -> bool {
        outputs.values().all(|o| self.has(o))
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
    /// [`StoreError::Missing`] when a blob is not there; [`StoreError::Full`], [`StoreError::Unwritable`]. Where the store is a
    /// cache, an answer that its shared place cannot be offered now is kept here and offered later.
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
        match self.upstream() {
            Some(upstream) => self.share(upstream, manifest),
            None => self.adopt(manifest),
        }
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

    /// Puts an answer in place of the one that is here: the first realisation is another machine's.
    pub(crate) fn supersede(&self, manifest: Manifest) -> Result<Arc<Manifest>, StoreError> {
        self.check_artifacts(&manifest)?;
        let _alone = self.replacing()?;
        self.index().forget(self, &manifest.fingerprint)?;
        durable::write(&self.manifest_path(&manifest.fingerprint), &manifest.write(), &self.staging())?;
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
        let _alone = self.replacing()?;
        if let Some(first) = self.index().find(self, &manifest.fingerprint)? {
            return Ok(Some(first));
        }
        durable::write(&self.manifest_path(&manifest.fingerprint), &manifest.write(), &self.staging())?;
        Ok(None)
    }

    /// Holds whatever is replaced or set aside: no two do so at once, and nobody takes a whole file for the damaged one that
    /// was there before.
    pub(crate) fn replacing(&self) -> Result<LockGuard, StoreError> {
        let path = self.0.root.join("locks/replace");
        self.patience().take(&path, Mode::Alone, Hold::Brief, "another process replaces a file")
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
}
