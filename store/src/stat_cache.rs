//! Digests of files outside the store, remembered by path, size, both times of change, device and inode; of files in an object
//! store by address, size and version.
//!
//! A file's own time can be set to anything, so that a copy or an archive leaves another photo with the time of the first;
//! the time of its last change of any kind (ctime) is the system's and cannot. An entry is not believed when its file
//! changed within two seconds before it was written, since it may have changed once more within the same tick of its clock;
//! nor when a time lies in the future, which is what a clock that was set back leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::stat::Stat;
use crate::{Digest, Object, Store, StoreError, durable, seal};

/// How close to its own writing an entry's file may have changed and still be doubted, in nanoseconds.
const DOUBT_NS: i64 = 2_000_000_000;

/// A file as it was when it was read. What entries of an older program lack matches no file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    size: u64,
    mtime_ns: i64,
    #[serde(default)]
    ctime_ns: i64,
    #[serde(default)]
    device: u64,
    inode: u64,
    written_ns: i64,
    digest: Digest,
    /// Of a file in an object store: the version that the service gives it, in place of times and inode.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    version: String,
}

type Entries = BTreeMap<String, Entry>;

impl Entry {
    fn new(stat: Stat, written_ns: i64, digest: Digest) -> Self {
        let Stat { size, mtime_ns, ctime_ns, device, inode } = stat;
        Self { size, mtime_ns, ctime_ns, device, inode, written_ns, digest, version: String::new() }
    }

    fn is_of(&self, stat: &Stat) -> bool {
        let Self { size, mtime_ns, ctime_ns, device, inode, .. } = *self;
        *stat == Stat { size, mtime_ns, ctime_ns, device, inode }
    }

    /// Tells whether a file with this stat still has the digest, by a clock that says `now_ns`.
    fn vouches_for(&self, stat: &Stat, now_ns: i64) -> bool {
        let changed_ns = stat.mtime_ns.max(stat.ctime_ns);
        self.is_of(stat) && self.written_ns.saturating_sub(changed_ns) > DOUBT_NS && self.written_ns <= now_ns
    }
}

/// Tells whether a cache's file can be read.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    seal::read::<Entries>(bytes).is_some()
}

/// The cache; it may be asked from several threads.
pub struct StatCache {
    store: Store,
    old: Entries,
    new: Mutex<Entries>,
    /// When the cache was opened: no later than any file was looked at.
    now_ns: i64,
}

impl StatCache {
    pub(crate) fn open(store: &Store) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an entry as young as its file is not trusted")]
        let now_ns =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos().try_into().unwrap_or(i64::MAX));
        Self::open_at(store, now_ns)
    }

    pub(crate) fn open_at(store: &Store, now_ns: i64) -> Self {
        let old = if store.0.rehash.get().is_some() { Entries::new() } else { read(store) };
        Self { store: store.clone(), old, new: Mutex::default(), now_ns }
    }

    /// Returns a file's digest and size; reads it only when the cache cannot vouch for it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file cannot be read; [`StoreError::Stopped`].
    pub fn digest(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        self.store.patience().check()?;
        let stat = Stat::of(path).map_err(|e| StoreError::io("read", path, e))?;
        let key = path.to_string_lossy();
        if let Some(entry) = self.old.get(key.as_ref()).filter(|entry| entry.vouches_for(&stat, self.now_ns)) {
            return Ok((entry.digest, stat.size));
        }
        let (digest, read) = self.store.digest_file(path)?;
        if read == stat.size {
            let entry = Entry::new(stat, self.now_ns, digest);
            self.new.lock().unwrap_or_else(|p| p.into_inner()).insert(key.into_owned(), entry);
        }
        Ok((digest, read))
    }

    /// Returns the digest of a file in an object store, unless another version of it was read, or none.
    pub fn object(&self, address: &str, object: &Object) -> Option<Digest> {
        let entry = self.old.get(&format!("{address}/{}", object.path))?;
        (entry.size == object.bytes && entry.version == object.version).then_some(entry.digest)
    }

    /// Remembers the digest of a file in an object store. What was read in another size than was listed is not remembered.
    pub fn keep_object(&self, address: &str, object: &Object, (digest, read): (Digest, u64)) {
        if read == object.bytes && !object.version.is_empty() {
            let stat = Stat { size: read, mtime_ns: 0, ctime_ns: 0, device: 0, inode: 0 };
            let entry = Entry { version: object.version.clone(), ..Entry::new(stat, self.now_ns, digest) };
            let key = format!("{address}/{}", object.path);
            self.new.lock().unwrap_or_else(|p| p.into_inner()).insert(key, entry);
        }
    }

    /// Adds what is new to the cache's file, beside what other processes have added meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn save(&self) -> Result<(), StoreError> {
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(|p| p.into_inner()));
        match new.is_empty() {
            true => Ok(()),
            false => change(&self.store, |entries| entries.extend(new)),
        }
    }
}

impl Store {
    /// Drops what is remembered of a file whose bytes turned out to be others.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn forget_digest(&self, path: &Path) -> Result<(), StoreError> {
        let key = path.to_string_lossy();
        change(self, |entries| {
            entries.remove(key.as_ref());
        })
    }

    /// Believes no remembered digest of a file from now on: each file is read again.
    pub fn rehash(&self) {
        let _ = self.0.rehash.set(());
    }
}

fn path_of(store: &Store) -> PathBuf {
    store.root().join("stat-cache.json")
}

fn read(store: &Store) -> Entries {
    fs::read(path_of(store)).ok().and_then(|bytes| seal::read(&bytes)).unwrap_or_default()
}

/// Changes the file of the cache, one process after another.
fn change(store: &Store, change: impl FnOnce(&mut Entries)) -> Result<(), StoreError> {
    store.writable()?;
    let _alone = store.replacing()?;
    let before = read(store);
    let mut entries = before.clone();
    change(&mut entries);
    if entries == before {
        return Ok(());
    }
    durable::write(&path_of(store), &seal::write(&entries), &store.staging())
}

/// Returns the files that are remembered and are no longer what they were.
pub(crate) fn outdated(store: &Store) -> BTreeSet<String> {
    let is_outdated = |(path, entry): &(String, Entry)| {
        entry.version.is_empty() && !Stat::of(Path::new(path)).is_ok_and(|stat| entry.is_of(&stat))
    };
    read(store).into_iter().filter(is_outdated).map(|(path, _)| path).collect()
}

/// Drops what is remembered of these files. The caller has the store to itself.
pub(crate) fn drop_entries(store: &Store, outdated: &BTreeSet<String>) -> Result<(), StoreError> {
    let mut entries = read(store);
    entries.retain(|path, _| !outdated.contains(path));
    durable::write(&path_of(store), &seal::write(&entries), &store.staging())
}
