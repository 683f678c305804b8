//! What a store offers to others.

use std::collections::BTreeSet;

use mlsm_store::{Fingerprint, Manifest, Presence, RunRecord, Store, StoreError};

/// Another place with answers and runs, seen from a local store.
///
/// Errors of all methods: [`StoreError::Remote`] where the place cannot be used; [`StoreError::Damaged`] when an artifact
/// does not have its digest, and nothing of it is kept; those of writing to the local store.
#[allow(clippy::missing_errors_doc)] // the same for all, above
pub trait Peer: Send + Sync {
    /// Lists the answers.
    fn fingerprints(&self) -> Result<BTreeSet<Fingerprint>, StoreError>;

    /// Reads an answer; `None` unless it is whole.
    fn manifest(&self, fingerprint: &Fingerprint) -> Result<Option<Manifest>, StoreError>;

    /// Brings the artifacts of an answer into a store, as far as it lacks them; returns how many bytes came. `None` when
    /// the place lacks one of them.
    fn receive(&self, store: &Store, manifest: &Manifest) -> Result<Option<u64>, StoreError>;

    /// Brings an answer there, artifacts first, as far as they are lacking; returns how many bytes went, and the answer that
    /// stands there in the end: an earlier realisation stays.
    fn send(&self, store: &Store, manifest: &Manifest) -> Result<(u64, Manifest), StoreError>;

    /// Lists the ids of the runs.
    fn runs(&self) -> Result<BTreeSet<String>, StoreError>;

    /// Reads the record of a run; `None` unless it is whole.
    fn run(&self, run_id: &str) -> Result<Option<RunRecord>, StoreError>;

    /// Keeps the record of a run.
    fn keep_run(&self, record: &RunRecord) -> Result<(), StoreError>;

    /// Takes a place among those who write there.
    fn join(&self) -> Result<Presence, StoreError>;
}
