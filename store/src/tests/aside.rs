//! Only what was looked at is set aside, and what is there is kept only when it was looked at.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Replaces the bytes of an artifact by others of the same length.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn quarantined(store: &Store) -> usize {
    fs::read_dir(store.root().join("quarantine")).map_or(0, |entries| entries.count())
}

#[test]
fn a_repair_leaves_alone_what_was_made_anew_since_it_was_found() {
    let folder = folder();
    let store = open(&folder);
    let manifest = commit(&store, "a", b"bytes").unwrap();
    store.save_checkpoint(&request("long").fingerprint(), b"state").unwrap();
    store.runs().append(&run_of_units("r", "1", [manifest.fingerprint])).unwrap();
    let tables = vec![("summary.json".to_owned(), TableSource::Bytes(b"{}".to_vec()))];
    store.publish_tables("r", &tables, Publication::Current).unwrap();
    store.note_use(&run("r", "1"), Recording::Kept).unwrap();
    store
        .keep_dataset(&request("photos").fingerprint(), |folder| publish_file(&folder.join("1.jpg"), b"photo"))
        .unwrap();
    let photo = folder.path().join("photo");
    fs::write(&photo, b"photo").unwrap();
    let cache = store.stat_cache().unwrap();
    cache.digest(&photo).unwrap();
    cache.save().unwrap();
    let root = store.root();
    let dataset = root.join("datasets").join(request("photos").fingerprint().to_string());
    let uses = fs::read_dir(root.join("uses")).unwrap().next().unwrap().unwrap().path();
    // Everything is whole: what was found has been made anew meanwhile.
    let findings = [
        Finding::DamagedBlob { path: store.blob_path(&manifest.outputs["out"].digest) },
        Finding::DamagedManifest { path: store.manifest_path(&manifest.fingerprint) },
        Finding::DamagedCheckpoint { path: root.join("checkpoints").join(request("long").fingerprint().to_string()) },
        Finding::DamagedRun { path: root.join("runs/r.json") },
        Finding::DamagedUse { path: uses },
        Finding::MissingRun { run_id: "r".to_owned(), path: root.join("tables/runs/r") },
        Finding::DamagedStatCache { path: root.join("stat-cache.json") },
        Finding::DamagedDataset { path: dataset.clone(), file: dataset.join("photos/1.jpg") },
        Finding::DamagedTables { path: root.join("tables/runs/r"), file: root.join("tables/runs/r/summary.json") },
    ];
    store.repair(&findings).unwrap();
    assert_eq!(quarantined(&store), 0);
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), []);
    assert!(lookup(&store, "a").is_some() && store.load_checkpoint(&request("long").fingerprint()).unwrap().is_some());
}

#[test]
fn an_artifact_of_the_right_size_with_other_bytes_is_replaced_by_both_ways_of_writing() {
    let folder = folder();
    let store = open(&folder);
    let output = store.put(b"bytes").unwrap();
    let path = store.blob_path(&output.digest);
    for i in 0..2 {
        damage(&path);
        match i {
            0 => drop(store.put(b"bytes").unwrap()),
            _ => {
                let mut writer = store.blob_writer().unwrap();
                writer.write_all(b"bytes").unwrap();
                writer.finish().unwrap();
            }
        }
        assert_eq!(fs::read(&path).unwrap(), b"bytes");
        assert_eq!(quarantined(&store), i + 1);
    }
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"cut").unwrap();
    store.put(b"bytes").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"bytes", "and one that was cut off");
}

#[test]
fn repairs_beside_damage_and_remaking_never_take_a_whole_artifact_away() {
    let folder = folder();
    let output = open(&folder).put(b"bytes").unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (folder, ended) = (&folder, &ended);
        for _ in 0..2 {
            scope.spawn(move || {
                let store = open(folder);
                let finding = Finding::DamagedBlob { path: store.blob_path(&output.digest) };
                while !ended.load(Ordering::Relaxed) {
                    store.repair(std::slice::from_ref(&finding)).unwrap();
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            });
        }
        let store = open(folder);
        for i in 0..20 {
            if i % 2 == 0 && store.has(&output) {
                let path = store.blob_path(&output.digest);
                fs::write(folder.path().join("bad"), b"bytez").unwrap();
                fs::rename(folder.path().join("bad"), path).unwrap();
            }
            store.put(b"bytes").unwrap();
            for _ in 0..20 {
                assert!(store.has(&output), "round {i}: what `put` acknowledged stays");
                std::thread::yield_now();
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    for aside in fs::read_dir(folder.path().join("store/quarantine")).unwrap() {
        assert_ne!(fs::read(aside.unwrap().path()).unwrap(), b"bytes", "no whole artifact was set aside");
    }
}

#[test]
fn what_could_not_be_read_to_its_end_is_not_taken_for_damaged() {
    let folder = folder();
    let photos =
        open(&folder).keep_dataset(&request("a").fingerprint(), |folder| publish_file(&folder.join("1"), b"x"));
    let photos = photos.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let store =
        Store::open_with(&folder.path().join("store"), Access::ReadWrite, &Patience::new(stop.clone())).unwrap();
    stop.store(true, Ordering::SeqCst);
    assert!(matches!(store.dataset(&request("a").fingerprint()), Err(StoreError::Stopped)));
    assert!(matches!(store.verify(&VerifyOptions::default()), Err(StoreError::Stopped)));
    assert!(photos.join("1").exists() && quarantined(&store) == 0);
}
