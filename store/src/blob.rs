//! Blobs: immutable bytes under their digest, verified when they are first opened, read from a memory map.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;

use crate::{Digest, Output, Store, StoreError, durable};

/// The bytes of an artifact. Clones share one memory map.
#[derive(Clone)]
pub struct Blob(Option<Arc<Mmap>>);

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |map| map)
    }
}

/// What was verified already: digest, length, time of change, inode.
pub(crate) type Verified = BTreeSet<(Digest, u64, i64, i64, u64)>;

impl Store {
    /// Returns where an artifact lies.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        self.0.root.join("blobs").join(&hex[..2]).join(&hex[2..])
    }

    /// Opens an artifact, and checks its bytes unless this process has checked this very file before.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Damaged`], after which the artifact counts as absent.
    pub fn open_blob(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing { digest: *digest }),
            Err(e) => return Err(StoreError::io("open", &path, e)),
        };
        let stat = file.metadata().map_err(|e| StoreError::io("stat", &path, e))?;
        let blob = if stat.len() == 0 {
            Blob(None) // an empty file cannot be mapped
        } else {
            // SAFETY: blobs are never changed in place by this program: they are written once and replaced by rename,
            // so the mapped file keeps its bytes; only a foreign process that ignores their mode could change them.
            Blob(Some(Arc::new(unsafe { Mmap::map(&file) }.map_err(|e| StoreError::io("map", &path, e))?)))
        };
        let key = (*digest, stat.len(), stat.mtime(), stat.mtime_nsec(), stat.ino());
        let verified = || self.0.verified.lock().unwrap_or_else(|p| p.into_inner());
        if !verified().contains(&key) {
            if Digest::of(&blob) != *digest {
                return Err(StoreError::Damaged { digest: *digest, path: self.quarantine(digest)? });
            }
            verified().insert(key);
        }
        Ok(blob)
    }

    /// Sets damaged bytes aside, so that the next look-up misses them and they are remade.
    pub(crate) fn quarantine(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let folder = self.0.root.join("quarantine");
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        let (from, to) = (self.blob_path(digest), folder.join(digest.to_string()));
        fs::rename(&from, &to).map_err(|e| StoreError::io("rename", &from, e))?;
        Ok(to)
    }

    /// Begins an artifact that is too large to hold in memory.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let path = durable::temporary(&self.staging());
        let file = File::create_new(&path).map_err(|e| StoreError::io("create", &path, e))?;
        Ok(BlobWriter { store: self.clone(), path, file, hasher: blake3::Hasher::new(), bytes: 0 })
    }
}

/// An artifact that is being written; dropping it unfinished leaves nothing.
pub struct BlobWriter {
    store: Store,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for BlobWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Makes the artifact durable under its digest.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn finish(self) -> Result<Output, StoreError> {
        let digest = Digest::from_bytes(*self.hasher.finalize().as_bytes());
        self.file.sync_all().map_err(|e| StoreError::io("sync", &self.path, e))?;
        durable::settle(&self.path, &self.store.blob_path(&digest))?;
        Ok(Output { digest, bytes: self.bytes })
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // gone already when the artifact was finished
    }
}
