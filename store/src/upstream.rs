//! A place that several machines share, behind a store that serves as its cache.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::{Fingerprint, Holder, Manifest, Pin, RunRecord, Store, StoreError};

/// A place among those who write somewhere, beside whom nothing is collected; dropping it leaves.
pub type Presence = Box<dyn Send + Sync>;

/// Which list of a shared place's answers is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The one that this process read first.
    Kept,
    /// What is there now.
    Fresh,
}

/// A shared place: answers and runs that other machines may have put there, and exclusion between them.
///
/// Whoever answers here has put the artifacts of the answer into the cache before.
pub trait Upstream: Send + Sync {
    /// Brings the answer to a request into the cache, when there is one. With [`Listing::Kept`], answers that were put
    /// there since this process began may be missed.
    ///
    /// # Errors
    /// [`StoreError::Remote`]; [`StoreError::Damaged`] when an artifact does not have its digest.
    fn fetch(&self, cache: &Store, fingerprint: &Fingerprint, list: Listing) -> Result<Option<Manifest>, StoreError>;

    /// Puts an answer there, artifacts first. When another one was faster, brings that one into the cache and returns it.
    ///
    /// # Errors
    /// As [`Upstream::fetch`].
    fn offer(&self, cache: &Store, manifest: &Manifest) -> Result<Option<Manifest>, StoreError>;

    /// Waits until nobody else computes the answer; dropping what it returns ends that. `None` when `wait` breaks off.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    fn lease(
        &self,
        fingerprint: &Fingerprint,
        wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
    ) -> Result<Option<Box<dyn Send + Sync>>, StoreError>;

    /// Returns who computes the answers to requests at this moment. Puts nothing there. Clocks of machines may differ, so that
    /// somebody who died lately may be among them; nothing is decided by it.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    fn holders(&self, wanted: &BTreeSet<Fingerprint>) -> Result<BTreeMap<Fingerprint, Holder>, StoreError>;

    /// Lists the answers that are there now.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    fn answers(&self) -> Result<BTreeSet<Fingerprint>, StoreError>;

    /// Reads an answer, whose artifacts stay there; `None` unless it is whole.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    fn answer(&self, fingerprint: &Fingerprint) -> Result<Option<Manifest>, StoreError>;

    /// Keeps the record of a run.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    fn record(&self, record: &RunRecord) -> Result<(), StoreError>;

    /// Pins a run there, or unpins it.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    fn pin(&self, run_id: &str, pin: Pin) -> Result<(), StoreError>;
}

impl Store {
    /// Makes this store the cache of a shared place; a second one is ignored. `place`: held as long as this store is open.
    pub fn connect(&self, upstream: Box<dyn Upstream>, place: Option<Presence>) {
        let _ = self.0.upstream.set((upstream, place));
    }

    pub(crate) fn upstream(&self) -> Option<&dyn Upstream> {
        self.0.upstream.get().map(|(upstream, _)| upstream.as_ref())
    }
}
