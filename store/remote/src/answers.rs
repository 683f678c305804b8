//! Answers of a bucket: what a peer and an upstream do, over its objects.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::str::FromStr;

use mlsm_store::{Fingerprint, Holder, Listing, Manifest, Pin, Presence, RunRecord, Store, StoreError, Upstream};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::lease::Term;
use crate::{Bucket, Peer, lease, look};

impl Peer for Bucket {
    fn fingerprints(&self) -> Result<BTreeSet<Fingerprint>, StoreError> {
        Ok(self.list("manifests")?.iter().filter_map(|meta| named_by(&meta.location)).collect())
    }

    fn manifest(&self, fingerprint: &Fingerprint) -> Result<Option<Manifest>, StoreError> {
        let found = self.get(&self.manifest_place(fingerprint))?;
        Ok(found.and_then(|(bytes, _)| Manifest::read(&bytes)).filter(|m| m.fingerprint == *fingerprint))
    }

    fn receive(&self, store: &Store, manifest: &Manifest) -> Result<Option<u64>, StoreError> {
        let mut bytes = 0;
        for output in manifest.outputs.values().filter(|output| !store.has(output)) {
            if !self.receive_blob(store, output)? {
                return Ok(None);
            }
            bytes += output.bytes;
        }
        Ok(Some(bytes))
    }

    fn send(&self, store: &Store, manifest: &Manifest) -> Result<(u64, Manifest), StoreError> {
        let sent = self.send_missing(store, manifest.outputs.values())?;
        let place = self.manifest_place(&manifest.fingerprint);
        if !self.create(&place, manifest.write())? {
            if let Some(standing) = self.manifest(&manifest.fingerprint)?
                && self.has_all(&standing)?
            {
                return Ok((sent, standing));
            }
            self.put(&place, manifest.write())?; // what stood there is no longer whole
        }
        if let Some(known) = self.known().as_mut() {
            known.insert(manifest.fingerprint);
        }
        Ok((sent, manifest.clone()))
    }

    fn runs(&self) -> Result<BTreeSet<String>, StoreError> {
        let name = |meta: ObjectMeta| Some(meta.location.filename()?.strip_suffix(".json")?.to_owned());
        Ok(self.list("runs")?.into_iter().filter_map(name).collect())
    }

    fn run(&self, run_id: &str) -> Result<Option<RunRecord>, StoreError> {
        let found = self.get(&self.place(&format!("runs/{run_id}.json")))?;
        Ok(found.and_then(|(bytes, _)| RunRecord::read(&bytes)))
    }

    fn keep_run(&self, record: &RunRecord) -> Result<(), StoreError> {
        self.put(&self.place(&format!("runs/{}.json", record.run_id)), record.write())
    }

    fn join(&self) -> Result<Presence, StoreError> {
        Ok(Box::new(lease::join(self)?))
    }
}

/// Reads the digest or fingerprint that the place of an object is made of.
pub(crate) fn named_by<T: FromStr>(place: &Path) -> Option<T> {
    let parts: Vec<_> = place.parts().collect();
    let [.., folder, file] = parts.as_slice() else { return None };
    let file = file.as_ref();
    format!("{}{}", folder.as_ref(), file.strip_suffix(".json").unwrap_or(file)).parse().ok()
}

impl Upstream for Bucket {
    fn fetch(&self, cache: &Store, fingerprint: &Fingerprint, list: Listing) -> Result<Option<Manifest>, StoreError> {
        if list == Listing::Kept {
            let mut known = self.known();
            if known.is_none() {
                *known = Some(self.fingerprints()?); // once: thousands of requests for what is not there would take minutes
            }
            if !known.as_ref().is_some_and(|known| known.contains(fingerprint)) {
                return Ok(None);
            }
        }
        let Some(manifest) = self.manifest(fingerprint)? else { return Ok(None) };
        if self.0.access.is_writing() {
            self.send_missing(cache, manifest.outputs.values().filter(|output| cache.has(output)))?; // lost there, not here
        }
        Ok(self.receive(cache, &manifest)?.map(|_| manifest))
    }

    fn offer(&self, cache: &Store, manifest: &Manifest) -> Result<Option<Manifest>, StoreError> {
        self.check_presence()?;
        let (_, standing) = self.send(cache, manifest)?;
        if standing == *manifest {
            return Ok(None);
        }
        self.receive(cache, &standing)?;
        Ok(Some(standing))
    }

    fn lease(
        &self,
        fingerprint: &Fingerprint,
        wait: &mut dyn FnMut(&Holder) -> ControlFlow<()>,
    ) -> Result<Option<Box<dyn Send + Sync>>, StoreError> {
        let lease = lease::take(self, fingerprint, wait)?;
        Ok(lease.map(|lease| Box::new(lease) as Box<dyn Send + Sync>))
    }

    fn holders(&self, wanted: &BTreeSet<Fingerprint>) -> Result<BTreeMap<Fingerprint, Holder>, StoreError> {
        look::holders(self, wanted)
    }

    fn answers(&self) -> Result<BTreeSet<Fingerprint>, StoreError> {
        self.fingerprints()
    }

    fn answer(&self, fingerprint: &Fingerprint) -> Result<Option<Manifest>, StoreError> {
        self.manifest(fingerprint)
    }

    fn record(&self, record: &RunRecord) -> Result<(), StoreError> {
        self.keep_run(record)
    }

    fn pin(&self, run_id: &str, pin: Pin) -> Result<(), StoreError> {
        let place = self.place(&format!("pins/{run_id}"));
        if pin == Pin::Set { self.put(&place, Vec::new()) } else { self.delete(vec![place]) }
    }
}

impl Bucket {
    /// Refuses when others may have taken this machine for dead: a collection may be removing what an answer counts on.
    fn check_presence(&self) -> Result<(), StoreError> {
        let presence = self.0.presence.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if presence.as_ref().is_none_or(Term::is_running) {
            return Ok(());
        }
        let reason = "the service could not be reached for longer than a machine that writes may be silent".to_owned();
        Err(StoreError::Remote { action: "share answers at", url: self.0.url.clone(), reason })
    }
}
