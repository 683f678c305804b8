//! Checkpoints: the state of long work under its fingerprint, with its digest in front, replaced by rename.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::{Digest, Fingerprint, Store, StoreError, disk, durable};

const DIGEST_BYTES: usize = 32;

impl Store {
    fn checkpoint_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.0.root.join("checkpoints").join(fingerprint.to_string())
    }

    /// Keeps the state of unfinished work, in place of the earlier one.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn save_checkpoint(&self, fingerprint: &Fingerprint, bytes: &[u8]) -> Result<(), StoreError> {
        self.writable()?;
        let mut all = Digest::of(bytes).as_bytes().to_vec();
        all.extend_from_slice(bytes);
        let _alone = self.replacing()?;
        durable::write(&self.checkpoint_path(fingerprint), &all, &self.staging())
    }

    /// Returns the last state; nothing when there is none or it is damaged.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    pub fn load_checkpoint(&self, fingerprint: &Fingerprint) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.checkpoint_path(fingerprint);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        Ok(is_whole(&bytes).then(|| bytes.split_off(DIGEST_BYTES)))
    }

    /// Drops the state of work that is finished.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn clear_checkpoint(&self, fingerprint: &Fingerprint) -> Result<(), StoreError> {
        self.writable()?;
        disk::remove_file(&self.checkpoint_path(fingerprint))
    }
}

/// Tells whether the bytes of a checkpoint's file have the digest that they begin with.
pub(crate) fn is_whole(file: &[u8]) -> bool {
    file.split_at_checked(DIGEST_BYTES).is_some_and(|(digest, rest)| Digest::of(rest).as_bytes()[..] == *digest)
}
