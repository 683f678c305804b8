//! Checkpoints: the state of long work under its fingerprint, with its digest in front, replaced by rename.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::{Digest, Fingerprint, Store, StoreError, durable};

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
        let mut all = Digest::of(bytes).as_bytes().to_vec();
        all.extend_from_slice(bytes);
        durable::write(&self.checkpoint_path(fingerprint), &all, &self.staging())
    }

    /// Returns the last state; nothing when there is none or it is damaged.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    pub fn load_checkpoint(&self, fingerprint: &Fingerprint) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.checkpoint_path(fingerprint);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) if bytes.len() >= DIGEST_BYTES => bytes,
            Ok(_) => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        let rest = bytes.split_off(DIGEST_BYTES);
        Ok((Digest::of(&rest).as_bytes()[..] == bytes[..]).then_some(rest))
    }

    /// Drops the state of work that is finished.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn clear_checkpoint(&self, fingerprint: &Fingerprint) -> Result<(), StoreError> {
        let path = self.checkpoint_path(fingerprint);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io("remove", &path, e)),
            _ => Ok(()),
        }
    }
}
