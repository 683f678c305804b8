//! What a peer promises, held against another folder, memory, and servers of S3, Google Cloud Storage and Azure.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests make files, measure and print")]

mod faulty;
mod leases;
mod misbehaving;
mod photos;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mlsm_errors::Explain;
use mlsm_remote::{Bucket, LocalPeer, Moved, Peer, Selection, pull, push};
use mlsm_store::{Access, Digest, Fingerprint, Manifest, Request, RunRecord, Store, StoreError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(1);

/// A new local store.
struct Local {
    store: Store,
    _folder: TempDir,
}

fn local() -> Local {
    let folder = tempfile::tempdir().unwrap();
    Local { store: Store::open(&folder.path().join("store"), Access::ReadWrite).unwrap(), _folder: folder }
}

fn request(name: &str) -> Request {
    Request { stage: name.to_owned(), version: 1, recipe: Vec::new(), inputs: Vec::new() }
}

/// Commits an answer with one artifact.
fn commit(store: &Store, name: &str, bytes: &[u8]) -> Arc<Manifest> {
    let outputs = BTreeMap::from([("out".to_owned(), store.put(bytes).unwrap())]);
    store.commit(request(name), outputs, BTreeMap::new()).unwrap()
}

fn run(run_id: &str, units: &[Fingerprint]) -> RunRecord {
    let node = serde_json::json!({
        "node": "n", "stage": "s", "outcome": "executed", "fingerprint": null, "outputs": {}, "seconds": 0.0, "reason": "",
        "units": units.iter().enumerate().map(|(i, f)| (i.to_string(), f.to_string())).collect::<BTreeMap<_, _>>(),
    });
    let record = serde_json::json!({
        "run_id": run_id, "started": run_id, "finished": run_id, "outcome": "ok", "config_name": "demo",
        "config_digest": Digest::of(b"config").to_string(), "version": "0", "device": "cpu", "nodes": [node],
    });
    serde_json::from_value(record).unwrap()
}

/// Objects in memory that several buckets can share.
fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn bucket_over(objects: &Arc<dyn ObjectStore>, prefix: &str) -> Bucket {
    Bucket::over("memory:///", Box::new(objects.clone()), Path::from(prefix), LEASE).unwrap()
}

/// Credentials and settings of a server, by its address.
type Options = fn(&str) -> Vec<(&'static str, String)>;

/// The services whose servers run beside the tests, by what their addresses are called in the environment.
const SERVICES: [(&str, &str, Options); 3] = [
    ("MLSM_TEST_S3", "s3://mlsm", |address| {
        let keys = ["aws_access_key_id", "aws_secret_access_key"].map(|key| (key, "test".to_owned()));
        let place = [("aws_endpoint", address.to_owned()), ("aws_region", "us-east-1".to_owned())];
        keys.into_iter().chain(place).collect()
    }),
    ("MLSM_TEST_GCS", "gs://mlsm", |address| {
        let account = serde_json::json!({
            "private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true, "gcs_base_url": address,
        });
        vec![("google_service_account_key", account.to_string())]
    }),
    ("MLSM_TEST_AZURE", "az://mlsm", |address| {
        // The account that every Azurite has: https://github.com/Azure/Azurite#default-storage-account
        let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
        let account = [("azure_storage_account_name", "devstoreaccount1"), ("azure_storage_account_key", key)];
        let place = ("azure_storage_endpoint", address.to_owned());
        account.map(|(name, value)| (name, value.to_owned())).into_iter().chain([place]).collect()
    }),
];

/// The objects of each server, under a prefix that no other test has.
fn services() -> Vec<(Arc<dyn ObjectStore>, String)> {
    static PREFIXES: AtomicU64 = AtomicU64::new(0);
    let mut services = Vec::new();
    for (variable, url, options) in SERVICES {
        let Some(address) = std::env::var(variable).ok().filter(|address| !address.is_empty()) else {
            println!("skipped on {url}: {variable} is not set");
            continue;
        };
        // Each bucket has a runtime of its own, and a connection dies with the runtime that opened it: none is kept.
        let shared =
            [("allow_http", "true"), ("pool_max_idle_per_host", "0")].map(|(key, value)| (key, value.to_owned()));
        let options = options(&address).into_iter().chain(shared);
        let (objects, _) = object_store::parse_url_opts(&url.parse().unwrap(), options).unwrap();
        let prefix = format!("t{}-{}", std::process::id(), PREFIXES.fetch_add(1, Ordering::Relaxed));
        services.push((Arc::from(objects), prefix));
    }
    services
}

/// Runs a test on memory and on each server that there is, side by side: most of the time they wait.
fn on_each(test: impl Fn(&Arc<dyn ObjectStore>, &str) + Sync) {
    std::thread::scope(|scope| {
        for (objects, prefix) in services().into_iter().chain([(memory(), "a/prefix".to_owned())]) {
            let test = &test;
            scope.spawn(move || test(&objects, &prefix));
        }
    });
}

/// What every peer promises.
fn conforms(peer: &dyn Peer) {
    let (here, there) = (local(), local());
    let manifest = commit(&here.store, "a", b"bytes");
    assert_eq!(peer.manifest(&manifest.fingerprint).unwrap(), None);
    assert_eq!(peer.send(&here.store, &manifest).unwrap(), (5, Manifest::clone(&manifest)));
    assert_eq!(peer.send(&here.store, &manifest).unwrap(), (0, Manifest::clone(&manifest)), "nothing is sent twice");
    assert!(peer.fingerprints().unwrap().contains(&manifest.fingerprint));

    let found = peer.manifest(&manifest.fingerprint).unwrap().unwrap();
    assert_eq!(found, *manifest);
    assert_eq!(peer.receive(&there.store, &found).unwrap(), Some(5));
    assert_eq!(peer.receive(&there.store, &found).unwrap(), Some(0), "nothing is brought twice");
    assert_eq!(&there.store.open_blob(&Digest::of(b"bytes")).unwrap()[..], b"bytes");

    let rival = local();
    let other = commit(&rival.store, "a", b"other bytes");
    let (_, standing) = peer.send(&rival.store, &other).unwrap();
    assert_eq!(standing, *manifest, "the first realisation stays");

    let large = commit(&here.store, "large", &vec![7; 40 << 20]);
    peer.send(&here.store, &large).unwrap();
    assert_eq!(peer.receive(&there.store, &large).unwrap(), Some(40 << 20));
    let empty = commit(&here.store, "empty", b"");
    peer.send(&here.store, &empty).unwrap();
    assert_eq!(peer.receive(&there.store, &empty).unwrap(), Some(0));

    let record = run("r1", &[manifest.fingerprint]);
    peer.keep_run(&record).unwrap();
    assert_eq!(peer.run("r1").unwrap(), Some(record));
    assert!(peer.runs().unwrap().contains("r1"));
    assert_eq!(peer.run("r2").unwrap(), None);
}

#[test]
fn a_folder_conforms() {
    conforms(&LocalPeer(local().store));
}

#[test]
fn memory_and_each_service_conform() {
    on_each(|objects, prefix| conforms(&bucket_over(objects, prefix)));
}

#[test]
fn damaged_artifacts_are_refused_and_missing_ones_make_the_answer_absent() {
    on_each(|objects, prefix| {
        let (bucket, here, there) = (bucket_over(objects, prefix), local(), local());
        let manifest = commit(&here.store, "a", b"bytes");
        bucket.send(&here.store, &manifest).unwrap();
        let hex = Digest::of(b"bytes").to_string();
        let place = Path::from(format!("{prefix}/blobs/{}/{}", &hex[..2], &hex[2..]));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(objects.put(&place, PutPayload::from_static(b"bytez"))).unwrap();
        assert!(matches!(bucket.receive(&there.store, &manifest), Err(StoreError::Damaged { .. })));
        assert!(!there.store.has(&manifest.outputs["out"]));
        runtime.block_on(objects.delete(&place)).unwrap();
        assert_eq!(bucket.receive(&there.store, &manifest).unwrap(), None);
        let moved = pull(&there.store, &bucket, &Selection::All, &|_, _| ()).unwrap();
        assert_eq!(moved, Moved { broken: 1, ..Moved::default() }, "what cannot be brought is told");
        let rival = local();
        let other = commit(&rival.store, "a", b"other bytes");
        let (_, standing) = bucket.send(&rival.store, &other).unwrap();
        assert_eq!(standing, *other, "an answer that is no longer whole gives way");
    });
}

#[test]
fn what_one_machine_computed_the_cache_of_another_finds() {
    on_each(|objects, prefix| {
        let machine = || {
            let machine = local();
            machine.store.connect(Box::new(bucket_over(objects, prefix)), None);
            machine
        };
        let (first, second) = (machine(), machine());
        let manifest = commit(&first.store, "a", b"bytes");
        first.store.runs().append(&run("r1", &[manifest.fingerprint])).unwrap();
        assert_eq!(second.store.lookup(&manifest.fingerprint).unwrap(), Some(manifest.clone()));
        assert_eq!(&second.store.open_blob(&Digest::of(b"bytes")).unwrap()[..], b"bytes");
        // Listed before it came: seen under the lock, as an engine looks before it computes.
        let later = commit(&first.store, "b", b"later");
        assert_eq!(second.store.lookup(&later.fingerprint).unwrap(), None);
        let guard = second.store.lock(&later.fingerprint, &mut |_| std::ops::ControlFlow::Break(())).unwrap();
        assert!(guard.is_some());
        assert_eq!(second.store.lookup(&later.fingerprint).unwrap(), Some(later));
        assert_eq!(bucket_over(objects, prefix).runs().unwrap().len(), 1);
    });
}

#[test]
fn what_a_cache_brings_at_once_it_has_when_the_service_is_gone() {
    on_each(|objects, prefix| {
        let (first, second) = (local(), local());
        first.store.connect(Box::new(bucket_over(objects, prefix)), None);
        let manifests: Vec<_> = (0..20).map(|i| commit(&first.store, &format!("{i}"), &[i; 100])).collect();
        second.store.connect(Box::new(bucket_over(objects, prefix)), None);
        let mut wanted: Vec<Fingerprint> = manifests.iter().map(|manifest| manifest.fingerprint).collect();
        wanted.push(request("nobody computed this").fingerprint());
        second.store.bring(wanted.iter().copied()).unwrap();
        let bucket = bucket_over(objects, prefix);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for fingerprint in bucket.fingerprints().unwrap() {
            let hex = fingerprint.to_string();
            let place = Path::from(format!("{prefix}/manifests/{}/{}.json", &hex[..2], &hex[2..]));
            runtime.block_on(objects.delete(&place)).unwrap();
        }
        for manifest in &manifests {
            let found = second.store.lookup(&manifest.fingerprint).unwrap();
            assert_eq!(found.as_ref(), Some(manifest));
            assert!(second.store.open_blob(&manifest.outputs["out"].digest).is_ok());
        }
        assert_eq!(second.store.lookup(wanted.last().unwrap()).unwrap(), None);
    });
}

#[test]
fn of_racing_realisations_one_wins_and_all_adopt_it() {
    on_each(|objects, prefix| {
        let machines: Vec<Local> = (0..8).map(|_| local()).collect();
        machines.iter().for_each(|m| m.store.connect(Box::new(bucket_over(objects, prefix)), None));
        let told: Vec<Manifest> = std::thread::scope(|scope| {
            let commits = machines.iter().enumerate().map(|(i, machine)| {
                scope.spawn(move || Manifest::clone(&*commit(&machine.store, "a", format!("by {i}").as_bytes())))
            });
            let commits: Vec<_> = commits.collect();
            commits.into_iter().map(|commit| commit.join().unwrap()).collect()
        });
        let standing = bucket_over(objects, prefix).manifest(&request("a").fingerprint()).unwrap().unwrap();
        for (machine, told) in machines.iter().zip(told) {
            assert_eq!(told, standing);
            assert!(machine.store.open_blob(&standing.outputs["out"].digest).is_ok());
        }
    });
}

#[test]
fn push_and_pull_move_what_is_missing_and_keep_what_is_in_use() {
    on_each(|objects, prefix| {
        let (bucket, here, there) = (bucket_over(objects, prefix), local(), local());
        let (a, b) = (commit(&here.store, "a", b"bytes of a"), commit(&here.store, "b", b"bytes of b"));
        here.store.runs().append(&run("r1", &[a.fingerprint])).unwrap();
        here.store.runs().append(&run("r2", &[b.fingerprint])).unwrap();
        let only = Selection::Runs(["r1".to_owned()].into());
        let moved = push(&here.store, &bucket, &only, &|_, _| ()).unwrap();
        assert_eq!(moved, Moved { manifests: 1, bytes: 10, runs: 1, ..Moved::default() });
        let moved = push(&here.store, &bucket, &Selection::All, &|_, _| ()).unwrap();
        assert_eq!(moved, Moved { manifests: 1, bytes: 10, kept: 1, runs: 1, ..Moved::default() });

        commit(&there.store, "a", b"another realisation");
        let moved = pull(&there.store, &bucket, &Selection::All, &|_, _| ()).unwrap();
        assert_eq!(moved, Moved { manifests: 1, bytes: 10, differing: 1, runs: 2, ..Moved::default() });
        let kept = there.store.lookup(&a.fingerprint).unwrap().unwrap();
        assert_eq!(&there.store.open_blob(&kept.outputs["out"].digest).unwrap()[..], b"another realisation");
        assert_eq!(there.store.lookup(&b.fingerprint).unwrap(), Some(b));
        assert_eq!(there.store.runs().list().unwrap().len(), 2);
    });
}

#[test]
fn a_place_that_cannot_be_used_is_named_with_what_to_do() {
    let options = [("aws_endpoint", "http://127.0.0.1:9"), ("aws_allow_http", "true"), ("aws_access_key_id", "x")];
    let options = options.into_iter().chain([("aws_secret_access_key", "x"), ("aws_region", "us-east-1")]);
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let Err(error) = Bucket::open("ftp://bucket/prefix", options.clone(), Access::ReadWrite, Arc::default()) else {
        panic!("no such scheme")
    };
    let said = error.explain();
    assert!(said.what.contains("ftp://bucket/prefix") && !said.why.is_empty(), "{said}");
    let newer = memory();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(newer.put(&Path::from("p/format"), PutPayload::from_static(b"9\n"))).unwrap();
    let refused = Bucket::over("memory:///", Box::new(newer), Path::from("p"), LEASE);
    assert!(matches!(refused, Err(StoreError::NewerFormat { found, .. }) if found == "9"));
}
