//! A service that fails: at each request in turn, before or after it did what was asked.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use mlsm_remote::{Bucket, Peer, Selection, pull, push};
use mlsm_store::{GcOptions, StoreError, VerifyOptions};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::{LEASE, commit, local, memory, request, run};

/// Fails one request; with `too_late` after it was done, as when an answer is lost on its way.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    calls: AtomicU64,
    at: u64,
    too_late: bool,
}

impl Faulty {
    async fn tried<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let is_struck = self.calls.fetch_add(1, Ordering::SeqCst) == self.at;
        let failed = || Error::Generic { store: "faulty", source: "the line went dead".into() };
        if is_struck && !self.too_late {
            return Err(failed());
        }
        let done = work.await;
        if is_struck { Err(failed()) } else { done }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.tried(self.inner.put_opts(at, payload, options)).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.tried(self.inner.put_multipart_opts(at, options)).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.tried(self.inner.get_opts(at, options)).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Does `work` with a service that fails at each request in turn, then again with one that does not.
fn strike(work: impl Fn(&Bucket) -> std::result::Result<(), StoreError>, check: impl Fn(&Bucket, &str)) {
    for too_late in [false, true] {
        for at in 0.. {
            let (inner, case) = (memory(), format!("request {at}, too late: {too_late}"));
            let faulty = Arc::new(Faulty { inner: inner.clone(), calls: AtomicU64::new(0), at, too_late });
            let over =
                |objects: Arc<dyn ObjectStore>| Bucket::over("faulty:///", Box::new(objects), Path::default(), LEASE);
            let result = over(faulty.clone()).and_then(|bucket| work(&bucket));
            if faulty.calls.load(Ordering::SeqCst) <= at {
                assert!(result.is_ok() && at > 4, "{case}: {result:?}");
                break;
            }
            if let Err(error) = result {
                assert!(matches!(error, StoreError::Remote { .. }), "{case}: {error}");
            }
            let bucket = over(inner).unwrap();
            work(&bucket).unwrap_or_else(|e| panic!("{case}, again: {e}"));
            check(&bucket, &case);
        }
    }
}

#[test]
fn a_push_that_failed_anywhere_goes_on_and_leaves_no_half_answer() {
    let here = local();
    let manifests = [commit(&here.store, "a", b"bytes of a"), commit(&here.store, "b", b"bytes of b")];
    here.store.runs().append(&run("r1", &[manifests[0].fingerprint])).unwrap();
    let work = |bucket: &Bucket| push(&here.store, bucket, &Selection::All, &|_, _| ()).map(drop);
    strike(work, |bucket, case| {
        let there = local();
        pull(&there.store, bucket, &Selection::All, &|_, _| ()).unwrap();
        for manifest in &manifests {
            assert_eq!(there.store.lookup(&manifest.fingerprint).unwrap().as_ref(), Some(manifest), "{case}");
        }
        assert_eq!(there.store.verify(&VerifyOptions::default()).unwrap(), [], "{case}");
        assert_eq!(bucket.runs().unwrap().len(), 1, "{case}");
    });
}

#[test]
fn a_cache_whose_service_failed_anywhere_ends_with_what_the_service_holds() {
    let work = |bucket: &Bucket| {
        let machine = local();
        machine.store.connect(Box::new(bucket.clone()), None);
        let fingerprint = request("a").fingerprint();
        let guard = machine.store.lock(&fingerprint, &mut |_| ControlFlow::Continue(()))?;
        let manifest = match machine.store.lookup(&fingerprint)? {
            Some(manifest) => manifest,
            None => {
                let outputs = [("out".to_owned(), machine.store.put(b"bytes")?)].into();
                machine.store.commit(request("a"), outputs, Default::default())?
            }
        };
        drop(guard);
        assert_eq!(&machine.store.open_blob(&manifest.outputs["out"].digest)?[..], b"bytes");
        assert_eq!(machine.store.verify(&VerifyOptions::default())?, []);
        Ok(())
    };
    strike(work, |bucket, case| {
        let there = local();
        let manifest = bucket.manifest(&request("a").fingerprint()).unwrap().unwrap();
        assert_eq!(bucket.receive(&there.store, &manifest).unwrap(), Some(5), "{case}");
    });
}

#[test]
fn a_collection_that_failed_anywhere_goes_on_and_removes_nothing_that_is_reached() {
    let here = local();
    let [old, new] = [commit(&here.store, "a", b"bytes of a"), commit(&here.store, "b", b"bytes of b")];
    here.store.runs().append(&run("r1", &[old.fingerprint])).unwrap();
    here.store.runs().append(&run("r2", &[new.fingerprint])).unwrap();
    let unrecorded_before = SystemTime::now() + Duration::from_secs(3600); // nothing is young
    let options =
        GcOptions { keep_runs: 1, runs_before: None, unrecorded_before, max_bytes: None, unused_before: None };
    let work = |bucket: &Bucket| {
        push(&here.store, bucket, &Selection::All, &|_, _| ())?;
        bucket.apply_gc(&options, &mut || ControlFlow::Continue(())).map(drop)
    };
    strike(work, |bucket, case| {
        assert_eq!(bucket.verify(&|_| ()).unwrap(), [], "{case}");
        assert_eq!(bucket.manifest(&old.fingerprint).unwrap(), None, "{case}");
        assert_eq!(bucket.receive(&local().store, &new).unwrap(), Some(10), "{case}");
    });
}
