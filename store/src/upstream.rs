//! A place that several machines share, behind a store that serves as its cache.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

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

/// How many answers are moved at once: a service takes a while over each request, whatever is asked.
const AT_ONCE: usize = 8;

/// Moves many answers, a few at a time, and returns what became of each; ends at the first error.
///
/// # Errors
/// The first of `each`; [`StoreError::Io`] when no threads can be had.
pub fn side_by_side<T: Sync, R: Send>(
    many: &[T],
    each: impl Fn(&T) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    if many.len() < 2 {
        return many.iter().map(each).collect();
    }
    let threads = ThreadPoolBuilder::new().num_threads(many.len().min(AT_ONCE)).build();
    let threads =
        threads.map_err(|e| StoreError::io("start threads for", Path::new("answers"), io::Error::other(e)))?;
    threads.install(|| many.par_iter().with_max_len(1).map(&each).collect())
}

impl Store {
    /// Brings what a shared place has of these answers and this store has not, as [`Store::lookup`] would one after another. They
    /// are not asked for where there is no such place.
    ///
    /// # Errors
    /// As [`Upstream::fetch`].
    pub fn bring(&self, fingerprints: impl IntoIterator<Item = Fingerprint>) -> Result<(), StoreError> {
        let Some(upstream) = self.upstream() else { return Ok(()) };
        let mut missing = Vec::new();
        for fingerprint in fingerprints {
            if self.index().find(self, &fingerprint)?.is_none() {
                missing.push(fingerprint);
            }
        }
        side_by_side(&missing, |fingerprint| self.fetch(upstream, fingerprint, Listing::Kept)).map(drop)
    }

    /// Makes this store the cache of a shared place; a second one is ignored. `place`: held as long as this store is open.
    pub fn connect(&self, upstream: Box<dyn Upstream>, place: Option<Presence>) {
        let _ = self.0.upstream.set((upstream, place));
    }

    pub(crate) fn upstream(&self) -> Option<&dyn Upstream> {
        self.0.upstream.get().map(|(upstream, _)| upstream.as_ref())
    }
}
