//! What was published is read as it was published, or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use super::*;

fn publish(folder: &TempDir) -> Store {
    let store = open(folder);
    let rows = store.put(b"rows of a table").unwrap();
    let files = [
        ("results/1.parquet".to_owned(), TableSource::Blob(rows.digest)),
        ("summary.json".to_owned(), TableSource::Bytes(b"{\"accuracy\":0.296}".to_vec())),
    ];
    store.runs().append(&run("r1", "1")).unwrap();
    store.publish_tables("r1", &files, Publication::Current).unwrap();
    store
}

#[test]
fn the_current_and_a_named_run_are_found_with_their_files() {
    let folder = folder();
    let store = publish(&folder);
    for run_id in [None, Some("r1")] {
        let published = store.published(run_id).unwrap().unwrap();
        assert_eq!(published.run_id(), "r1");
        assert_eq!(published.files().collect::<Vec<_>>(), ["results/1.parquet", "summary.json"]);
        assert_eq!(published.read("results/1.parquet").unwrap(), b"rows of a table");
        assert_eq!(fs::read(published.path("results/1.parquet").unwrap()).unwrap(), b"rows of a table");
    }
    assert!(store.published(Some("r2")).unwrap().is_none());
    assert!(store.published(Some("../runs")).is_err());
    assert_eq!(store.published_runs(), ["r1"]);
    assert!(open_at(&folder.path().join("other")).published(None).unwrap().is_none());
}

#[test]
fn no_flipped_bit_of_a_published_file_is_ever_read() {
    let folder = folder();
    let store = publish(&folder);
    let run = store.root().join("tables/runs/r1");
    for name in ["results/1.parquet", "summary.json", ".contents"] {
        let file = run.join(name);
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&file, flipped).unwrap();
            let read = store.published(None).map(|published| {
                let published = published.unwrap();
                [published.read("results/1.parquet").ok(), published.read("summary.json").ok()]
            });
            let expected = [Some(&b"rows of a table"[..]), Some(b"{\"accuracy\":0.296}")];
            match read {
                Ok(read) => assert!(
                    read.iter().zip(expected).all(|(read, whole)| read.is_none() || read.as_deref() == whole)
                        && (name == ".contents" || read.iter().any(Option::is_none)),
                    "bit {bit} of byte {at} of {name}"
                ),
                Err(error) => assert!(matches!(error, StoreError::DamagedTable { .. }), "{error}"),
            }
        }
        fs::write(&file, whole).unwrap();
    }
    assert!(store.published(None).unwrap().unwrap().path("summary.json").is_ok());
}

#[test]
fn a_file_that_was_added_is_not_read_and_one_that_is_gone_is_damage() {
    let folder = folder();
    let store = publish(&folder);
    let run = store.root().join("tables/runs/r1");
    fs::write(run.join("results/2.parquet"), b"more rows").unwrap();
    let published = store.published(None).unwrap().unwrap();
    assert!(!published.files().any(|file| file.contains("2.parquet")));
    assert!(published.read("results/2.parquet").is_err() && published.path("results/2.parquet").is_err());
    fs::remove_file(run.join("summary.json")).unwrap();
    assert!(matches!(published.read("summary.json"), Err(StoreError::DamagedTable { .. })));
}

/// As large as files are that are not read through again while nobody touches them.
const LARGE: usize = 16 << 20;

fn publish_large(folder: &TempDir) -> (Store, PathBuf) {
    let store = open(folder);
    let files = [("predictions/1.parquet".to_owned(), TableSource::Bytes(vec![7; LARGE]))];
    store.runs().append(&run("r1", "1")).unwrap();
    let published = store.publish_tables("r1", &files, Publication::Current).unwrap();
    (store, published)
}

fn is_whole(store: &Store) -> bool {
    store.published(None).unwrap().unwrap().path("predictions/1.parquet").is_ok()
}

#[test]
fn a_large_file_is_read_through_only_when_it_was_touched_or_rehashing_is_asked_for() {
    let folder = folder();
    let (store, published) = publish_large(&folder);
    // Another digest in the list is noticed by a reader of the file alone.
    let list = contents::list_of(&published);
    fs::remove_file(&list).unwrap();
    contents::write(&published, &[("predictions/1.parquet".to_owned(), Digest::of(b"others"))].into()).unwrap();
    assert!(is_whole(&store));
    store.rehash();
    assert!(!is_whole(&store));
}

#[test]
fn a_large_file_that_was_written_to_or_exchanged_is_damage_whatever_its_time() {
    let folder = folder();
    let (store, published) = publish_large(&folder);
    let file = published.join("predictions/1.parquet");
    let before = fs::metadata(&file).unwrap();
    let restore_time = || {
        let times = fs::FileTimes::new().set_modified(before.modified().unwrap());
        File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
    };
    assert!(is_whole(&store));
    let mut permissions = before.permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test")]
    permissions.set_readonly(false);
    fs::set_permissions(&file, permissions).unwrap();
    assert!(is_whole(&store), "touched, and read through");
    File::options().write(true).open(&file).unwrap().write_all(b"x").unwrap();
    restore_time();
    assert!(!is_whole(&store));
    fs::remove_file(&file).unwrap();
    fs::write(&file, vec![8; LARGE]).unwrap();
    restore_time();
    assert!(!is_whole(&store));
    fs::write(&file, vec![7; LARGE]).unwrap();
    assert!(is_whole(&store));
}

#[test]
fn a_damaged_list_of_untouched_files_is_found_and_vouches_for_nothing() {
    let folder = folder();
    let (store, published) = publish_large(&folder);
    let list = published.join(".untouched");
    let mut bytes = fs::read(&list).unwrap();
    bytes[30] ^= 1;
    fs::remove_file(&list).unwrap();
    fs::write(&list, bytes).unwrap();
    assert!(is_whole(&store));
    let found = store.verify(&VerifyOptions::default()).unwrap();
    assert_eq!(found, [Finding::DamagedTables { path: published.clone(), file: list }]);
    store.repair(&found).unwrap();
    assert!(store.verify(&VerifyOptions::default()).unwrap().is_empty());
}
