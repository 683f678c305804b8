//! The stat cache spares reading, and never at the price of a wrong digest.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;

const SECOND_NS: i64 = 1_000_000_000;

fn photo(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("photo.jpg");
    fs::write(&path, bytes).unwrap();
    set_time(&path, 3600);
    path
}

/// Sets the time that a program can set.
fn set_time(path: &Path, seconds_ago: u64) {
    // A whole second, so that two calls give the same time.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now / 600 * 600 - seconds_ago);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Asks the cache by a clock that is so many seconds ahead: the change time of a file cannot be set back.
fn remember_ahead(store: &Store, path: &Path, seconds: i64) -> Digest {
    let cache = StatCache::open_at(store, now_ns() + seconds * SECOND_NS);
    let (digest, bytes) = cache.digest(path).unwrap();
    assert_eq!(bytes, fs::metadata(path).unwrap().len());
    cache.save().unwrap();
    digest
}

/// Asks the cache ten seconds later than anything happened.
fn remember(store: &Store, path: &Path) -> Digest {
    remember_ahead(store, path, 10)
}

/// Makes the cache remember other bytes than a file has, to tell whether it is read.
fn lie(store: &Store) {
    let file = store.root().join("stat-cache.json");
    let text = fs::read_to_string(&file).unwrap();
    let lie = text.replace(&Digest::of(b"one").to_string(), &Digest::of(b"lie").to_string());
    let json = lie.split(",\"seal\"").next().unwrap();
    fs::write(&file, format!("{json}}}")).unwrap();
}

#[test]
fn an_unchanged_file_is_not_read_again_unless_that_is_asked_for() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
    lie(&store);
    assert_eq!(remember(&store, &path), Digest::of(b"lie"), "so it was not read");
    store.rehash();
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
    assert_eq!(remember(&open(&folder), &path), Digest::of(b"one"), "and that is remembered");
}

#[test]
fn a_file_changed_in_place_with_its_size_and_time_kept_is_read_again() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    remember(&store, &path);
    fs::write(&path, b"two").unwrap();
    set_time(&path, 3600);
    assert_eq!(remember(&store, &path), Digest::of(b"two"));
}

#[test]
fn another_file_in_its_place_is_read_whatever_its_times() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    remember(&store, &path);
    let other = folder.path().join("other");
    fs::write(&other, b"two").unwrap();
    set_time(&other, 3600);
    fs::rename(&other, &path).unwrap();
    assert_eq!(remember(&store, &path), Digest::of(b"two"));
    fs::write(&path, b"three").unwrap();
    set_time(&path, 3600);
    assert_eq!(remember(&store, &path), Digest::of(b"three"));
}

#[test]
fn a_time_in_the_future_and_a_clock_that_was_set_back_are_not_believed() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    let future = SystemTime::now() + Duration::from_secs(86_400);
    File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
    remember(&store, &path);
    lie(&store);
    assert_eq!(remember(&store, &path), Digest::of(b"one"), "a file of tomorrow");
    set_time(&path, 3600);
    remember_ahead(&store, &path, 7200);
    lie(&store);
    assert_eq!(remember(&store, &path), Digest::of(b"one"), "an entry of a later hour");
}

#[test]
fn what_a_stage_contradicts_is_forgotten() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    remember(&store, &path);
    lie(&store);
    store.forget_digest(&path).unwrap();
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
}

#[test]
fn two_that_save_at_once_keep_the_entries_of_both() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    let other = folder.path().join("other");
    fs::write(&other, b"two").unwrap();
    let caches = [StatCache::open_at(&store, now_ns()), StatCache::open_at(&store, now_ns())];
    caches[0].digest(&path).unwrap();
    caches[1].digest(&other).unwrap();
    caches.iter().for_each(|cache| cache.save().unwrap());
    let text = fs::read_to_string(store.root().join("stat-cache.json")).unwrap();
    assert!(text.contains("photo.jpg") && text.contains("other"), "{text}");
}

#[test]
fn a_file_changed_within_two_seconds_of_its_entry_is_not_believed() {
    let folder = folder();
    let store = open(&folder);
    let path = folder.path().join("fresh");
    fs::write(&path, b"one").unwrap();
    assert_eq!(remember_ahead(&store, &path, 0), Digest::of(b"one"));
    lie(&store);
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
}

#[test]
fn a_damaged_cache_counts_as_empty_and_an_absent_file_is_an_error() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    remember(&store, &path);
    fs::write(store.root().join("stat-cache.json"), b"{\"").unwrap();
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
    fs::remove_file(&path).unwrap();
    let error = store.stat_cache().unwrap().digest(&path).unwrap_err();
    assert!(matches!(error, StoreError::Io { action: "read", .. }), "{error}");
}

#[test]
fn nothing_new_writes_nothing() {
    let folder = folder();
    let (store, path) = (open(&folder), photo(&folder, b"one"));
    remember(&store, &path);
    let file = store.root().join("stat-cache.json");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&file);
    remember(&store, &path);
    assert_eq!(inode(&file), before);
}

#[test]
fn a_file_in_an_object_store_is_known_by_its_version_and_size() {
    let folder = folder();
    let store = open(&folder);
    let object =
        |bytes: u64, version: &str| Object { path: "owl/1.jpg".to_owned(), bytes, version: version.to_owned() };
    let (digest, cache) = (Digest::of(b"one"), store.stat_cache().unwrap());
    cache.keep_object("s3://birds", &object(3, "a"), (digest, 3));
    cache.keep_object("s3://gulls", &object(3, "a"), (digest, 4)); // it changed between the listing and the reading
    cache.keep_object("s3://auks", &object(3, ""), (digest, 3));
    cache.save().unwrap();
    let cache = store.stat_cache().unwrap();
    assert_eq!(cache.object("s3://birds", &object(3, "a")), Some(digest));
    for (address, other) in [
        ("s3://birds", object(3, "b")),
        ("s3://birds", object(4, "a")),
        ("s3://gulls", object(3, "a")),
        ("s3://auks", object(3, "")),
    ] {
        assert_eq!(cache.object(address, &other), None, "{address} {other:?}");
    }
    assert!(crate::stat_cache::outdated(&store).is_empty(), "a collection asks no service");
    store.forget_digest(Path::new("s3://birds/owl/1.jpg")).unwrap();
    assert_eq!(store.stat_cache().unwrap().object("s3://birds", &object(3, "a")), None);
}
