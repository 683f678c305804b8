//! Photos that the store keeps: drawn or unpacked once, whole or not at all, and never read when they are damaged.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::contents::{self, files_in};
use crate::lock::Mode;
use crate::patience::Hold;
use crate::{Fingerprint, LockGuard, Store, StoreError, disk, durable};

/// Where the photos lie in the folder of a data set, beside the list of its contents.
const PHOTOS: &str = "photos";

impl Store {
    fn dataset_folder(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.root().join("datasets").join(fingerprint.to_string())
    }

    /// Finds the folder of a data set that was kept before; a damaged one is set aside. A store that is opened for reading
    /// leaves it where it is, and waits for nobody.
    ///
    /// # Errors
    /// [`StoreError::DamagedDataset`], after which it counts as absent.
    pub fn dataset(&self, fingerprint: &Fingerprint) -> Result<Option<PathBuf>, StoreError> {
        let folder = self.dataset_folder(fingerprint);
        let Some(file) = self.harm(&folder)? else { return Ok(folder.is_dir().then(|| folder.join(PHOTOS))) };
        if !self.0.access.is_writing() {
            return Err(StoreError::DamagedDataset { file, path: folder });
        }
        // Once more when nobody else is at it: another process may just have made it anew.
        let _guard = self.lock_dataset_folder(&folder)?;
        match self.harm(&folder)? {
            Some(file) => {
                let path = self.set_aside_if(&folder, || true)?.unwrap_or(folder);
                Err(StoreError::DamagedDataset { file, path })
            }
            None => Ok(folder.is_dir().then(|| folder.join(PHOTOS))),
        }
    }

    /// Returns the first file of a data set that is not what was kept; nothing when there is no data set.
    fn harm(&self, folder: &Path) -> Result<Option<PathBuf>, StoreError> {
        let cache = self.stat_cache()?;
        let digest = |path: &Path| cache.digest(path).ok().map(|(digest, _)| digest);
        let harm = contents::first_damaged(folder, digest).or_else(|| contents::first_unlisted(folder));
        self.patience().check()?; // what was not read to its end is not damaged
        Ok(harm)
    }

    /// Takes the lock of a data set, which is held as long as its photos are made.
    pub(crate) fn lock_dataset_folder(&self, folder: &Path) -> Result<LockGuard, StoreError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = self.root().join(format!("locks/dataset-{}", name.get(..12).unwrap_or(&name)));
        self.patience().take(&path, Mode::Alone, Hold::Long, "another process makes these photos")
    }

    /// Keeps a data set that `make` lays into an empty folder, unless another process has done so meanwhile; returns where
    /// its photos are.
    ///
    /// # Errors
    /// Those of `make`, after which nothing is left; [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn keep_dataset<E: From<StoreError>>(
        &self,
        fingerprint: &Fingerprint,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        self.writable()?;
        let folder = self.dataset_folder(fingerprint);
        let _guard = self.lock_dataset_folder(&folder)?;
        if !folder.is_dir() {
            let building = durable::temporary(&self.staging());
            let result = self.build_dataset(&building, make);
            let result = result.and_then(|()| Ok(durable::settle(&building, &folder)?));
            if result.is_err() {
                let _ = disk::remove_tree(&building); // garbage at worst; the first error says more
            }
            result?;
        }
        Ok(folder.join(PHOTOS))
    }

    fn build_dataset<E: From<StoreError>>(
        &self,
        building: &Path,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        disk::make_folder(building)?;
        disk::make_folder(&building.join(PHOTOS))?;
        make(&building.join(PHOTOS))?;
        let listed = files_in(building).into_par_iter().map(|path| {
            let failed = |e| StoreError::io("read", &path, e);
            let inner = path.strip_prefix(building).unwrap_or(&path).to_str();
            let inner = inner.ok_or_else(|| failed(io::Error::new(ErrorKind::InvalidFilename, "it is not UTF-8")))?;
            Ok((inner.to_owned(), self.digest_file(&path)?.0))
        });
        contents::write(building, &listed.collect::<Result<_, StoreError>>()?)?;
        Ok(disk::sync_tree(building)?)
    }
}
