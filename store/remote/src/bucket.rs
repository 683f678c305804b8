//! An object store: the same layout as a local one, under a prefix, written by conditional puts.
//!
//! ```text
//! format                        "1"
//! blobs/ab/cdef…                artifacts by digest
//! manifests/ab/cdef….json       put once, after their artifacts; an earlier one stays
//! runs/<run_id>.json
//! pins/<run_id>                 what that run reaches is not collected
//! locks/<fingerprint>           leases (`lease.rs`)
//! locks/collect                 the lease of collections
//! writers/<name>                one for each that may write, renewed while it lives
//! quarantine/                   damaged objects
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::address::Address;
use crate::lease::Term;
use crate::look::Seen;
use crate::{Peer, lease, look};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, TryStreamExt, stream};
use mlsm_store::{
    Access, Digest, FORMAT, Fingerprint, Holder, Listing, Manifest, Output, Pin, Presence, RunRecord, Store,
    StoreError, Upstream,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use tokio::runtime::{Builder, Runtime};

/// From how many bytes on an artifact is sent in parts.
const PART: usize = 16 << 20;
/// How long a lease lasts that its holder does not renew.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// An object store, or the part of it under a prefix. Clones share one connection.
#[derive(Clone)]
pub struct Bucket(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) url: String,
    pub(crate) objects: Box<dyn ObjectStore>,
    prefix: Path,
    runtime: Runtime,
    /// The answers that were there when they were last listed, and those that came from here.
    known: Mutex<Option<BTreeSet<Fingerprint>>>,
    pub(crate) lease: Duration,
    access: Access,
    /// Raised when all waiting and moving is to end.
    stop: Arc<AtomicBool>,
    /// This machine's place among those who write, once it has one.
    pub(crate) presence: Mutex<Option<Term>>,
    /// The leases that were looked at.
    pub(crate) watched: Mutex<BTreeMap<Path, Seen>>,
}

impl Bucket {
    /// Opens `s3://bucket/prefix`, `gs://…` or `az://…`; whatever stands after the bucket is the prefix, to the letter.
    /// `options`: credentials and settings by their usual names in the environment, in lower case; others are ignored. Who
    /// only reads puts nothing there: a place without a store counts as an empty one. `stop` ends every wait.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when the address or the credentials do not do, or the service ignores conditions, so that
    /// machines would overwrite each other's answers; [`StoreError::NewerFormat`].
    pub fn open(
        url: &str,
        options: impl IntoIterator<Item = (String, String)>,
        access: Access,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let bucket = Self::unchecked(url, options, access, stop)?;
        bucket.check_format()?;
        Ok(bucket)
    }

    /// Does the same without a look at what is there.
    pub(crate) fn unchecked(
        url: &str,
        options: impl IntoIterator<Item = (String, String)>,
        access: Access,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Remote { action: "open", url: url.to_owned(), reason };
        let address = Address::of(url).map_err(failed)?;
        let (objects, within) =
            object_store::parse_url_opts(&address.service, options).map_err(|e| failed(reason(&e)))?;
        Self::closed(url, objects, address.prefix.unwrap_or(within), LEASE, access, stop)
    }

