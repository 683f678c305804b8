//! Blobs: immutable bytes under their digest, verified when they are first opened, read from a memory map.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use crate::{Digest, Output, Store, StoreError, disk, durable};

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
        loop {
            if let Some(blob) = self.map_whole(&path, digest)? {
                return Ok(blob);
            }
            if !self.0.access.is_writing() {
                return Err(StoreError::Damaged { digest: *digest, path });
            }
            // Set aside, so that the next look-up misses it; unless somebody has just put a whole one there.
            if let Some(path) = self.set_aside_if(&path, || self.is_damaged(&path, digest))? {
                return Err(StoreError::Damaged { digest: *digest, path });
            }
        }
    }

    /// Maps the file of an artifact; `None` when its bytes do not have the digest.
    fn map_whole(&self, path: &Path, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing { digest: *digest }),
            Err(e) => return Err(StoreError::io("open", path, e)),
        };
        let stat = file.metadata().map_err(|e| StoreError::io("stat", path, e))?;
        let blob = if stat.len() == 0 {
            Blob(None) // an empty file cannot be mapped
        } else {
            // SAFETY: blobs are never changed in place by this program: they are written once and replaced by rename,
            // so the mapped file keeps its bytes; only a foreign process that ignores their mode could change them.
            Blob(Some(Arc::new(unsafe { Mmap::map(&file) }.map_err(|e| StoreError::io("map", path, e))?)))
        };
        let key = (*digest, stat.len(), stat.mtime(), stat.mtime_nsec(), stat.ino());
        let verified = || self.0.verified.lock().unwrap_or_else(|p| p.into_inner());
        if !verified().contains(&key) {
            if Digest::of(&blob) != *digest {
                return Ok(None);
            }
            verified().insert(key);
        }
        Ok(Some(blob))
    }

    /// Tells whether the file of an artifact is there with other bytes.
    fn is_damaged(&self, path: &Path, digest: &Digest) -> bool {
        match Digest::of_file_while(path, &|| self.patience().check().is_ok()) {
            Ok((found, _)) => found != *digest,
            Err(e) => e.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Tells whether an artifact is there with its very bytes; a damaged one is set aside.
    fn keeps(&self, output: &Output) -> Result<bool, StoreError> {
        if !self.has(output) {
            return Ok(false);
        }
        match self.open_blob(&output.digest) {
            Ok(_) => Ok(true),
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the synced file of an artifact its name. A whole one that another process has put there meanwhile is kept.
    fn place(&self, temporary: &Path, digest: &Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        if durable::settle_first(temporary, &path)? {
            return Ok(());
        }
        let _alone = self.replacing()?;
        if path.exists() && self.is_damaged(&path, digest) {
            self.patience().check()?;
            self.move_aside(&path)?;
        }
        match durable::settle_first(temporary, &path)? {
            true => Ok(()),
            false => disk::remove_file(temporary),
        }
    }

    /// Stores an artifact.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn put(&self, bytes: &[u8]) -> Result<Output, StoreError> {
        self.writable()?;
        let output = Output { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        if !self.keeps(&output)? {
            durable::stage_read_only(bytes, &self.staging(), |temporary| self.place(temporary, &output.digest))?;
        }
        Ok(output)
    }

    /// Begins an artifact that is too large to hold in memory.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        self.writable()?;
        let path = durable::temporary(&self.staging());
        let file = disk::create(&path)?;
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
        let n = disk::write_some(&mut self.file, &self.path, buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Makes the artifact durable when it has this digest, and keeps nothing when it has another; returns which.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn finish_as(self, digest: &Digest) -> Result<bool, StoreError> {
        if Digest::from_bytes(*self.hasher.finalize().as_bytes()) != *digest {
            return Ok(false);
        }
        self.finish().map(|_| true)
    }

    /// Makes the artifact durable under its digest. A whole one that is there already is kept.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn finish(self) -> Result<Output, StoreError> {
        let digest = Digest::from_bytes(*self.hasher.finalize().as_bytes());
        let output = Output { digest, bytes: self.bytes };
        if !self.store.keeps(&output)? {
            disk::make_read_only(&self.file, &self.path)?;
            disk::sync(&self.file, &self.path)?;
            self.store.place(&self.path, &digest)?;
        }
        Ok(output)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let _ = disk::remove_file(&self.path); // gone already when the artifact was finished
    }
}
