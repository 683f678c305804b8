//! A bucket is verified, repaired and collected.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use mlsm_remote::{Bucket, Peer};
use mlsm_store::{Access, Digest, Finding, GcOptions, GcPlan, Manifest, Pin, Store, Upstream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::{LEASE, bucket_over, commit, local, memory, on_each, request, run};

fn options(keep_runs: usize) -> GcOptions {
    let unrecorded_before = SystemTime::now() + Duration::from_secs(3600); // nothing is young
    GcOptions { keep_runs, runs_before: None, unrecorded_before, max_bytes: None, unused_before: None }
}

fn verify(bucket: &Bucket) -> Vec<Finding> {
    bucket.verify(&|_| ()).unwrap()
}

fn collect(bucket: &Bucket, waits: bool) -> Option<GcPlan> {
    let mut wait = || if waits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    bucket.apply_gc(&options(1), &mut wait).unwrap()
}

/// Puts an answer and a run that reached it.
fn send(bucket: &Bucket, run_id: &str, name: &str, bytes: &[u8]) -> Arc<Manifest> {
    let here = local();
    let manifest = commit(&here.store, name, bytes);
    bucket.send(&here.store, &manifest).unwrap();
    bucket.keep_run(&run(run_id, &[manifest.fingerprint])).unwrap();
    manifest
}

fn change(objects: &Arc<dyn ObjectStore>, place: &str, bytes: Option<&'static [u8]>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Path::from(place);
    match bytes {
        Some(bytes) => drop(runtime.block_on(objects.put(&place, PutPayload::from_static(bytes))).unwrap()),
        None => runtime.block_on(objects.delete(&place)).unwrap(),
    }
}

/// Where a digest or a fingerprint lies, without the prefix.
fn place(folder: &str, hex: &str, end: &str) -> String {
    format!("{folder}/{}/{}{end}", &hex[..2], &hex[2..])
}

#[test]
fn each_kind_of_object_damaged_or_gone_is_found_and_only_that_is_computed_again_after_the_repair() {
    on_each(|objects, prefix| {
        let bucket = bucket_over(objects, prefix);
        let manifest = send(&bucket, "r1", "a", b"bytes");
        assert_eq!(verify(&bucket), []);
        let blob = place("blobs", &Digest::of(b"bytes").to_string(), "");
        let answer = place("manifests", &manifest.fingerprint.to_string(), ".json");
        let path = |inner: &str| format!("memory:////{inner}").into();
        let fingerprint = manifest.fingerprint;
        let digest = Digest::of(b"bytes");
        let cases = [
            (blob.as_str(), Some(&b"bytez"[..]), vec![Finding::DamagedBlob { path: path(&blob) }]),
            (blob.as_str(), None, vec![Finding::MissingBlob { digest, manifest: path(&answer) }]),
            (answer.as_str(), Some(&b"{"[..]), vec![Finding::DamagedManifest { path: path(&answer) }]),
            (answer.as_str(), None, vec![Finding::MissingManifest { fingerprint, run_id: "r1".to_owned() }]),
            ("runs/r1.json", Some(&b"{"[..]), vec![Finding::DamagedRun { path: path("runs/r1.json") }]),
        ];
        for (inner, bytes, expected) in cases {
            change(objects, &format!("{prefix}/{inner}"), bytes);
            let found = verify(&bucket);
            assert_eq!(found, expected);
            bucket.repair(&found).unwrap();
            bucket.repair(&found).unwrap(); // another machine may have been faster
            // Another machine computes it again, and the bucket is whole.
            let machine = local();
            machine.store.connect(Box::new(bucket_over(objects, prefix)), None);
            let again = commit(&machine.store, "a", b"bytes");
            machine.store.runs().append(&run("r1", &[again.fingerprint])).unwrap();
            assert_eq!(verify(&bucket), [], "{inner}");
        }
    });
}

#[test]
fn what_only_dropped_runs_reach_is_collected_and_pins_keep() {
    on_each(|objects, prefix| {
        let bucket = bucket_over(objects, prefix);
        let old = send(&bucket, "r1", "old", b"old bytes");
        let new = send(&bucket, "r2", "new", b"new");
        bucket.pin("r1", Pin::Set).unwrap();
        assert!(bucket.plan_gc(&options(1)).unwrap().is_empty());
        bucket.pin("r1", Pin::Removed).unwrap();
        let plan = bucket.plan_gc(&options(1)).unwrap();
        assert_eq!((plan.manifests, plan.blobs, plan.dropped_runs), (1, 1, vec!["r1".to_owned()]));
        assert_eq!(plan.by_stage, BTreeMap::from([("old".to_owned(), 9)]));
        let young = GcOptions { unrecorded_before: SystemTime::UNIX_EPOCH, ..options(1) };
        send(&bucket, "r2", "unrecorded", b"of a run that was killed");
        bucket.keep_run(&run("r2", &[new.fingerprint])).unwrap();
        assert_eq!(bucket.plan_gc(&young).unwrap().manifests, 1);

        assert_eq!(collect(&bucket, false).unwrap().manifests, 2);
        assert_eq!((bucket.manifest(&old.fingerprint).unwrap(), verify(&bucket)), (None, vec![]));
        let there = local();
        assert_eq!(bucket.receive(&there.store, &new).unwrap(), Some(3));
        assert!(collect(&bucket, false).unwrap().is_empty());
    });
}

#[test]
fn a_collection_waits_for_those_who_write_unless_they_died_and_they_wait_for_it() {
    on_each(|objects, prefix| {
        let bucket = bucket_over(objects, prefix);
        send(&bucket, "r1", "old", b"old");
        send(&bucket, "r2", "new", b"new");
        let place = bucket.join().unwrap();
        assert!(collect(&bucket, false).is_none());
        drop(place);
        change(objects, &format!("{prefix}/writers/dead"), Some(b"elsewhere\n1\n2\n0 3\n"));
        let begun = Instant::now();
        assert_eq!(collect(&bucket, true).unwrap().manifests, 1);
        assert!(begun.elapsed() > LEASE, "it may have been alive");
        change(objects, &format!("{prefix}/locks/collect"), Some(b"elsewhere\n1\n2\n0 3\n"));
        let begun = Instant::now();
        drop(bucket.join().unwrap());
        assert!(begun.elapsed() > LEASE, "it may have been at work");
    });
}

#[test]
fn beside_machines_that_come_and_go_nothing_that_they_reach_is_removed() {
    let (objects, ended) = (memory(), AtomicBool::new(false));
    let (objects, ended) = (&objects, &ended);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                collect(&bucket_over(objects, "p"), false);
            }
        });
        for i in 0..40 {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("cache"), Access::ReadWrite).unwrap();
            let bucket = bucket_over(objects, "p");
            let place = bucket.join().unwrap();
            store.connect(Box::new(bucket), Some(place));
            let (own, same) = (commit(&store, &format!("own {i}"), &[i]), commit(&store, "same", b"same"));
            store.runs().append(&run(&format!("{i:03}"), &[own.fingerprint, same.fingerprint])).unwrap();
            let bucket = bucket_over(objects, "p");
            for manifest in [own, same] {
                let there = local();
                let found = bucket.manifest(&manifest.fingerprint).unwrap().expect("it was not removed");
                assert!(bucket.receive(&there.store, &found).unwrap().is_some());
            }
            drop(store);
        }
        ended.store(true, Ordering::Relaxed);
    });
    let bucket = bucket_over(objects, "p");
    assert_eq!(verify(&bucket), []);
    assert!(bucket.manifest(&request("own 39").fingerprint()).unwrap().is_some());
}
