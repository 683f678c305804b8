//! Damaged files are moved to `quarantine/`, so that nothing finds them any more: only those that are still damaged, looked
//! at once more under the lock under which all files of a store are replaced. Otherwise the whole file that another process
//! has just put there would be taken away for the damaged one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::checkpoint::is_whole;
use crate::{Digest, Finding, Manifest, RunRecord, Store, StoreError, contents, disk, durable, stat_cache, uses};

impl Store {
    /// Sets a file or folder aside when `is_damaged` says so under the lock; returns where it is now.
    pub(crate) fn set_aside_if(
        &self,
        path: &Path,
        is_damaged: impl FnOnce() -> bool,
    ) -> Result<Option<PathBuf>, StoreError> {
        self.writable()?;
        let _alone = self.replacing()?;
        let is_damaged = is_damaged();
        self.patience().check()?; // what could not be read to its end is not damaged
        is_damaged.then(|| self.move_aside(path)).transpose()
    }

    /// Moves a file or folder to `quarantine/`; one that is gone already is no error. The caller holds the lock.
    pub(crate) fn move_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let folder = self.root().join("quarantine");
        durable::make_folder(&folder)?;
        let inner = path.strip_prefix(self.root()).unwrap_or(path);
        let name = inner.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("-");
        let numbered = (1..).map(|n| folder.join(format!("{name}-{n}")));
        let mut free = [folder.join(&name)].into_iter().chain(numbered);
        let to = free.find(|to| fs::symlink_metadata(to).is_err()).unwrap_or(folder);
        match disk::rename(path, &to) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(to),
            result => result.map(|()| to),
        }
    }

    /// Sets aside what [`Store::verify`] found damaged and what still is, so that the next run remakes exactly that; the
    /// index is written anew.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unwritable`], [`StoreError::Stopped`].
    pub fn repair(&self, findings: &[Finding]) -> Result<(), StoreError> {
        self.writable()?;
        for finding in findings {
            self.patience().check()?;
            let Some(path) = finding.path() else { continue };
            let _made = match finding {
                Finding::DamagedDataset { path, .. } => Some(self.lock_dataset_folder(path)?),
                _ => None,
            };
            let left = self.left_by(finding);
            if self.set_aside_if(path, || self.is_still(finding))?.is_some() {
                left.iter().try_for_each(|path| self.set_aside_if(path, || true).map(drop))?;
            }
        }
        match findings.iter().any(|finding| matches!(finding, Finding::DamagedIndex { .. })) {
            true => self.index().rebuild(self),
            false => Ok(()),
        }
    }

    /// Looks at the file of a finding again.
    fn is_still(&self, finding: &Finding) -> bool {
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        match finding {
            Finding::MissingBlob { .. } | Finding::MissingManifest { .. } => false,
            Finding::DamagedIndex { .. } => true, // it is a copy, and is written anew
            Finding::DamagedBlob { path } => {
                path.exists() && self.digest_file(path).map_or(true, |(digest, _)| self.blob_path(&digest) != *path)
            }
            Finding::DamagedManifest { path } => {
                let read = Manifest::read(&read(path));
                path.exists()
                    && !read.is_some_and(|m| self.manifest_path(&m.fingerprint) == *path && self.has_all(&m.outputs))
            }
            Finding::DamagedCheckpoint { path } => path.exists() && !is_whole(&read(path)),
            Finding::DamagedRun { path } => path.exists() && RunRecord::read(&read(path)).is_none(),
            Finding::DamagedUse { path } => path.exists() && uses::read(path).is_none(),
            Finding::MissingRun { run_id, path } => {
                path.exists() && !self.root().join("runs").join(format!("{run_id}.json")).exists()
            }
            Finding::DamagedStatCache { path } => path.exists() && !stat_cache::is_whole(&read(path)),
            Finding::DamagedDataset { path, .. } => {
                self.damaged_file(path).or_else(|| contents::first_unlisted(path)).is_some()
            }
            Finding::DamagedTables { path, .. } => self.damaged_file(path).is_some(),
        }
    }

    /// Returns the first file of a folder that is not what its list says.
    pub(crate) fn damaged_file(&self, folder: &Path) -> Option<PathBuf> {
        contents::first_damaged(folder, |path| self.digest_file(path).ok().map(|(digest, _)| digest))
    }

    /// Digests a file unless stopping was asked for.
    pub(crate) fn digest_file(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        let read = Digest::of_file_while(path, &|| self.patience().check().is_ok());
        self.patience().check()?;
        read.map_err(|e| StoreError::io("read", path, e))
    }

    /// Returns what would name a run whose record is set aside.
    fn left_by(&self, finding: &Finding) -> Vec<PathBuf> {
        let Finding::DamagedRun { path } = finding else { return Vec::new() };
        let run_id = path.file_stem().unwrap_or_default();
        let named = ["tables/runs", "pins"].map(|folder| self.root().join(folder).join(run_id));
        named.into_iter().filter(|path| path.exists()).collect()
    }
}
