//! Collection: what is reached stays, what is not goes, and never beside a writer.

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::*;

fn options(keep_runs: usize) -> GcOptions {
    let unrecorded_before = SystemTime::now() + Duration::from_secs(3600); // nothing is young
    GcOptions { keep_runs, runs_before: None, unrecorded_before, max_bytes: None, unused_before: None }
}

/// Commits artifacts and records a run that made them.
fn run_of<const N: usize>(store: &Store, run_id: &str, made: [(&str, &[u8]); N]) {
    let units = made.map(|(name, bytes)| commit(store, name, bytes).unwrap().fingerprint);
    store.runs().append(&run_of_units(run_id, run_id, units)).unwrap();
}

fn collect(folder: &TempDir, options: &GcOptions) -> Option<GcPlan> {
    let store = Store::open(&folder.path().join("store"), Access::ReadOnly).unwrap();
    store.apply_gc(options, &mut || ControlFlow::Break(())).unwrap()
}

#[test]
fn what_only_dropped_runs_reach_goes_and_shared_bytes_stay() {
    let folder = folder();
    let store = open(&folder);
    run_of(&store, "1", [("old", b"old bytes"), ("both", b"both")]);
    run_of(&store, "2", [("new", b"shared"), ("both", b"both")]);
    run_of(&store, "3", [("newest", b"shared")]);
    let plan = store.plan_gc(&options(2)).unwrap();
    assert_eq!((plan.dropped_runs.clone(), plan.manifests, plan.blobs), (vec!["1".to_owned()], 1, 1));
    assert_eq!(plan.by_stage, BTreeMap::from([("test".to_owned(), 9)]));
    drop(store);
    assert!(!collect(&folder, &options(2)).unwrap().is_empty());
    let store = open(&folder);
    assert!(lookup(&store, "old").is_none());
    for name in ["both", "new", "newest"] {
        assert!(lookup(&store, name).is_some(), "{name}");
    }
    assert!(store.verify(&VerifyOptions::default()).unwrap().is_empty());
    drop(store);
    assert!(collect(&folder, &options(2)).unwrap().is_empty());
}

#[test]
fn a_pinned_run_keeps_what_it_reaches_until_it_is_unpinned() {
    let folder = folder();
    let store = open(&folder);
    run_of(&store, "1", [("old", b"old")]);
    run_of(&store, "2", [("new", b"new")]);
    store.pin("1", Pin::Set).unwrap();
    assert!(store.plan_gc(&options(1)).unwrap().is_empty());
    store.pin("1", Pin::Removed).unwrap();
    assert_eq!(store.plan_gc(&options(1)).unwrap().dropped_runs, ["1"]);
    assert!(store.pin("../1", Pin::Set).is_err());
}

#[test]
fn the_work_of_a_killed_run_is_kept_while_it_is_young_and_imports_always() {
    let folder = folder();
    let store = open(&folder);
    commit(&store, "unrecorded", b"work").unwrap();
    let import = Request { stage: "weights".to_owned(), ..request("imported") };
    let outputs = BTreeMap::from([("out".to_owned(), store.put(b"weights").unwrap())]);
    store.commit(import, outputs, BTreeMap::new()).unwrap();
    let young = GcOptions { unrecorded_before: SystemTime::now() - Duration::from_secs(3600), ..options(1) };
    assert!(store.plan_gc(&young).unwrap().is_empty());
    let plan = store.plan_gc(&options(1)).unwrap();
    assert_eq!((plan.manifests, plan.blobs), (1, 1));
}

#[test]
fn runs_are_dropped_oldest_first_until_the_size_fits_and_the_last_stays() {
    let folder = folder();
    let store = open(&folder);
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        run_of(&store, &i.to_string(), [(name, &[i as u8; 100])]);
    }
    let sized = |most| store.plan_gc(&GcOptions { max_bytes: Some(most), ..options(9) }).unwrap();
    assert!(sized(300).is_empty());
    assert_eq!(sized(250).dropped_runs, ["0"]);
    assert_eq!(sized(0).dropped_runs, ["0", "1"]);
    let recent = GcOptions { runs_before: Some("1".to_owned()), ..options(1) };
    assert_eq!(store.plan_gc(&recent).unwrap().dropped_runs, ["0"]);
}

#[test]
fn a_collection_waits_for_writers() {
    let folder = folder();
    let store = open(&folder);
    run_of(&store, "1", [("old", b"old")]);
    assert!(collect(&folder, &options(1)).is_none());
    drop(store);
    assert!(collect(&folder, &options(1)).is_some());
}

