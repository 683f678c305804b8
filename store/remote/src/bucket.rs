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
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::address::Address;
use crate::lease::Term;
use crate::look::Seen;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, TryStreamExt, stream};
use mlsm_store::{Access, Digest, FORMAT, Fingerprint, StoreError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use tokio::runtime::{Builder, Runtime};

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
    pub(crate) access: Access,
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
    pub(crate) fn create(&self, place: &Path, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let put = self.0.objects.put_opts(place, PutPayload::from(bytes), PutMode::Create.into());
        match self.ask(put) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", place, &error)),
        }
    }

    pub(crate) fn put(&self, place: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.ask(self.0.objects.put(place, PutPayload::from(bytes)));
        put.map(drop).map_err(|error| self.failed("write", place, &error))
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

    pub(crate) fn known(&self) -> MutexGuard<'_, Option<BTreeSet<Fingerprint>>> {
        self.0.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
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
