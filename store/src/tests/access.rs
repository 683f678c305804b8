//! What a store is opened for, and what it refuses.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;

use mlsm_errors::Explain;

use super::*;

#[test]
fn reading_makes_no_store() {
    let folder = folder();
    let root = folder.path().join("store");
    assert!(matches!(Store::open(&root, Access::ReadOnly), Err(StoreError::NotFound { path }) if path == root));
    assert!(!root.exists());
}

#[test]
fn a_newer_or_unknown_format_is_refused_by_name_and_not_rewritten() {
    let folder = folder();
    drop(open(&folder));
    let root = folder.path().join("store");
    for found in ["2", "0", "banana", ""] {
        fs::write(root.join("format"), found).unwrap();
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let error = Store::open(&root, access).err().unwrap();
            assert!(
                matches!(&error, StoreError::NewerFormat { found: f, expected: FORMAT, .. } if f == found),
                "{error}"
            );
        }
        assert_eq!(fs::read_to_string(root.join("format")).unwrap(), found);
    }
}

#[test]
fn a_store_that_has_lost_its_format_is_told_from_a_folder_that_is_none() {
    let folder = folder();
    commit(&open(&folder), "a", b"bytes").unwrap();
    let root = folder.path().join("store");
    fs::remove_file(root.join("format")).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let error = Store::open(&root, access).err().unwrap();
        assert!(matches!(error, StoreError::LostFormat { .. }), "{error}");
    }
    fs::write(root.join("format"), "1\n").unwrap();
    assert!(lookup(&open(&folder), "a").is_some());
}

#[test]
fn a_folder_or_file_that_is_something_else_does_not_become_a_store() {
    let folder = folder();
    let root = folder.path().join("photos");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("bird.jpg"), b"x").unwrap();
    let error = Store::open(&root, Access::ReadWrite).err().unwrap();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    assert!(Store::open(&root.join("bird.jpg"), Access::ReadWrite).is_err());
}

#[test]
fn a_store_that_is_opened_for_reading_is_never_written() {
    let folder = folder();
    let output = commit(&open(&folder), "a", b"bytes").unwrap().outputs["out"];
    let store = Store::open(&folder.path().join("store"), Access::ReadOnly).unwrap();
    let key = request("a").fingerprint();
    let refused = [
        store.put(b"new").map(drop),
        store.blob_writer().map(drop),
        store.commit(request("b"), BTreeMap::new(), BTreeMap::new()).map(drop),
        store.save_checkpoint(&key, b"x"),
        store.clear_checkpoint(&key),
        store.runs().append(&run("r", "2026-01-01T00:00:00Z")),
        store.publish_tables("r", &[], Publication::Current).map(drop),
        store.note_use(&run("r", "1"), Recording::Kept).map(drop),
        store.forget_digest(Path::new("photo")),
        store.lock(&key, &mut |_| ControlFlow::Break(())).map(drop),
        store.repair(&[]),
    ];
    for (i, result) in refused.into_iter().enumerate() {
        assert!(matches!(result, Err(StoreError::Unwritable { .. })), "call {i}: {result:?}");
    }
    let cache = store.stat_cache().unwrap();
    cache.digest(&store.root().join("format")).unwrap();
    assert!(matches!(cache.save(), Err(StoreError::Unwritable { .. })));
    assert!(lookup(&store, "a").is_some());
    assert_eq!(&store.open_blob(&output.digest).unwrap()[..], b"bytes");
}

#[test]
fn reading_needs_no_index() {
    let folder = folder();
    commit(&open(&folder), "a", b"bytes").unwrap();
    let root = folder.path().join("store");
    fs::remove_file(root.join("index.jsonl")).unwrap();
    let store = Store::open(&root, Access::ReadOnly).unwrap();
    assert!(lookup(&store, "a").is_some() && lookup(&store, "a").is_some());
    assert_eq!(lookup(&store, "b"), None);
    assert!(!root.join("index.jsonl").exists());
}

#[test]
fn garbage_is_swept_only_when_nobody_writes() {
    let folder = folder();
    let store = open(&folder);
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"half").unwrap();
    drop(open(&folder)); // would sweep, were it alone
    writer.write_all(b" and half").unwrap();
    let output = writer.finish().unwrap();
    assert_eq!(&store.open_blob(&output.digest).unwrap()[..], b"half and half");
    let staging = store.root().join("staging");
    fs::write(durable::temporary(&staging), b"x").unwrap();
    fs::write(staging.join("thesis.tmp"), b"x").unwrap();
    fs::create_dir(staging.join("mine")).unwrap();
    drop(store);
    drop(open(&folder));
    let mut left: Vec<_> = fs::read_dir(&staging).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["mine", "thesis.tmp"], "only what the store named itself goes");
}

#[test]
fn an_abandoned_artifact_leaves_nothing() {
    let folder = folder();
    let store = open(&folder);
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0);
    assert!(matches!(store.open_blob(&Digest::of(b"half")), Err(StoreError::Missing { .. })));
}

#[test]
fn both_ways_of_writing_give_one_read_only_artifact() {
    use std::os::unix::fs::MetadataExt;
    let folder = folder();
    let store = open(&folder);
    for bytes in [&b""[..], b"bytes"] {
        let put = store.put(bytes).unwrap();
        let inode = fs::metadata(store.blob_path(&put.digest)).unwrap().ino();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(bytes).unwrap();
        assert_eq!(writer.finish().unwrap(), put);
        let stat = fs::metadata(store.blob_path(&put.digest)).unwrap();
        assert_eq!((stat.ino(), stat.mode() & 0o333), (inode, 0), "what is there is kept");
        assert_eq!(&store.open_blob(&put.digest).unwrap()[..], bytes);
    }
}