#[test]
fn beside_runs_that_come_and_go_nothing_that_is_reached_is_ever_removed() {
    let folder = folder();
    drop(open(&folder));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (folder, ended) = (&folder, &ended);
        for collector in 0..2u64 {
            scope.spawn(move || {
                let mut state = collector + 1;
                while !ended.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    std::thread::sleep(Duration::from_micros(state >> 54));
                    collect(folder, &options(1));
                }
            });
        }
        for i in 0..100u32 {
            let store = open(folder);
            let (own, bytes) = (format!("own {i}"), i.to_le_bytes());
            run_of(&store, &format!("{i:03}"), [(&own, &bytes), ("same", b"same")]);
            for name in [own.as_str(), "same"] {
                let manifest = lookup(&store, name).unwrap_or_else(|| panic!("{name} is gone"));
                assert!(store.open_blob(&manifest.outputs["out"].digest).is_ok(), "{name}");
            }
            drop(store);
            if i % 3 == 0 {
                std::thread::sleep(Duration::from_micros(u64::from(i) * 7));
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    let store = open(&folder);
    assert!(lookup(&store, "own 99").is_some() && lookup(&store, "same").is_some());
    assert!(store.verify(&VerifyOptions::default()).unwrap().is_empty());
}

#[test]
fn photos_checkpoints_and_what_was_set_aside_go_when_nothing_needs_them() {
    let folder = folder();
    let store = open(&folder);
    for (name, photo) in [("kept", b"photo of it"), ("gone", b"photo, not!")] {
        let make = |folder: &Path| publish_file(&folder.join("1.jpg"), photo);
        store.keep_dataset(&request(name).fingerprint(), make).unwrap();
        store.save_checkpoint(&request(name).fingerprint(), b"state").unwrap();
    }
    let inputs = vec![Input { name: "photo".to_owned(), digest: Digest::of(b"photo of it") }];
    let of_photo = Request { inputs, ..request("kept") };
    let answer = store.commit(of_photo, BTreeMap::new(), BTreeMap::new()).unwrap();
    store.runs().append(&run_of_units("1", "1", [answer.fingerprint])).unwrap();
    let aside = store.put(b"aside").unwrap();
    // It counts when it was set aside, not when it was written.
    let path = store.blob_path(&aside.digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"asidE").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    store.repair(&[Finding::DamagedBlob { path }]).unwrap();
    drop(store);
    let young = GcOptions { unrecorded_before: SystemTime::now() - Duration::from_secs(3600), ..options(1) };
    assert!(collect(&folder, &young).unwrap().is_empty());
    let removed = collect(&folder, &options(1)).unwrap();
    let folders: Vec<&str> = removed.by_folder.keys().map(String::as_str).collect();
    assert_eq!((folders, removed.doomed_paths.len()), (vec!["checkpoints", "datasets", "locks", "quarantine"], 6));
    let store = open(&folder);
    assert!(store.dataset(&request("kept").fingerprint()).unwrap().is_some());
    assert_eq!(store.dataset(&request("gone").fingerprint()).unwrap(), None);
}

#[test]
fn a_collection_leaves_an_index_of_what_it_kept() {
    let folder = folder();
    let store = open(&folder);
    run_of(&store, "1", [("old", b"old")]);
    run_of(&store, "2", [("new", b"new")]);
    drop(store);
    collect(&folder, &options(1)).unwrap();
    let index = fs::read_to_string(folder.path().join("store/index.jsonl")).unwrap();
    assert_eq!(index.lines().count(), 1);
    assert!(index.starts_with(&request("new").fingerprint().to_string()), "{index}");
}

/// Records a run of the configuration with this digest that ended so.
fn record(store: &Store, run_id: &str, config: &str, outcome: &str, is_whole: bool, name: &str) {
    let fingerprint = commit(store, name, name.as_bytes()).unwrap().fingerprint;
    let config_digest = Digest::of(config.as_bytes());
    let outcome = outcome.to_owned();
    let record = RunRecord { config_digest, outcome, is_whole, ..run_of_units(run_id, run_id, [fingerprint]) };
    store.runs().append(&record).unwrap();
}

#[test]
fn stopped_failed_and_partial_runs_displace_no_complete_one_and_no_configuration_displaces_another() {
    let folder = folder();
    let store = open(&folder);
    record(&store, "01", "seed 0", "ok", true, "trained 0");
    record(&store, "02", "seed 1", "ok", true, "trained 1");
    for (i, (outcome, is_whole)) in
        [("cancelled", true), ("failed", true), ("ok", false)].iter().cycle().take(9).enumerate()
    {
        record(&store, &format!("1{i}"), "seed 0", outcome, *is_whole, &format!("part {i}"));
    }
    let plan = store.plan_gc(&options(3)).unwrap();
    assert_eq!(plan.dropped_runs, ["10", "11", "12", "13", "14", "15"], "the last three of the others stay, too");
    assert!(plan.configurations.iter().all(|c| c.recompute.is_empty()), "{:?}", plan.configurations);
    drop(store);
    collect(&folder, &options(3)).unwrap();
    let store = open(&folder);
    for name in ["trained 0", "trained 1", "part 8"] {
        assert!(lookup(&store, name).is_some(), "{name}");
    }
    assert!(lookup(&store, "part 0").is_none());
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), []);
}

