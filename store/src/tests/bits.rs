//! Every bit of every file: what flips or is cut off is found by `verify` or changes nothing that is read.

use std::fs;
use std::path::PathBuf;

use super::*;

/// Everything that can be asked of the small store, as text; damage is told as such.
fn all_answers(store: &Store, photo: &Path) -> Vec<String> {
    let manifest = lookup(store, "a");
    let blob = store.open_blob(&Digest::of(b"bytes")).map(|blob| blob.to_vec());
    let checkpoint = store.load_checkpoint(&request("long work").fingerprint());
    vec![
        format!("{manifest:?}"),
        format!("{blob:?}"),
        format!("{checkpoint:?}"),
        format!("{:?}", store.runs().list()),
        format!("{:?}", store.stat_cache().unwrap().digest(photo)),
    ]
}

/// Makes a store that holds a file of each kind, and lists these files.
fn small_store(folder: &TempDir) -> (Store, PathBuf, Vec<PathBuf>) {
    let photo = folder.path().join("photo.jpg");
    fs::write(&photo, b"photo").unwrap();
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::options().write(true).open(&photo).unwrap().set_modified(past).unwrap();
    let store = open(folder);
    let outputs = BTreeMap::from([("out".to_owned(), store.put(b"bytes").unwrap())]);
    let provenance = BTreeMap::from([("device".to_owned(), "cpu".to_owned())]);
    let manifest = store.commit(request("a"), outputs, provenance).unwrap();
    store.save_checkpoint(&request("long work").fingerprint(), b"state").unwrap();
    store.runs().append(&run_of_units("r", "2026-01-01T00:00:00Z", [manifest.fingerprint])).unwrap();
    let summary = vec![("summary.json".to_owned(), TableSource::Bytes(b"{}".to_vec()))];
    store.publish_tables("r", &summary, Publication::OfRun).unwrap();
    let cache = store.stat_cache().unwrap();
    cache.digest(&photo).unwrap();
    cache.save().unwrap();
    let files = vec![
        store.blob_path(&Digest::of(b"bytes")),
        store.manifest_path(&manifest.fingerprint),
        store.root().join("index.jsonl"),
        store.root().join("checkpoints").join(request("long work").fingerprint().to_string()),
        store.root().join("runs/r.json"),
        store.root().join("stat-cache.json"),
    ];
    (store, photo, files)
}

/// Puts each variant of each file in its place and asks a store that is opened for reading, which mends nothing.
fn every(variants: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let folder = folder();
    let (store, photo, files) = small_store(&folder);
    let expected = all_answers(&store, &photo);
    for file in files {
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap(); // it may be read-only
        let mut found = 0;
        for damaged in variants(&whole) {
            fs::write(&file, &damaged).unwrap();
            let store = Store::open(store.root(), Access::ReadOnly).unwrap();
            let findings = store.verify(&VerifyOptions::default()).unwrap();
            let context = || format!("{}: {}", file.display(), String::from_utf8_lossy(&damaged));
            if findings.is_empty() {
                assert_eq!(all_answers(&store, &photo), expected, "{}", context());
            } else {
                found += 1;
                assert!(findings.iter().all(|f| f.path() == Some(file.as_path())), "{findings:?} {}", context());
            }
        }
        assert!(found > 0, "{} can be damaged", file.display());
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(all_answers(&store, &photo), expected);
}

#[test]
fn a_flipped_bit_anywhere_is_found_or_changes_nothing() {
    every(|whole| {
        let flipped = |at: usize| {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            bytes
        };
        (0..whole.len()).map(flipped).collect()
    });
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_found_or_changes_nothing() {
    every(|whole| (0..whole.len()).map(|length| whole[..length].to_vec()).collect());
}

#[test]
fn a_file_that_is_gone_is_found_or_missed_or_changes_nothing() {
    let folder = folder();
    let (store, photo, files) = small_store(&folder);
    let expected = all_answers(&store, &photo);
    for (kind, file) in files.iter().enumerate() {
        let whole = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        let read_only = Store::open(store.root(), Access::ReadOnly).unwrap();
        let manifest = files[1].clone();
        let findings = match kind {
            0 => vec![Finding::MissingBlob { digest: Digest::of(b"bytes"), manifest }],
            1 => vec![Finding::MissingManifest { fingerprint: request("a").fingerprint(), run_id: "r".to_owned() }],
            2 => vec![Finding::DamagedIndex { path: file.clone() }],
            4 => vec![Finding::MissingRun { run_id: "r".to_owned(), path: store.root().join("tables/runs/r") }],
            _ => Vec::new(), // nothing tells that there was a checkpoint or a cache
        };
        assert_eq!(read_only.verify(&VerifyOptions::default()).unwrap(), findings, "{}", file.display());
        let answers = all_answers(&read_only, &photo);
        let changed: Vec<_> = (0..answers.len()).filter(|i| answers[*i] != expected[*i]).collect();
        let expected: &[&[usize]] = &[&[0, 1], &[0], &[], &[2], &[3], &[]];
        assert_eq!(changed, expected[kind], "{}", file.display());
        fs::write(file, whole).unwrap();
    }
}
