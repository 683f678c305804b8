//! What is kept here and not yet offered to the shared place behind this store: `pending/<fingerprint>` for an answer,
//! `pending/run-<id>` for the record of a run, both empty. Work is safe here before any network is asked, and a network that
//! fails costs no work.

use std::path::PathBuf;
use std::sync::Arc;

use crate::contents::entries;
use crate::{Fingerprint, Manifest, RunRecord, Store, StoreError, Upstream, disk, durable};

const RUN: &str = "run-";

impl Store {
    fn pending_path(&self, name: &str) -> PathBuf {
        self.root().join("pending").join(name)
    }

    fn note_pending(&self, name: &str) -> Result<(), StoreError> {
        durable::make_folder(&self.root().join("pending"))?;
        disk::touch(&self.pending_path(name))
    }

    /// Lists what was not offered yet, by name.
    pub fn pending(&self) -> Vec<String> {
        let name = |path: PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        entries(&self.root().join("pending")).into_iter().filter_map(name).collect()
    }

    /// Keeps an answer here, then offers it; returns the one that stands in the end. A place that cannot be reached is
    /// offered it later.
    pub(crate) fn share(&self, upstream: &dyn Upstream, manifest: Manifest) -> Result<Arc<Manifest>, StoreError> {
        let name = manifest.fingerprint.to_string();
        self.note_pending(&name)?;
        let own = self.adopt(manifest)?;
        let standing = match upstream.offer(self, &own) {
            Ok(None) => own,
            Ok(Some(standing)) => self.supersede(standing)?,
            Err(StoreError::Remote { .. }) => return Ok(own),
            Err(error) => return Err(error),
        };
        disk::remove_file(&self.pending_path(&name))?;
        Ok(standing)
    }

    /// Offers the record of a run; a place that cannot be reached is offered it later.
    pub(crate) fn share_run(&self, upstream: &dyn Upstream, record: &RunRecord) -> Result<(), StoreError> {
        let name = format!("{RUN}{}", record.run_id);
        self.note_pending(&name)?;
        match upstream.record(record) {
            Ok(()) => disk::remove_file(&self.pending_path(&name)),
            Err(StoreError::Remote { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Offers what could not be offered before; returns how much is left.
    ///
    /// # Errors
    /// Those of writing here; a place that still cannot be reached is none.
    pub fn offer_pending(&self) -> Result<usize, StoreError> {
        let Some(upstream) = self.upstream() else { return Ok(0) };
        let mut records = None;
        for name in self.pending() {
            self.patience().check()?;
            let is_done = match (name.strip_prefix(RUN), name.parse::<Fingerprint>()) {
                (Some(run_id), _) => {
                    let records = match &records {
                        Some(records) => records,
                        None => records.insert(self.runs().list()?),
                    };
                    records.iter().find(|run| run.run_id == run_id).is_none_or(|run| upstream.record(run).is_ok())
                }
                (None, Ok(fingerprint)) => {
                    let own = self.index().find(self, &fingerprint)?;
                    match own.map(|own| upstream.offer(self, &own)) {
                        None | Some(Ok(None)) => true,
                        Some(Ok(Some(standing))) => self.supersede(standing).is_ok(),
                        Some(Err(_)) => false,
                    }
                }
                _ => false, // somebody else's file
            };
            if is_done {
                disk::remove_file(&self.pending_path(&name))?;
            }
        }
        Ok(self.pending().len())
    }
}
