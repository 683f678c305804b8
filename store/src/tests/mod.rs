//! Tests of the store as a whole: what its users see, and what a crash, damage and other processes leave of it.

mod access;
mod aside;
mod bits;
mod crash;
mod damage;
mod datasets;
mod fixture;
mod gc;
mod locks;
mod lookup;
mod published;
mod stat_cache;
mod tables;
mod truth;
mod upstream;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::*;

/// A folder in memory where there is one: the crash matrix makes some ten thousand syncs.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(folder: &TempDir) -> Store {
    open_at(&folder.path().join("store"))
}

fn open_at(root: &Path) -> Store {
    Store::open(root, Access::ReadWrite).unwrap()
}

fn request(name: &str) -> Request {
    let recipe = vec![Field { key: "name".to_owned(), value: Value::from(name) }];
    Request { stage: "test".to_owned(), version: 1, recipe, inputs: Vec::new() }
}

/// Commits the answer `bytes` to `request(name)`.
fn commit(store: &Store, name: &str, bytes: &[u8]) -> Result<Arc<Manifest>, StoreError> {
    let outputs = BTreeMap::from([("out".to_owned(), store.put(bytes)?)]);
    store.commit(request(name), outputs, BTreeMap::new())
}

/// Looks a request up in both ways, which must agree.
fn lookup(store: &Store, name: &str) -> Option<Arc<Manifest>> {
    let fingerprint = request(name).fingerprint();
    let (answer, manifest) = (store.answer(&fingerprint).unwrap(), store.lookup(&fingerprint).unwrap());
    assert_eq!(answer.as_deref(), manifest.as_deref().map(Answer::from).as_ref());
    manifest
}

fn run(run_id: &str, started: &str) -> RunRecord {
    RunRecord {
        run_id: run_id.to_owned(),
        started: started.to_owned(),
        finished: started.to_owned(),
        outcome: "ok".to_owned(),
        config_name: "demo".to_owned(),
        config_digest: Digest::of(b"config"),
        version: "0".to_owned(),
        device: "cpu".to_owned(),
        is_whole: true,
        nodes: Vec::new(),
    }
}

/// A run of one node with these units.
fn run_of_units<const N: usize>(run_id: &str, started: &str, units: [Fingerprint; N]) -> RunRecord {
    let text = String::new;
    let (node, stage, outcome, reason) = (text(), text(), text(), text());
    let units = units.into_iter().enumerate().map(|(i, fingerprint)| (i.to_string(), fingerprint)).collect();
    let (fingerprint, outputs, seconds) = (None, BTreeMap::new(), 0.0);
    let node = NodeRecord { node, stage, outcome, fingerprint, outputs, seconds, reason, units };
    RunRecord { nodes: vec![node], ..run(run_id, started) }
}
