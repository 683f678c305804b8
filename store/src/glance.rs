//! A glance at which answers are there: what people look at again and again while others compute. It brings no artifact here,
//! where a look-up of a cache does.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Answer, Fingerprint, Store, StoreError};

/// The answers that are there at one moment.
pub struct Glance<'a> {
    store: &'a Store,
    /// Those of the place that machines share, where the store is the cache of one.
    shared: BTreeSet<Fingerprint>,
}

impl Store {
    /// Looks which answers are there now. A place that machines share is asked for its list once.
    ///
    /// # Errors
    /// Those of [`crate::Upstream::answers`] where the store is a cache.
    pub fn glance(&self) -> Result<Glance<'_>, StoreError> {
        let shared = self.upstream().map(|upstream| upstream.answers()).transpose()?;
        Ok(Glance { store: self, shared: shared.unwrap_or_default() })
    }
}

impl Glance<'_> {
    /// Finds the answer to a request: here with every blob of it, or in the list of the shared place.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the index cannot be read; those of [`crate::Upstream::answer`] where the store is a cache.
    pub fn find(&self, fingerprint: &Fingerprint) -> Result<Option<Arc<Answer>>, StoreError> {
        if let Some(here) = self.store.index().answer(self.store, fingerprint)? {
            return Ok(Some(here));
        }
        match self.store.upstream().filter(|_| self.shared.contains(fingerprint)) {
            Some(upstream) => Ok(upstream.answer(fingerprint)?.map(|manifest| Arc::new(Answer::from(&manifest)))),
            None => Ok(None),
        }
    }
}
