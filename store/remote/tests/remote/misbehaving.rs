//! A service that ignores conditions, is out of reach, refuses credentials that have expired, loses answers, or breaks uploads off.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mlsm_errors::Explain;
use mlsm_remote::{Bucket, Peer};
use mlsm_store::{GcOptions, StoreError};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::{LEASE, bucket_over, commit, local, memory};

/// What a service does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It puts whatever it is given, on any condition.
    IgnoresConditions,
    IsOutOfReach,
    RefusesCredentials,
    /// It puts what it is given, and its answer is lost.
    LosesAnswers,
    /// It takes an upload's first part and no other.
    BreaksUploads,
}

/// A service whose fault can be changed while it is used.
#[derive(Debug)]
struct Service {
    inner: Arc<dyn ObjectStore>,
    fault: Mutex<Fault>,
    /// Uploads that were given up.
    given_up: Arc<AtomicUsize>,
}

impl Service {
    fn with(fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner: memory(), fault: Mutex::new(fault), given_up: Arc::default() })
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn answers(&self) -> Result<()> {
        match self.fault() {
            Fault::IsOutOfReach => Err(Error::Generic { store: "service", source: "no route to host".into() }),
            Fault::RefusesCredentials => {
                Err(Error::Unauthenticated { path: String::new(), source: "the token has expired".into() })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {}", self.fault(), self.inner)
    }
}

#[async_trait]
impl ObjectStore for Service {
    async fn put_opts(&self, at: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        self.answers()?;
        if self.fault() == Fault::IgnoresConditions {
            options.mode = PutMode::Overwrite;
        }
        let put = self.inner.put_opts(at, payload, options).await?;
        match self.fault() {
            Fault::LosesAnswers => Err(Error::Generic { store: "service", source: "the line went dead".into() }),
            _ => Ok(put),
        }
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.answers()?;
        let inner = self.inner.put_multipart_opts(at, options).await?;
        let breaks = self.fault() == Fault::BreaksUploads;
        Ok(Box::new(Upload { inner, parts: 0, breaks, given_up: self.given_up.clone() }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.answers()?;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.answers() {
            Ok(()) => self.inner.delete_stream(places),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.answers() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.answers()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.answers()?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload to a [`Service`].
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    parts: usize,
    breaks: bool,
    given_up: Arc<AtomicUsize>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts += 1;
        match self.breaks && self.parts > 1 {
            true => Box::pin(async { Err(Error::Generic { store: "service", source: "the line broke".into() }) }),
            false => self.inner.put_part(data),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.given_up.fetch_add(1, Ordering::SeqCst);
        self.inner.abort().await
    }
}

/// The service as a bucket, opened while it does nothing wrong.
fn bucket(service: &Arc<Service>) -> Bucket {
    let fault = service.fault();
    service.set(Fault::None);
    let objects: Arc<dyn ObjectStore> = service.clone();
    let bucket = bucket_over(&objects, "p");
    service.set(fault);
    bucket
}

#[test]
fn a_service_that_keeps_no_conditions_is_refused_by_name() {
    let service = Service::with(Fault::IgnoresConditions);
    for _ in 0..2 {
        // Whether it is new or has a store already.
        let objects: Arc<dyn ObjectStore> = service.clone();
        let opened = Bucket::over("service:///birds", Box::new(objects), Path::from("p"), LEASE);
        let said = opened.map(drop).expect_err("machines would overwrite each other's answers").explain();
        assert!(said.what.contains("service:///birds") && said.why.concat().contains("conditional puts"), "{said}");
    }
}

#[test]
fn what_cannot_be_shared_now_is_kept_and_shared_later() {
    for fault in [Fault::IsOutOfReach, Fault::RefusesCredentials] {
        let (service, here, there) = (Service::with(Fault::None), local(), local());
        here.store.connect(Box::new(bucket(&service)), None);
        commit(&here.store, "a", b"shared at once");
        service.set(fault);
        let kept = commit(&here.store, "b", b"kept");
        assert_eq!(&here.store.open_blob(&kept.outputs["out"].digest).unwrap()[..], b"kept", "{fault:?}");
        assert_eq!(here.store.pending(), [kept.fingerprint.to_string()], "{fault:?}");
        assert_eq!(here.store.offer_pending().unwrap(), 1, "it is still so");
        // Another machine is told why it gets nothing.
        there.store.connect(Box::new(bucket(&service)), None);
        let said = there.store.lookup(&kept.fingerprint).expect_err("nothing can be looked up").explain();
        let why = said.why.concat();
        assert!(why.contains("no route to host") || why.contains("expired"), "{said}");
        service.set(Fault::None);
        assert_eq!(here.store.offer_pending().unwrap(), 0);
        assert_eq!(there.store.lookup(&kept.fingerprint).unwrap().as_ref(), Some(&kept));
    }
}

#[test]
fn an_upload_that_breaks_is_given_up_at_the_service_and_sent_whole_later() {
    let (service, here, there) = (Service::with(Fault::BreaksUploads), local(), local());
    let bucket = bucket(&service);
    let large = commit(&here.store, "large", &vec![7; 40 << 20]);
    assert!(matches!(bucket.send(&here.store, &large), Err(StoreError::Remote { .. })));
    assert_eq!(service.given_up.load(Ordering::SeqCst), 1, "its parts would lie there, and cost");
    assert_eq!(bucket.manifest(&large.fingerprint).unwrap(), None);
    service.set(Fault::None);
    assert_eq!(bucket.send(&here.store, &large).unwrap().0, 40 << 20);
    assert_eq!(bucket.receive(&there.store, &large).unwrap(), Some(40 << 20));
    assert_eq!(service.given_up.load(Ordering::SeqCst), 1);
}

#[test]
fn who_writes_keeps_its_place_though_answers_to_its_renewals_are_lost() {
    let service = Service::with(Fault::None);
    let place = bucket(&service).join().unwrap();
    let collected = || {
        let unrecorded_before = SystemTime::now();
        let options =
            GcOptions { keep_runs: 1, runs_before: None, unrecorded_before, max_bytes: None, unused_before: None };
        // Whoever does not renew its place for longer than a lease is taken for dead.
        let begun = Instant::now();
        let mut wait = || match begun.elapsed() > 3 * LEASE {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        bucket_over(&service.inner, "p").apply_gc(&options, &mut wait).unwrap()
    };
    service.set(Fault::LosesAnswers);
    assert!(collected().is_none(), "it writes, as far as anybody knows");
    service.set(Fault::None);
    assert!(collected().is_none(), "it was never away");
    drop(place);
    assert!(collected().is_some());
}
