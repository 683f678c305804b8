//! Garbage of crashed writers: `staging/` is emptied by the first writer that finds itself alone.
//!
//! Every store that is opened for writing holds a shared lock. Who can take it exclusively knows that nobody is
//! writing, so that whatever is staged belongs to the dead. The kernel releases the locks of a process that dies.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::{StoreError, disk, lock};

/// A place among those who write; dropping it leaves.
pub(crate) struct Writers(File);

impl Drop for Writers {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being forked holds the file until it becomes another program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Writers {
    pub(crate) fn join(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("locks/writers");
        let failed = |e| StoreError::io("lock", &path, e);
        let file = lock::open_file(&path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            sweep(&root.join("staging"))?;
        }
        // Between the two locks another writer may sweep as well: nothing of this one is staged yet.
        flock(&file, FlockOperation::LockShared).map_err(|e| failed(e.into()))?;
        Ok(Self(file))
    }
}

fn sweep(staging: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(staging).map_err(|e| StoreError::io("read", staging, e))?.flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if is_folder { disk::remove_tree(&path)? } else { disk::remove_file(&path)? }
    }
    Ok(())
}
