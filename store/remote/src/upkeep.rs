//! Looking after what machines share: hashing it again, setting damage aside, collecting what no kept run reaches.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, stream};
use mlsm_store::{
    Digest, Finding, Fingerprint, GcOptions, GcPlan, Inventory, Manifest, RunRecord, StoreError, Stored, always_kept,
};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt};

use crate::answers::named_by;
use crate::{Bucket, lease};

/// How many objects are read at once.
const AT_ONCE: usize = 8;

impl Bucket {
    /// Checks every object, and reads all of each. `progress` is told the bytes hashed so far.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<Vec<Finding>, StoreError> {
        let (listed, blobs) = (self.list("manifests")?, self.list("blobs")?);
        let mut findings = Vec::new();
        let hashed = AtomicU64::new(0);
        let there: BTreeSet<Digest> = blobs.iter().filter_map(|meta| named_by(&meta.location)).collect();
        let digests = self.each(blobs, |place| self.digest(place, &hashed, progress))?;
        let damaged =
            digests.into_iter().filter(|(meta, found)| found.is_some_and(|d| Some(d) != named_by(&meta.location)));
        findings.extend(damaged.map(|(meta, _)| Finding::DamagedBlob { path: self.path(&meta.location) }));
        let mut answered = BTreeSet::new();
        for (meta, bytes) in self.each(listed, |place| self.bytes(place))? {
            let path = self.path(&meta.location);
            let name: Option<Fingerprint> = named_by(&meta.location);
            answered.extend(name);
            let read = bytes.and_then(|bytes| Manifest::read(&bytes)).filter(|m| Some(m.fingerprint) == name);
            let Some(manifest) = read else {
                findings.push(Finding::DamagedManifest { path });
                continue;
            };
            let absent = manifest.outputs.values().filter(|o| !there.contains(&o.digest));
            findings.extend(absent.map(|o| Finding::MissingBlob { digest: o.digest, manifest: path.clone() }));
        }
        let (runs, damaged) = self.run_records()?;
        findings.extend(damaged.iter().map(|place| Finding::DamagedRun { path: self.path(place) }));
        let missing = always_kept(&runs, &self.pins()?).into_iter().filter(|(f, _)| !answered.contains(f));
        findings.extend(missing.map(|(fingerprint, run_id)| Finding::MissingManifest { fingerprint, run_id }));
        Ok(findings)
    }

    /// Moves what [`Bucket::verify`] found damaged below `quarantine/`, so that the next run remakes exactly that.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    pub fn repair(&self, findings: &[Finding]) -> Result<(), StoreError> {
        for inner in findings.iter().filter_map(|f| f.path()?.to_str()?.strip_prefix(&self.0.url)) {
            let name = inner.trim_start_matches('/').replace('/', "-");
            let (from, to) = (self.place(inner), self.place(&format!("quarantine/{name}")));
            match self.wait(self.0.objects.copy(&from, &to)) {
                Ok(()) => self.delete(vec![from])?,
                Err(Error::NotFound { .. }) => {} // somebody else did
                Err(error) => return Err(self.failed("set aside", &from, &error)),
            }
        }
        Ok(())
    }

    /// Lists the pinned runs.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    pub fn pins(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.list("pins")?.iter().filter_map(|meta| Some(meta.location.filename()?.to_owned())).collect())
    }

    /// Plans a collection; removes nothing.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan, StoreError> {
        let stored = |meta: &ObjectMeta| Stored { bytes: meta.size, modified: meta.last_modified.into() };
        let blobs = self.list("blobs")?;
        let blobs = blobs.iter().filter_map(|meta| Some((named_by(&meta.location)?, stored(meta)))).collect();
        let manifests = self.each(self.list("manifests")?, |place| self.bytes(place))?.into_iter();
        let manifests = manifests.filter_map(|(meta, bytes)| Some((Manifest::read(&bytes?)?, stored(&meta))));
        Ok(Inventory::new(self.run_records()?.0, self.pins()?, manifests.collect(), blobs).plan(options))
    }

    /// Collects once nobody writes; while somebody does, `wait` is called again and again. Returns what was removed, or
    /// nothing when `wait` breaks off.
    ///
    /// # Errors
    /// [`StoreError::Remote`].
    pub fn apply_gc(
        &self,
        options: &GcOptions,
        wait: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<GcPlan>, StoreError> {
        let Some(alone) = lease::alone(self, wait)? else { return Ok(None) };
        let plan = self.plan_gc(options)?;
        let manifests = plan.doomed_manifests.iter().map(|fingerprint| self.manifest_place(fingerprint));
        let blobs = plan.doomed_blobs.iter().map(|digest| self.blob_place(digest));
        for places in [manifests.collect::<Vec<_>>(), blobs.collect()] {
            for some in places.chunks(1000) {
                if !alone.is_held() {
                    let reason =
                        "the service could not be reached for longer than the lease of the collection".to_owned();
                    return Err(StoreError::Remote { action: "collect", url: self.0.url.clone(), reason });
                }
                self.delete(some.to_vec())?;
            }
        }
        Ok(Some(plan))
    }

    fn path(&self, place: &Path) -> PathBuf {
        let inner = place.as_ref().strip_prefix(self.place("").as_ref()).unwrap_or(place.as_ref());
        PathBuf::from(format!("{}/{}", self.0.url, inner.trim_start_matches('/')))
    }

    /// Reads the records of runs, oldest first, and names those that are damaged.
    fn run_records(&self) -> Result<(Vec<RunRecord>, Vec<Path>), StoreError> {
        let (mut runs, mut damaged) = (Vec::new(), Vec::new());
        for (meta, bytes) in self.each(self.list("runs")?, |place| self.bytes(place))? {
            match bytes.and_then(|bytes| RunRecord::read(&bytes)) {
                Some(run) => runs.push(run),
                None => damaged.push(meta.location),
            }
        }
        runs.sort_by(|a, b| (&a.started, &a.run_id).cmp(&(&b.started, &b.run_id)));
        Ok((runs, damaged))
    }

    /// Does something with each object, several at once; keeps their order.
    fn each<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        objects: Vec<ObjectMeta>,
        work: impl Fn(Path) -> F,
    ) -> Result<Vec<(ObjectMeta, T)>, StoreError> {
        let done = stream::iter(objects).map(|meta| {
            let work = work(meta.location.clone());
            async move {
                match self.go_on() {
                    Ok(()) => (work.await, meta),
                    Err(_) => (Err(Error::Generic { store: "mlsm", source: "stopping was asked for".into() }), meta),
                }
            }
        });
        let done: Vec<_> = self.wait(done.buffered(AT_ONCE).collect());
        let named = |(result, meta): (object_store::Result<T>, ObjectMeta)| match result {
            Ok(done) => Ok((meta, done)),
            Err(error) => Err(self.failed("read", &meta.location, &error)),
        };
        done.into_iter().map(named).collect()
    }

    /// Reads a small object; `None` when it has gone meanwhile.
    async fn bytes(&self, place: Path) -> object_store::Result<Option<bytes::Bytes>> {
        match self.0.objects.get(&place).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hashes an object; `None` when it has gone meanwhile.
    async fn digest(
        &self,
        place: Path,
        hashed: &AtomicU64,
        progress: &dyn Fn(u64),
    ) -> object_store::Result<Option<Digest>> {
        let mut parts = match self.0.objects.get(&place).await {
            Ok(found) => found.into_stream(),
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut hasher = blake3::Hasher::new();
        while let Some(part) = parts.next().await {
            let part = part?;
            if self.go_on().is_err() {
                return Err(Error::Generic { store: "mlsm", source: "stopping was asked for".into() });
            }
            hasher.update(&part);
            progress(hashed.fetch_add(part.len() as u64, Ordering::Relaxed) + part.len() as u64);
        }
        Ok(Some(Digest::from_bytes(*hasher.finalize().as_bytes())))
    }
}
