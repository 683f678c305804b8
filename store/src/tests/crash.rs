//! The crash matrix: the same work is struck at every one of its steps in turn, in every way, and the store is opened
//! again. What was acknowledged must be there, what was not must be absent or whole, and the work must then succeed.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::*;
use crate::faults::{Fault, Power, under};

const LARGE: &[u8] = &[3; 1000];

/// What the work has been told is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Opened,
    First,
    Second,
    CheckpointA,
    CheckpointB,
    Cleared,
    Ran,
    Cached,
    Published,
    PublishedAgain,
}

fn long_work() -> Fingerprint {
    request("long work").fingerprint()
}

fn tables(version: &str) -> Vec<(String, TableSource<'static>)> {
    vec![
        ("features/split=base/1.parquet".to_owned(), TableSource::Blob(Digest::of(b"first"))),
        ("summary.json".to_owned(), TableSource::Bytes(version.into())),
    ]
}

fn work(root: &Path, done: &mut Vec<Done>) -> Result<(), StoreError> {
    let store = Store::open(root, Access::ReadWrite)?;
    done.push(Done::Opened);
    work_in(&store, done)
}

fn work_in(store: &Store, done: &mut Vec<Done>) -> Result<(), StoreError> {
    commit(store, "first", b"first")?;
    done.push(Done::First);
    let mut writer = store.blob_writer()?;
    for part in LARGE.chunks(400) {
        let written = writer.write_all(part);
        written.map_err(|e| StoreError::io("write", Path::new("blob"), e))?;
    }
    let outputs = BTreeMap::from([("large".to_owned(), writer.finish()?)]);
    store.commit(request("second"), outputs, BTreeMap::new())?;
    done.push(Done::Second);
    store.save_checkpoint(&long_work(), b"A")?;
    done.push(Done::CheckpointA);
    store.save_checkpoint(&long_work(), b"B")?;
    done.push(Done::CheckpointB);
    store.clear_checkpoint(&long_work())?;
    done.push(Done::Cleared);
    store.runs().append(&run("r1", "2026-01-01T00:00:00Z"))?;
    done.push(Done::Ran);
    let cache = store.stat_cache()?;
    cache.digest(&store.root().join("format"))?;
    cache.save()?;
    done.push(Done::Cached);
    store.publish_tables("r1", &tables("one"), Publication::Current)?;
    done.push(Done::Published);
    store.publish_tables("r1", &tables("two"), Publication::Current)?;
    done.push(Done::PublishedAgain);
    Ok(())
}

/// Holds the store against what was acknowledged.
fn check(store: &Store, done: &[Done], case: &str) {
    let was = |d: Done| done.contains(&d);
    for (name, bytes, step) in [("first", &b"first"[..], Done::First), ("second", LARGE, Done::Second)] {
        match lookup(store, name) {
            Some(manifest) => {
                let output = manifest.outputs.values().next().unwrap();
                assert_eq!(&store.open_blob(&output.digest).unwrap()[..], bytes, "{case}");
            }
            None => assert!(!was(step), "{case}: {name} was acknowledged and is gone"),
        }
    }
    let checkpoint = store.load_checkpoint(&long_work()).unwrap();
    let expected: &[Option<&[u8]>] = match done.last() {
        Some(Done::Second) => &[None, Some(b"A")],
        Some(Done::CheckpointA) => &[Some(b"A"), Some(b"B")],
        Some(Done::CheckpointB) => &[Some(b"B"), None],
        // A removal need not be durable: the checkpoint of finished work is only garbage.
        Some(d) if *d >= Done::Cleared => &[None, Some(b"B")],
        _ => &[None],
    };
    assert!(expected.contains(&checkpoint.as_deref()), "{case}: {checkpoint:?}");
    assert!(!was(Done::Ran) || store.runs().last("demo").unwrap().is_some(), "{case}");
    check_tables(store, done, case);
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), [], "{case}");
}

fn check_tables(store: &Store, done: &[Done], case: &str) {
    let current = store.root().join("tables/current");
    if fs::symlink_metadata(&current).is_err() {
        assert!(!done.contains(&Done::Published), "{case}: the published tables are gone");
        return;
    }
    let summary = fs::read_to_string(current.join("summary.json")).unwrap_or_else(|e| panic!("{case}: {e}"));
    match (done.contains(&Done::Published), done.contains(&Done::PublishedAgain)) {
        (_, true) => assert_eq!(summary, "two", "{case}"),
        (true, false) => assert!(summary == "one" || summary == "two", "{case}: {summary}"),
        (false, false) => assert_eq!(summary, "one", "{case}"),
    }
    assert_eq!(fs::read(current.join("features/split=base/1.parquet")).unwrap(), b"first", "{case}");
}

fn steps() -> usize {
    let folder = folder();
    let (result, steps, _) = under(None, || work(&folder.path().join("store"), &mut Vec::new()));
    result.unwrap();
    assert!(steps > 80, "the steps are counted: {steps}");
    steps
}

fn strike(fault: Fault, after: impl Fn(Power)) {
    for at in 0..steps() {
        let case = format!("{fault:?} at step {at}");
        let folder = folder();
        let (root, mut done) = (folder.path().join("store"), Vec::new());
        let (result, _, volatile) = under(Some((fault, at)), || work(&root, &mut done));
        // The last step may be the removal of garbage, whose failure concerns nobody.
        assert!(result.is_err() || done.last() == Some(&Done::PublishedAgain), "{case} was noticed");
        after(volatile);
        let store = open_at(&root);
        assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0, "{case}: garbage is swept");
        check(&store, &done, &case);
        let mut again = Vec::new();
        work_in(&store, &mut again).unwrap_or_else(|e| panic!("{case}, again: {e}"));
        check(&store, &again, &case);
    }
}

#[test]
fn a_process_that_dies_at_any_step_leaves_a_consistent_store() {
    strike(Fault::Death, drop);
}

#[test]
fn a_process_that_dies_within_any_write_leaves_a_consistent_store() {
    strike(Fault::Tear, drop);
}

#[test]
fn power_that_fails_at_any_step_takes_nothing_that_was_acknowledged() {
    strike(Fault::Death, Power::fails);
}

#[test]
fn power_that_fails_within_any_write_takes_nothing_that_was_acknowledged() {
    strike(Fault::Tear, Power::fails);
}

#[test]
fn a_full_disk_at_any_step_is_told_and_the_same_store_goes_on_afterwards() {
    for at in 0..steps() {
        let case = format!("full at step {at}");
        let folder = folder();
        let root = folder.path().join("store");
        let mut done = Vec::new();
        let (result, _, _) = under(Some((Fault::Full, at)), || work(&root, &mut done));
        if let Err(error) = result {
            // `Unwritable` is what a new folder says, whatever the reason.
            assert!(error.is_full(), "{case}: {error}");
        }
        let store = open_at(&root);
        check(&store, &done, &case);
        work_in(&store, &mut Vec::new()).unwrap_or_else(|e| panic!("{case}, again: {e}"));
    }
}
