//! Who may write, and the garbage of crashed writers: `staging/` is emptied by the first writer that finds itself alone.
//!
//! Every store that is opened for writing holds a shared lock. Who can take it alone knows that nobody is writing, so that
//! what is staged belongs to the dead. Only names that the store itself makes are removed: whatever else lies there is
//! somebody's. A second lock is the gate through which writers and collections pass: a collection that waits for the
//! writers of now closes it, so that those who come later wait in their turn.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lock::{self, Mode};
use crate::patience::Hold;
use crate::{LockGuard, Patience, StoreError, disk, durable};

/// A place among those who write; dropping it leaves.
pub(crate) struct Writers(#[expect(dead_code, reason = "held")] LockGuard);

/// The lock that all who write share.
pub(crate) fn writers_lock(root: &Path) -> PathBuf {
    root.join("locks/writers")
}

/// The gate: shared for a moment by who begins to write, held by a collection from its first wait to its end.
pub(crate) fn gate(root: &Path) -> PathBuf {
    root.join("locks/collect")
}

impl Writers {
    /// Joins those who write. In the call that begins a store nothing can be garbage: `sweeps` is false, and nothing is
    /// removed.
    pub(crate) fn join(root: &Path, sweeps: bool, patience: &Patience) -> Result<Self, StoreError> {
        let what = "a collection has the store to itself";
        let _gate = patience.take(&gate(root), Mode::Shared, Hold::Long, what)?;
        let path = writers_lock(root);
        if sweeps && let Some(_alone) = lock::try_take(&path, Mode::Alone)? {
            sweep(&root.join("staging"))?;
        }
        // Between the two locks another writer may sweep as well: nothing of this one is staged yet.
        Ok(Self(patience.take(&path, Mode::Shared, Hold::Brief, "another process tidies the store up")?))
    }
}

fn sweep(staging: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(staging).map_err(|e| StoreError::io("read", staging, e))?.flatten() {
        if !durable::is_temporary(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if is_folder { disk::remove_tree(&path)? } else { disk::remove_file(&path)? }
    }
    Ok(())
}
