//! The manifest is the truth: whatever the index has kept of an earlier one, and wherever its replacement is struck.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::faults::{Fault, Power, under};

fn lose(store: &Store, bytes: &[u8]) {
    fs::remove_file(store.blob_path(&Digest::of(bytes))).unwrap();
}

fn index(store: &Store) -> PathBuf {
    store.root().join("index.jsonl")
}

/// Digest of the answer to "a", as a store that is opened now finds it.
fn answer(folder: &TempDir) -> Option<Digest> {
    lookup(&open(folder), "a").map(|m| m.outputs["out"].digest)
}

#[test]
fn an_answer_that_the_index_has_not_heard_of_is_read_from_its_manifest() {
    let folder = folder();
    let store = open(&folder);
    commit(&store, "a", b"old").unwrap();
    let before = fs::read(index(&store)).unwrap();
    lose(&store, b"old");
    commit(&store, "a", b"new").unwrap();
    fs::write(index(&store), before).unwrap();
    assert_eq!(answer(&folder), Some(Digest::of(b"new")));
    let read_only = Store::open(store.root(), Access::ReadOnly).unwrap();
    assert!(lookup(&read_only, "a").is_some());
}

#[test]
fn an_index_that_was_made_anew_is_read_anew() {
    // On the disk, where a new file readily gets the inode of one that is gone.
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(&folder), open(&folder));
    commit(&one, "a", b"old").unwrap();
    assert!(lookup(&one, "a").is_some());
    fs::remove_file(index(&one)).unwrap();
    fs::remove_file(one.manifest_path(&request("a").fingerprint())).unwrap();
    commit(&other, "b", b"other").unwrap();
    commit(&other, "a", b"new").unwrap();
    assert_eq!(lookup(&one, "a").unwrap().outputs["out"].digest, Digest::of(b"new"));
}

#[test]
fn an_index_that_is_gone_is_written_again() {
    let folder = folder();
    let store = open(&folder);
    for name in ["a", "b"] {
        commit(&store, name, name.as_bytes()).unwrap();
    }
    fs::remove_file(index(&store)).unwrap();
    assert!(lookup(&store, "a").is_some());
    assert_eq!(fs::read_to_string(index(&store)).unwrap().lines().count(), 2);
}

#[test]
fn a_damaged_manifest_is_answered_by_the_index_and_a_damaged_index_by_the_manifest() {
    let folder = folder();
    let store = open(&folder);
    let manifest = commit(&store, "a", b"bytes").unwrap();
    let path = store.manifest_path(&manifest.fingerprint);
    for file in [index(&store), path] {
        let whole = fs::read_to_string(&file).unwrap();
        fs::write(&file, whole.replace("\"out\"", "\"oat\"")).unwrap();
        assert_eq!(lookup(&open(&folder), "a"), Some(manifest.clone()), "{}", file.display());
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn racing_threads_that_replace_an_answer_all_receive_one() {
    let folder = folder();
    let stores = [open(&folder), open(&folder)];
    for round in 0..60_u8 {
        let name = format!("round {round}");
        commit(&stores[0], &name, &[round]).unwrap();
        lose(&stores[0], &[round]);
        let start = std::sync::Barrier::new(4);
        let race = |i: u8| {
            let store = &stores[usize::from(i % 2)];
            let outputs = BTreeMap::from([("out".to_owned(), store.put(&[round, i]).unwrap())]);
            start.wait();
            store.commit(request(&name), outputs, BTreeMap::new()).unwrap()
        };
        let found: Vec<_> = std::thread::scope(|scope| {
            let race = &race;
            let threads: Vec<_> = (0..4).map(|i| scope.spawn(move || race(i))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|manifest| *manifest == found[0]), "{found:?}");
        assert_eq!(lookup(&open(&folder), &name).as_ref(), Some(&found[0]));
    }
}

/// Strikes every step of replacing an answer whose artifact was lost, or whose manifest was.
fn strike(loses: impl Fn(&Store), fault: Fault, after: impl Fn(Power)) {
    for at in 0.. {
        let case = format!("{fault:?} at step {at}");
        let folder = folder();
        let store = open(&folder);
        commit(&store, "a", b"old").unwrap();
        loses(&store);
        let (result, steps, volatile) = under(Some((fault, at)), || commit(&store, "a", b"new"));
        drop(store);
        after(volatile);
        // The lost artifact comes back, so that the old answer would be whole as well.
        let store = open(&folder);
        store.put(b"old").unwrap();
        let path = store.manifest_path(&request("a").fingerprint());
        let truth = fs::read(path).ok().and_then(|bytes| Manifest::read(&bytes)).map(|m| m.outputs["out"].digest);
        assert_eq!(answer(&folder), truth, "{case}");
        assert!(result.is_err() || truth == Some(Digest::of(b"new")), "{case}: what was acknowledged is there");
        assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), [], "{case}");
        if at >= steps {
            assert!(result.is_ok() && at > 8, "{case}");
            return;
        }
    }
}

#[test]
fn a_replacement_that_is_struck_at_any_step_leaves_one_answer() {
    let blob = |store: &Store| lose(store, b"old");
    let manifest = |store: &Store| fs::remove_file(store.manifest_path(&request("a").fingerprint())).unwrap();
    for fault in [Fault::Death, Fault::Tear, Fault::Full] {
        strike(blob, fault, drop);
        strike(manifest, fault, drop);
    }
    for fault in [Fault::Death, Fault::Tear] {
        strike(blob, fault, Power::fails);
        strike(manifest, fault, Power::fails);
    }
}
