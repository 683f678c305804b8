//! The store's own files: what is read is written to the same bytes, and damage never gives another answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use mlsm_store::{Access, Fingerprint, Manifest, Request, RunRecord, Store, VerifyOptions};

/// Reads bytes as each of the store's records.
pub fn check_records(bytes: &[u8]) {
    if let Some(manifest) = Manifest::read(bytes) {
        let written = manifest.write();
        let again = Manifest::read(&written).expect("it was just written");
        assert_eq!(again.write(), written);
        assert_eq!(again.fingerprint, again.request.fingerprint());
    }
    if let Some(record) = RunRecord::read(bytes) {
        let written = record.write();
        assert_eq!(RunRecord::read(&written).expect("it was just written").write(), written);
    }
    if let Some(request) = Request::decode(bytes) {
        let again = Request::decode(&request.encode()).expect("it was just encoded");
        assert_eq!(again.fingerprint(), request.fingerprint());
    }
}

/// A store with one artifact.
struct Scene {
    _folder: tempfile::TempDir,
    root: PathBuf,
    fingerprint: Fingerprint,
    manifest: Vec<u8>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let root = folder.path().join("store");
    let store = Store::open(&root, Access::ReadWrite).expect("a new store");
    let request = Request { stage: "resize".to_owned(), version: 1, recipe: Vec::new(), inputs: Vec::new() };
    let outputs = BTreeMap::from([("pixels".to_owned(), store.put(b"84 by 84").expect("a blob"))]);
    let manifest = store.commit(request.clone(), outputs, BTreeMap::new()).expect("a manifest").write();
    Scene { _folder: folder, root, fingerprint: request.fingerprint(), manifest }
});

/// Puts the fingerprint and the manifest of the artifact in the place of `@F` and `@M`: no fuzzer guesses a digest.
fn filled(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while let Some(first) = rest.first() {
        match rest {
            [b'@', b'F', ..] => out.extend(SCENE.fingerprint.to_string().bytes()),
            [b'@', b'M', ..] => out.extend(&SCENE.manifest),
            _ => out.push(*first),
        }
        rest = &rest[if matches!(rest, [b'@', b'F' | b'M', ..]) { 2 } else { 1 }..];
    }
    out
}

/// Puts bytes in the place of one file of a store, and asks for its artifact.
pub fn check_folder(bytes: &[u8]) {
    let Some((place, body)) = bytes.split_first() else { return };
    let digits = SCENE.fingerprint.to_string();
    let name = match place % 4 {
        0 => "index.jsonl".to_owned(),
        1 => format!("manifests/{}/{}.json", &digits[..2], &digits[2..]),
        2 => "stat-cache.json".to_owned(),
        _ => "runs/r1.json".to_owned(),
    };
    let path = SCENE.root.join(name);
    let before = fs::read(&path).ok();
    fs::write(&path, filled(body)).expect("a file is written");
    let store = Store::open(&SCENE.root, Access::ReadOnly).expect("the store");
    if let Ok(Some(found)) = store.lookup(&SCENE.fingerprint) {
        assert_eq!(found.fingerprint, SCENE.fingerprint);
        assert!(place % 4 == 1 || found.write() == SCENE.manifest, "another answer than the manifest's");
    }
    let _ = store.runs().list();
    let _ = store.verify(&VerifyOptions::default());
    match before {
        Some(before) => fs::write(&path, before).expect("a file is written"),
        None => fs::remove_file(&path).expect("a file is removed"),
    }
}
