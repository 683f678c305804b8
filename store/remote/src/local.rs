//! Another store in a local folder.

use std::collections::BTreeSet;

use mlsm_store::{Fingerprint, Manifest, Presence, RunRecord, Store, StoreError};

use crate::Peer;

/// Another local store, opened for writing when anything is to be sent there.
pub struct LocalPeer(pub Store);

/// Copies the artifacts of an answer that the second store lacks. `None` when the first one lacks one.
fn copy(from: &Store, to: &Store, manifest: &Manifest) -> Result<Option<u64>, StoreError> {
    let mut bytes = 0;
    for output in manifest.outputs.values().filter(|output| !to.has(output)) {
        match from.open_blob(&output.digest) {
            Ok(blob) => bytes += to.put(&blob)?.bytes,
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(bytes))
}

impl Peer for LocalPeer {
    fn fingerprints(&self) -> Result<BTreeSet<Fingerprint>, StoreError> {
        Ok(self.0.fingerprints())
    }

    fn manifest(&self, fingerprint: &Fingerprint) -> Result<Option<Manifest>, StoreError> {
        Ok(self.0.lookup(fingerprint)?.map(|manifest| Manifest::clone(&manifest)))
    }

    fn receive(&self, store: &Store, manifest: &Manifest) -> Result<Option<u64>, StoreError> {
        copy(&self.0, store, manifest)
    }

    fn send(&self, store: &Store, manifest: &Manifest) -> Result<(u64, Manifest), StoreError> {
        if let Some(standing) = self.manifest(&manifest.fingerprint)? {
            return Ok((0, standing));
        }
        let bytes = copy(store, &self.0, manifest)?.unwrap_or(0); // what is missing is told by the next line
        Ok((bytes, Manifest::clone(&*self.0.adopt(manifest.clone())?)))
    }

    fn runs(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.0.runs().list()?.into_iter().map(|run| run.run_id).collect())
    }

    fn run(&self, run_id: &str) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.0.runs().list()?.into_iter().find(|run| run.run_id == run_id))
    }

    fn keep_run(&self, record: &RunRecord) -> Result<(), StoreError> {
        self.0.runs().append(record)
    }

    fn join(&self) -> Result<Presence, StoreError> {
        Ok(Box::new(())) // who has a store open for writing has that place
    }
}
