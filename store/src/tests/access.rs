//! What a store is opened for, and what it refuses.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;

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
        assert!(matches!(error, StoreError::LostFormat { .. }) && error.to_string().contains("fix: "), "{error}");
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
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
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
        store.publish_tables("r", &[], true).map(drop),
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
    fs::write(store.root().join("staging/garbage.tmp"), b"x").unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0);
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
        assert_eq!((stat.ino(), stat.mode() & 0o777), (inode, 0o444), "what is there is kept");
        assert_eq!(&store.open_blob(&put.digest).unwrap()[..], bytes);
    }
}

#[test]
fn errors_say_what_why_and_how_to_fix() {
    let path = std::path::PathBuf::from("/store");
    let errors = [
        StoreError::NotFound { path: path.clone() },
        StoreError::Unwritable { path: path.clone(), reason: "no".to_owned() },
        StoreError::NewerFormat { path: path.clone(), found: "2".to_owned(), expected: 1 },
        StoreError::Damaged { digest: Digest::of(b""), path: path.clone() },
        StoreError::Missing { digest: Digest::of(b"") },
        StoreError::Full { path: path.clone() },
        StoreError::NoRoom { path: path.clone(), needed: 9, free: 3 },
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("\n  why: ") && text.contains("\n  fix: "), "{text}");
        assert_eq!(error.is_full(), matches!(error, StoreError::Full { .. } | StoreError::NoRoom { .. }));
    }
    let io = StoreError::io("read", &path, std::io::Error::other("cable"));
    assert_eq!(io.to_string(), "cannot read /store", "the source is printed by who prints the chain");
    assert_eq!(std::error::Error::source(&io).unwrap().to_string(), "cable");
}
