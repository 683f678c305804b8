//! Tables for people: whole or as before, and no way back into the artifacts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn summary(text: &str) -> Vec<(String, TableSource<'static>)> {
    vec![("summary.json".to_owned(), TableSource::Bytes(text.into()))]
}

#[test]
fn published_tables_are_read_only_copies_below_their_run() {
    let folder = folder();
    let store = open(&folder);
    let output = store.put(b"rows").unwrap();
    let files = [("features/split=novel/node=a:b[k_shot=1]/1.parquet".to_owned(), TableSource::Blob(output.digest))];
    let published = store.publish_tables("r1", &files, Publication::Current).unwrap();
    assert_eq!(published, store.root().join("tables/runs/r1"));
    let path = store.root().join("tables/current").join(&files[0].0);
    assert_eq!(fs::read(&path).unwrap(), b"rows");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o222, 0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"an analyst's").unwrap();
    assert_eq!(&store.open_blob(&output.digest).unwrap()[..], b"rows");
}

#[test]
fn current_moves_only_when_asked_and_what_it_left_stays() {
    let folder = folder();
    let store = open(&folder);
    let current = || fs::read_to_string(store.root().join("tables/current/summary.json")).unwrap();
    store.publish_tables("r1", &summary("one"), Publication::Current).unwrap();
    store.publish_tables("r2", &summary("two"), Publication::OfRun).unwrap();
    assert_eq!(current(), "one");
    store.publish_tables("r3", &summary("three"), Publication::Current).unwrap();
    assert_eq!(current(), "three");
    store.publish_tables("r3", &summary("again"), Publication::Current).unwrap();
    assert_eq!(current(), "again");
    assert_eq!(fs::read_to_string(store.root().join("tables/runs/r1/summary.json")).unwrap(), "one");
    assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_publication_that_fails_leaves_what_was_there() {
    let folder = folder();
    let store = open(&folder);
    store.publish_tables("r1", &summary("one"), Publication::Current).unwrap();
    let mut files = summary("two");
    files.push(("gone.parquet".to_owned(), TableSource::Blob(Digest::of(b"gone"))));
    let error = store.publish_tables("r1", &files, Publication::Current).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert_eq!(fs::read_to_string(store.root().join("tables/current/summary.json")).unwrap(), "one");
    assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_written_bit_by_bit_is_listed_with_its_digest() {
    let folder = folder();
    let store = open(&folder);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
    let write = |out: &mut (dyn std::io::Write + Send)| {
        bytes
            .chunks(7777)
            .try_for_each(|some| out.write_all(some))
            .map_err(|e| StoreError::io("write", folder.path(), e))
    };
    let published = store
        .publish_tables("r1", &[("a/b.bin".to_owned(), TableSource::Written(&write))], Publication::Current)
        .unwrap();
    assert_eq!(fs::read(published.join("a/b.bin")).unwrap(), bytes);
    let read = || store.published(None).unwrap().unwrap().path("a/b.bin");
    assert!(read().is_ok());
    fs::set_permissions(published.join("a/b.bin"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(published.join("a/b.bin"), &bytes[1..]).unwrap();
    assert!(read().is_err());
}

#[test]
fn damaged_bytes_are_not_published() {
    let folder = folder();
    let store = open(&folder);
    let output = store.put(b"rows").unwrap();
    let path = store.blob_path(&output.digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"rowz").unwrap();
    let files = [("1.parquet".to_owned(), TableSource::Blob(output.digest))];
    let error = store.publish_tables("r1", &files, Publication::Current).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(!store.root().join("tables/current").exists());
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let folder = folder();
    let store = open(&folder);
    for relative in ["../out", "/tmp/out", "a/../../out", ""] {
        let files = [(relative.to_owned(), TableSource::Bytes(Vec::new()))];
        assert!(store.publish_tables("r", &files, Publication::Current).is_err(), "{relative}");
    }
    for run_id in ["..", "a/b", "", "/"] {
        assert!(store.publish_tables(run_id, &summary("x"), Publication::Current).is_err(), "{run_id}");
    }
    assert!(!store.root().join("tables/current").exists());
}

#[test]
fn a_published_table_that_was_changed_or_is_gone_is_found_and_set_aside_with_its_run() {
    let folder = folder();
    let store = open(&folder);
    store.runs().append(&run("r1", "2026-01-01T00:00:00Z")).unwrap();
    let published = store.publish_tables("r1", &summary("one"), Publication::Current).unwrap();
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), []);
    for (name, text) in
        [("summary.json", None), ("summary.json", Some("other")), (".contents", None), (".contents", Some("{}"))]
    {
        let file = published.join(name);
        fs::remove_file(&file).unwrap();
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let found = store.verify(&VerifyOptions::default()).unwrap();
        assert_eq!(found, [Finding::DamagedTables { path: published.clone(), file }]);
        store.repair(&found).unwrap();
        assert!(!published.exists() && store.verify(&VerifyOptions::default()).unwrap().is_empty());
        store.publish_tables("r1", &summary("one"), Publication::Current).unwrap();
    }
}

#[test]
fn tables_and_pins_of_a_run_without_its_record_are_found() {
    let folder = folder();
    let store = open(&folder);
    store.runs().append(&run("r1", "2026-01-01T00:00:00Z")).unwrap();
    let published = store.publish_tables("r1", &summary("one"), Publication::Current).unwrap();
    store.pin("r1", Pin::Set).unwrap();
    fs::remove_file(store.root().join("runs/r1.json")).unwrap();
    let found = store.verify(&VerifyOptions::default()).unwrap();
    let missing = |path| Finding::MissingRun { run_id: "r1".to_owned(), path };
    assert_eq!(found, [missing(published), missing(store.root().join("pins/r1"))]);
    store.repair(&found).unwrap();
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), []);
}