#[test]
fn an_error_of_the_system_is_told_from_a_full_disk_and_keeps_its_reason() {
    let path = std::path::PathBuf::from("/store");
    assert!(StoreError::io("write", &path, std::io::ErrorKind::StorageFull.into()).is_full());
    let io = StoreError::io("read", &path, std::io::Error::other("cable"));
    assert!(!io.is_full());
    let said = io.explain();
    assert_eq!((said.what.as_str(), said.why), ("cannot read /store", vec!["cable".to_owned()]));
}

/// Every file and folder below a place, with its bytes and time.
fn picture(folder: &Path) -> Vec<(std::path::PathBuf, Option<Vec<u8>>, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        let time = fs::symlink_metadata(&entry).unwrap().modified().unwrap();
        found.push((entry.clone(), fs::read(&entry).ok(), time));
        if entry.is_dir() {
            found.extend(picture(&entry));
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_that_only_looks_like_a_store_is_left_alone_by_all() {
    let folder = folder();
    for names in
        [&["staging/mine/thesis.txt", "tables/a"][..], &["runs/x"], &["format~"], &[".mlsm-store-is-being-made", "x"]]
    {
        let root = folder.path().join(Digest::of(names[0].as_bytes()).short());
        for name in names {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), b"mine").unwrap();
        }
        let before = picture(&root);
        for access in [Access::ReadOnly, Access::Existing, Access::ReadWrite] {
            let error = Store::open(&root, access).err().unwrap();
            assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
        }
        assert_eq!(picture(&root), before);
    }
}

#[test]
fn looking_at_a_store_changes_nothing_in_it_and_waits_for_nobody() {
    let folder = folder();
    let writer = open(&folder);
    commit(&writer, "a", b"bytes").unwrap();
    fs::write(durable::temporary(&writer.staging()), b"x").unwrap();
    drop(writer);
    let root = folder.path().join("store");
    let _collection = lock::try_take(&sweep::gate(&root), lock::Mode::Alone).unwrap().unwrap();
    let _alone = lock::try_take(&sweep::writers_lock(&root), lock::Mode::Alone).unwrap().unwrap();
    let before = picture(folder.path());
    let store = Store::open(&root, Access::ReadOnly).unwrap();
    assert!(lookup(&store, "a").is_some() && lookup(&store, "b").is_none());
    store.verify(&VerifyOptions::default()).unwrap();
    store
        .plan_gc(&GcOptions {
            keep_runs: 1,
            runs_before: None,
            unrecorded_before: std::time::SystemTime::now(),
            max_bytes: None,
            unused_before: None,
        })
        .unwrap();
    assert_eq!((store.runs().list().unwrap(), store.published(None).unwrap().is_none()), (vec![], true));
    assert_eq!(picture(folder.path()), before);
}

#[test]
fn a_store_is_made_in_an_absent_or_empty_folder_and_only_for_who_may_make_one() {
    let folder = folder();
    let absent = folder.path().join("absent/deep");
    assert!(Store::is_absent(&absent).unwrap() && Store::is_absent(folder.path()).unwrap());
    for access in [Access::ReadOnly, Access::Existing] {
        for place in [&absent, folder.path()] {
            assert!(matches!(Store::open(place, access), Err(StoreError::NotFound { .. })));
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let nothing = Store::absent(&absent);
    assert_eq!(
        (lookup(&nothing, "a"), nothing.runs().list().unwrap(), nothing.fingerprints().len()),
        (None, vec![], 0)
    );
    assert!(!absent.exists());
    commit(&open_at(folder.path()), "a", b"bytes").unwrap();
    assert!(!Store::is_absent(folder.path()).unwrap());
    assert!(lookup(&Store::open(folder.path(), Access::Existing).unwrap(), "a").is_some());
}

#[test]
fn a_store_whose_making_was_broken_off_is_made_by_the_next_who_may() {
    let folder = folder();
    let root = folder.path().join("store");
    fs::create_dir_all(root.join("staging")).unwrap();
    fs::write(root.join(".mlsm-store-is-being-made"), b"").unwrap();
    assert!(matches!(Store::open(&root, Access::ReadOnly), Err(StoreError::NotFound { .. })));
    commit(&open(&folder), "a", b"bytes").unwrap();
    assert!(!root.join(".mlsm-store-is-being-made").exists());
}

#[test]
fn racing_makers_of_one_store_all_get_it() {
    for _ in 0..20 {
        let folder = folder();
        std::thread::scope(|scope| {
            for i in 0..6 {
                let folder = &folder;
                scope.spawn(move || commit(&open(folder), &i.to_string(), b"bytes").unwrap());
            }
        });
        assert_eq!(open(&folder).fingerprints().len(), 6);
    }
}

#[test]
fn who_may_read_an_artifact_is_what_the_umask_says() {
    use std::os::unix::fs::MetadataExt;
    let folder = folder();
    let store = open(&folder);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let path = store.blob_path(&store.put(b"bytes").unwrap().digest);
    let ordinary = folder.path().join("ordinary");
    fs::write(&ordinary, b"x").unwrap();
    assert_eq!(mode(&path), mode(&ordinary) & 0o444);
}
