//! Tables for people: copies of artifacts under readable names, swapped in as a whole.
//!
//! They are copies (or reflinks), read-only: an analyst's write can never reach a blob.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Digest, Store, StoreError, durable};

/// Where the bytes of a published file come from.
#[derive(Clone, Debug)]
pub enum TableSource {
    /// An artifact.
    Blob(Digest),
    /// Bytes that exist for this publication alone.
    Bytes(Vec<u8>),
}

impl Store {
    /// Lays `files` (relative path, source) below `tables/runs/<run_id>` and returns that folder; with `make_current`,
    /// `tables/current` then leads to it.
    ///
    /// # Errors
    /// [`StoreError`] when an artifact is missing or the disk is full; what was published before stays.
    pub fn publish_tables(
        &self,
        run_id: &str,
        files: &[(String, TableSource)],
        make_current: bool,
    ) -> Result<PathBuf, StoreError> {
        let runs = self.0.root.join("tables/runs");
        fs::create_dir_all(&runs).map_err(|e| StoreError::io("create", &runs, e))?;
        let (building, finished) = (durable::temporary(&self.staging()), runs.join(run_id));
        for (relative, source) in files {
            let path = building.join(relative);
            let folder = path.parent().unwrap_or(&building);
            fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
            self.lay(&path, source)?;
        }
        let _ = fs::remove_dir_all(&finished); // a run publishes once; an earlier attempt was cut short
        durable::settle(&building, &finished)?;
        if make_current {
            self.point_current(run_id)?;
        }
        Ok(finished)
    }

    fn lay(&self, path: &Path, source: &TableSource) -> Result<(), StoreError> {
        let failed = |e| StoreError::io("write", path, e);
        match source {
            TableSource::Bytes(bytes) => fs::write(path, bytes).map_err(failed)?,
            TableSource::Blob(digest) => {
                let blob = self.blob_path(digest);
                let from = File::open(&blob).map_err(|_| StoreError::Missing { digest: *digest })?;
                let to = File::create_new(path).map_err(failed)?;
                if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
                    fs::copy(&blob, path).map_err(failed)?;
                }
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).map_err(failed)
    }

    /// Swaps the link `tables/current` by one rename.
    fn point_current(&self, run_id: &str) -> Result<(), StoreError> {
        let link = durable::temporary(&self.staging());
        let failed = |e| StoreError::io("link", &link, e);
        std::os::unix::fs::symlink(Path::new("runs").join(run_id), &link).map_err(failed)?;
        durable::settle(&link, &self.0.root.join("tables/current"))
    }
}