    /// An empty one in the memory of this process.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when no threads can be had.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::over("memory:///", Box::new(InMemory::new()), Path::default(), LEASE)
    }

    /// Over any object store. `lease`: how long a lease lasts that its holder does not renew.
    ///
    /// # Errors
    /// As [`Bucket::open`].
    pub fn over(url: &str, objects: Box<dyn ObjectStore>, prefix: Path, lease: Duration) -> Result<Self, StoreError> {
        let bucket = Self::closed(url, objects, prefix, lease, Access::ReadWrite, Arc::default())?;
        bucket.check_format()?;
        Ok(bucket)
    }

    pub(crate) fn closed(
        url: &str,
        objects: Box<dyn ObjectStore>,
        prefix: Path,
        lease: Duration,
        access: Access,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let failed =
            |e: std::io::Error| StoreError::Remote { action: "open", url: url.to_owned(), reason: e.to_string() };
        let runtime = runtime.map_err(failed)?;
        let (url, known, presence, watched) = (url.to_owned(), Mutex::new(None), Mutex::new(None), Mutex::default());
        Ok(Self(Arc::new(Inner { url, objects, prefix, runtime, known, lease, access, stop, presence, watched })))
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let place = self.place("format");
        let text = || format!("{FORMAT}\n").into_bytes();
        let found = match self.get(&place)? {
            Some((bytes, _)) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            None if !self.0.access.is_writing() => return Ok(()),
            None => {
                self.create(&place, text())?;
                FORMAT.to_string()
            }
        };
        match found.parse::<u32>() {
            Ok(n) if (1..=FORMAT).contains(&n) => {}
            _ => return Err(StoreError::NewerFormat { path: PathBuf::from(&self.0.url), found, expected: FORMAT }),
        }
        // It is there now, so that a service that keeps its conditions refuses this.
        if self.0.access.is_writing() && self.create(&place, text())? {
            return Err(StoreError::Remote {
                action: "share answers at",
                url: self.0.url.clone(),
                reason: "the service does not keep conditional puts (If-None-Match), so that machines would overwrite \
                         each other's answers"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Lets work go on until stopping was asked for.
    pub(crate) fn go_on(&self) -> Result<(), StoreError> {
        if self.0.stop.load(Ordering::Relaxed) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Names an object below the prefix, which is taken to the letter.
    pub(crate) fn place(&self, inner: &str) -> Path {
        let parts = self.0.prefix.as_ref().split('/').chain(inner.split('/')).filter(|part| !part.is_empty());
        let name = parts.collect::<Vec<_>>().join("/");
        Path::parse(&name).unwrap_or_else(|_| Path::from(name))
    }

    pub(crate) fn manifest_place(&self, fingerprint: &Fingerprint) -> Path {
        let hex = fingerprint.to_string();
        self.place(&format!("manifests/{}/{}.json", &hex[..2], &hex[2..]))
    }

    pub(crate) fn blob_place(&self, digest: &Digest) -> Path {
        let hex = digest.to_string();
        self.place(&format!("blobs/{}/{}", &hex[..2], &hex[2..]))
    }

    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.runtime.block_on(work)
    }

    /// Waits for a request, and gives it up when stopping is asked for.
    pub(crate) fn ask<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
        let stopped = async {
            while !self.0.stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        self.wait(async {
            let (work, stopped) = (std::pin::pin!(work), std::pin::pin!(stopped));
            match select(work, stopped).await {
                Either::Left((done, _)) => done,
                Either::Right(_) => Err(Error::Generic { store: "mlsm", source: "stopping was asked for".into() }),
            }
        })
    }

    pub(crate) fn failed(&self, action: &'static str, place: &Path, error: &Error) -> StoreError {
        if self.go_on().is_err() {
            return StoreError::Stopped;
        }
        let url = format!("{} ({place})", self.0.url);
        StoreError::Remote { action, url, reason: reason(error) }
    }

    /// Reads a small object and its version.
    pub(crate) fn get(&self, place: &Path) -> Result<Option<(Bytes, UpdateVersion)>, StoreError> {
        let read = self.ask(async {
            let found = self.0.objects.get(place).await?;
            // Both: which of the two a service compares is its own affair.
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            Ok((found.bytes().await?, version))
        });
        match read {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", place, &error)),
        }
    }

    /// Puts an object unless there is one; returns whether this one was put.
    fn create(&self, place: &Path, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let put = self.0.objects.put_opts(place, PutPayload::from(bytes), PutMode::Create.into());
        match self.ask(put) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", place, &error)),
        }
    }

    fn put(&self, place: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.ask(self.0.objects.put(place, PutPayload::from(bytes)));
        put.map(drop).map_err(|error| self.failed("write", place, &error))
    }

    fn has(&self, output: &Output) -> Result<bool, StoreError> {
        let place = self.blob_place(&output.digest);
        match self.ask(self.0.objects.head(&place)) {
            Ok(meta) => Ok(meta.size == output.bytes),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look up", &place, &error)),
        }
    }

    fn has_all(&self, manifest: &Manifest) -> Result<bool, StoreError> {
        for output in manifest.outputs.values() {
            if !self.has(output)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends one artifact.
    fn send_blob(&self, store: &Store, output: &Output) -> Result<(), StoreError> {
        let (place, blob) = (self.blob_place(&output.digest), store.open_blob(&output.digest)?);
        if blob.len() <= PART {
            return self.put(&place, blob.to_vec());
        }
        let sent = self.wait(self.upload(&place, &blob));
        sent.map_err(|error| self.failed("write", &place, &error))
    }

    /// Sends an artifact in parts. What was sent of one that does not come to its end is given up at the service, which
    /// would keep and charge for it.
    async fn upload(&self, place: &Path, bytes: &[u8]) -> object_store::Result<()> {
        let mut upload = self.0.objects.put_multipart(place).await?;
        for part in bytes.chunks(PART) {
            let sent = match self.go_on() {
                Ok(()) => upload.put_part(PutPayload::from(part.to_vec())).await,
                Err(_) => Err(Error::Generic { store: "mlsm", source: "stopping was asked for".into() }),
            };
            if let Err(error) = sent {
                let _ = upload.abort().await; // the first error says more
                return Err(error);
            }
        }
        match upload.complete().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    /// Sends those artifacts that are not there; returns how many bytes went.
    fn send_missing<'a>(&self, store: &Store, outputs: impl Iterator<Item = &'a Output>) -> Result<u64, StoreError> {
        let mut sent = 0;
        for output in outputs {
            self.go_on()?;
            if !self.has(output)? {
                self.send_blob(store, output)?;
                sent += output.bytes;
            }
        }
        Ok(sent)
    }

    /// Brings one artifact into a store; returns whether it was there.
    fn receive_blob(&self, store: &Store, output: &Output) -> Result<bool, StoreError> {
        let place = self.blob_place(&output.digest);
        let failed = |error: Error| self.failed("read", &place, &error);
        let found = match self.ask(self.0.objects.get(&place)) {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let mut writer = store.blob_writer()?;
        let mut parts = found.into_stream();
        while let Some(part) = self.ask(async { parts.next().await.transpose() }).map_err(failed)? {
            writer.write_all(&part).map_err(|e| {
                let path = store.blob_path(&output.digest);
                if e.kind() == std::io::ErrorKind::StorageFull { StoreError::Full { path } } else { unwritten(path, e) }
            })?;
        }
        match writer.finish_as(&output.digest)? {
            true => Ok(true),
            false => Err(StoreError::Damaged {
                digest: output.digest,
                path: PathBuf::from(format!("{} ({place})", self.0.url)),
            }),
        }
    }

    pub(crate) fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let place = self.place(folder);
        let listed = self.ask(self.0.objects.list(Some(&place)).try_collect());
        listed.map_err(|error| self.failed("list", &place, &error))
    }

    /// Removes objects; those that are gone already are no error.
    pub(crate) fn delete(&self, places: Vec<Path>) -> Result<(), StoreError> {
        let deleted = self.0.objects.delete_stream(stream::iter(places.into_iter().map(Ok)).boxed());
        for result in self.wait(deleted.collect::<Vec<_>>()) {
            match result {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("remove objects below", &self.place(""), &error)),
            }
        }
        Ok(())
    }

    /// Refuses when others may have taken this machine for dead: a collection may be removing what an answer counts on.
    fn check_presence(&self) -> Result<(), StoreError> {
        let presence = self.0.presence.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if presence.as_ref().is_none_or(Term::is_running) {
            return Ok(());
        }
        let reason = "the service could not be reached for longer than a machine that writes may be silent".to_owned();
        Err(StoreError::Remote { action: "share answers at", url: self.0.url.clone(), reason })
    }

    fn known(&self) -> MutexGuard<'_, Option<BTreeSet<Fingerprint>>> {
        self.0.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn unwritten(path: PathBuf, source: std::io::Error) -> StoreError {
    StoreError::Io { action: "write", path, source }
}

/// The innermost cause, which names what the service said.
fn reason(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() { error.to_string() } else { first.to_owned() }
}

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
