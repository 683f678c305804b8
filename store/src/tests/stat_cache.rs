//! The stat cache spares reading, and never at the price of a wrong digest.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;

/// A file that was changed long ago.
fn old_file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("photo.jpg");
    fs::write(&path, bytes).unwrap();
    set_time(&path, 3600);
    path
}

fn set_time(path: &Path, seconds_ago: u64) {
    // A whole second, so that two calls give the same time.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now / 600 * 600 - seconds_ago);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn remember(store: &Store, path: &Path) -> Digest {
    let cache = store.stat_cache().unwrap();
    let (digest, bytes) = cache.digest(path).unwrap();
    assert_eq!(bytes, fs::metadata(path).unwrap().len());
    cache.save().unwrap();
    digest
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let folder = folder();
    let (store, path) = (open(&folder), old_file(&folder, b"one"));
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
    // In place, same size, same time: only reading could tell.
    fs::write(&path, b"two").unwrap();
    set_time(&path, 3600);
    assert_eq!(remember(&store, &path), Digest::of(b"one"), "so it was not read");
}

#[test]
fn another_time_size_or_inode_is_read_again() {
    let folder = folder();
    let (store, path) = (open(&folder), old_file(&folder, b"one"));
    remember(&store, &path);
    fs::write(&path, b"two").unwrap();
    set_time(&path, 3000);
    assert_eq!(remember(&store, &path), Digest::of(b"two"));
    fs::write(&path, b"three").unwrap();
    set_time(&path, 3000);
    assert_eq!(remember(&store, &path), Digest::of(b"three"));
    let other = folder.path().join("other");
    fs::write(&other, b"THREE").unwrap();
    set_time(&other, 3000);
    fs::rename(&other, &path).unwrap();
    assert_eq!(remember(&store, &path), Digest::of(b"THREE"));
}

#[test]
fn a_file_changed_within_two_seconds_of_its_entry_is_not_believed() {
    let folder = folder();
    let store = open(&folder);
    let path = folder.path().join("fresh");
    fs::write(&path, b"one").unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(remember(&store, &path), Digest::of(b"one"));
    fs::write(&path, b"two").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(remember(&store, &path), Digest::of(b"two"));
}

#[test]
fn a_damaged_cache_counts_as_empty_and_an_absent_file_is_an_error() {
    let folder = folder();
    let (store, path) = (open(&folder), old_file(&folder, b"one"));
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
    let (store, path) = (open(&folder), old_file(&folder, b"one"));
    remember(&store, &path);
    let file = store.root().join("stat-cache.json");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&file);
    remember(&store, &path);
    assert_eq!(inode(&file), before);
}
