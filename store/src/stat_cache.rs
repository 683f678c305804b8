//! Digests of files outside the store, remembered by path, size, time of change and inode.
//!
//! A file that was changed within two seconds before its entry was written may change again without its time showing
//! it, so such entries are not believed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Digest, Store, StoreError, durable, seal};

/// How close to its own writing an entry's file may have changed and still be doubted, in nanoseconds.
const DOUBT_NS: i128 = 2_000_000_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    size: u64,
    mtime_ns: i128,
    inode: u64,
    written_ns: i128,
    digest: Digest,
}

/// Tells whether a cache's file can be read.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    seal::read::<BTreeMap<String, Entry>>(bytes).is_some()
}

/// The cache; it may be asked from several threads.
pub struct StatCache {
    store: Store,
    path: PathBuf,
    old: BTreeMap<String, Entry>,
    new: Mutex<BTreeMap<String, Entry>>,
}

impl StatCache {
    pub(crate) fn open(store: &Store) -> Self {
        let path = store.root().join("stat-cache.json");
        let old = fs::read(&path).ok().and_then(|b| seal::read(&b)).unwrap_or_default();
        Self { store: store.clone(), path, old, new: Mutex::default() }
    }

    /// Returns a file's digest and size; reads it only when the cache cannot vouch for it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file cannot be read.
    pub fn digest(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        let failed = |e| StoreError::io("read", path, e);
        let stat = fs::metadata(path).map_err(failed)?;
        let mtime_ns = i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec());
        let (size, inode) = (stat.len(), stat.ino());
        let key = path.to_string_lossy();
        if let Some(entry) = self.old.get(key.as_ref()) {
            let same = (entry.size, entry.mtime_ns, entry.inode) == (size, mtime_ns, inode);
            if same && entry.written_ns - mtime_ns > DOUBT_NS {
                return Ok((entry.digest, size));
            }
        }
        let written_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
        let (digest, read) = Digest::of_file(path).map_err(failed)?;
        let entry = Entry { size: read, mtime_ns, inode, written_ns, digest };
        self.new.lock().unwrap_or_else(|p| p.into_inner()).insert(key.into_owned(), entry);
        Ok((digest, read))
    }

    /// Writes the cache when something was added.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn save(&self) -> Result<(), StoreError> {
        let new = self.new.lock().unwrap_or_else(|p| p.into_inner());
        if new.is_empty() {
            return Ok(());
        }
        self.store.writable()?;
        let mut all = self.old.clone();
        all.extend(new.clone());
        durable::write(&self.path, &seal::write(&all), &self.store.staging())
    }
}