#[test]
fn what_was_used_last_is_dropped_last_and_the_cost_is_told() {
    let folder = folder();
    let store = open(&folder);
    record(&store, "01", "seed 0", "ok", true, "zero");
    record(&store, "02", "seed 1", "ok", true, "one");
    record(&store, "03", "seed 2", "ok", true, "two");
    let again = store.runs().list().unwrap().remove(0);
    let later = RunRecord { run_id: "04".to_owned(), finished: "04".to_owned(), ..again.clone() };
    assert_eq!(store.note_use(&later, Recording::None).unwrap(), None, "nothing on record reached this");
    assert_eq!(store.note_use(&again, Recording::Kept).unwrap().as_deref(), Some("01"));
    assert_eq!(store.note_use(&later, Recording::None).unwrap().as_deref(), Some("01"));
    let plan = store.plan_gc(&GcOptions { max_bytes: Some(7), ..options(3) }).unwrap();
    assert_eq!(plan.dropped_runs, ["02"], "seed 0 was used after seed 1");
    let told: Vec<_> = plan.configurations.iter().map(|c| (c.run_id.as_str(), c.recompute.values().sum())).collect();
    assert!(told.contains(&("02", 1usize)) && told.contains(&("01", 0)), "{told:?}");
    let plan = store.plan_gc(&GcOptions { unused_before: Some("035".to_owned()), ..options(3) }).unwrap();
    assert_eq!(plan.dropped_runs, ["02"], "the last of a name stays");
    drop(store);
    collect(&folder, &GcOptions { max_bytes: Some(0), ..options(3) }).unwrap();
    let left = |inner: &str| fs::read_dir(folder.path().join("store").join(inner)).unwrap().count();
    assert_eq!((left("runs"), left("uses")), (1, 0), "records and notes of dropped runs go");
}

#[test]
fn locks_and_remembered_digests_of_what_is_gone_are_collected() {
    let folder = folder();
    let store = open(&folder);
    let photos = ["kept.jpg", "gone.jpg"].map(|name| folder.path().join(name));
    let cache = store.stat_cache().unwrap();
    for photo in &photos {
        fs::write(photo, b"photo").unwrap();
        cache.digest(photo).unwrap();
    }
    cache.save().unwrap();
    drop(cache);
    fs::remove_file(&photos[1]).unwrap();
    drop(store.lock(&request("a").fingerprint(), &mut |_| ControlFlow::Break(())).unwrap());
    drop(store);
    fs::write(folder.path().join("store/locks/at-work-0123abcd"), "of a process that was killed").unwrap();
    collect(&folder, &options(1)).unwrap();
    let root = folder.path().join("store");
    let mut locks: Vec<_> = fs::read_dir(root.join("locks")).unwrap().map(|e| e.unwrap().file_name()).collect();
    locks.sort();
    assert_eq!(locks, ["collect", "replace", "writers"]);
    let cache = fs::read_to_string(root.join("stat-cache.json")).unwrap();
    assert!(cache.contains("kept.jpg") && !cache.contains("gone.jpg"), "{cache}");
    assert_eq!(open(&folder).verify(&VerifyOptions::default()).unwrap(), []);
}

#[test]
fn runs_that_begin_while_a_collection_waits_come_after_it() {
    let folder = folder();
    let first = open(&folder);
    let root = folder.path().join("store");
    let (waits, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = Store::open(&root, Access::ReadOnly).unwrap();
            let mut wait = || {
                waits.store(true, Ordering::SeqCst);
                ControlFlow::Continue(())
            };
            store.apply_gc(&options(1), &mut wait).unwrap().unwrap();
            ended.store(true, Ordering::SeqCst);
        });
        while !waits.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let patience = Patience::default().without_waiting();
        let refused = Store::open_with(&root, Access::ReadWrite, &patience).err().unwrap();
        assert!(matches!(&refused, StoreError::Busy { holder, .. } if holder.contains("process")), "{refused}");
        assert!(Store::open(&root, Access::ReadOnly).is_ok(), "who looks waits for nobody");
        let late = scope.spawn(|| {
            drop(open_at(&root));
            ended.load(Ordering::SeqCst)
        });
        std::thread::sleep(Duration::from_millis(50));
        drop(first);
        assert!(late.join().unwrap(), "the collection was first");
    });
}
