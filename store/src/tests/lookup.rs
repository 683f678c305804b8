//! What is asked for again is found, by this process and by others.

use std::fs;

use proptest::prelude::*;

use super::*;

#[test]
fn what_was_committed_is_found_by_this_store_and_by_another() {
    let folder = folder();
    let store = open(&folder);
    assert_eq!(lookup(&store, "a"), None);
    let manifest = commit(&store, "a", b"bytes").unwrap();
    for store in [&store, &store.clone(), &open(&folder)] {
        assert_eq!(lookup(store, "a"), Some(manifest.clone()));
        assert_eq!(&store.open_blob(&manifest.outputs["out"].digest).unwrap()[..], b"bytes");
    }
    assert_eq!(lookup(&store, "b"), None);
}

#[test]
fn what_another_store_commits_is_seen_at_once() {
    let folder = folder();
    let (one, other) = (open(&folder), open(&folder));
    assert_eq!(lookup(&other, "a"), None);
    commit(&one, "a", b"1").unwrap();
    assert!(lookup(&other, "a").is_some());
    commit(&other, "b", b"2").unwrap();
    assert!(lookup(&one, "b").is_some());
}

#[test]
fn the_first_realisation_wins() {
    let folder = folder();
    let store = open(&folder);
    let first = commit(&store, "a", b"first").unwrap();
    let index = fs::read(store.root().join("index.jsonl")).unwrap();
    assert_eq!(commit(&store, "a", b"second").unwrap(), first);
    assert_eq!(fs::read(store.root().join("index.jsonl")).unwrap(), index, "nothing was written for it");
    assert_eq!(lookup(&open(&folder), "a"), Some(first));
}

#[test]
fn racing_threads_all_receive_one_realisation() {
    let folder = folder();
    let stores = [open(&folder), open(&folder)];
    for round in 0..60 {
        let name = format!("round {round}");
        let start = std::sync::Barrier::new(4);
        let race = |i: u8| {
            let output = stores[usize::from(i % 2)].put(&[round, i]).unwrap();
            let outputs = BTreeMap::from([("out".to_owned(), output)]);
            start.wait();
            stores[usize::from(i % 2)].commit(request(&name), outputs, BTreeMap::new()).unwrap()
        };
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    scope.spawn({
                        let race = &race;
                        move || race(i)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|manifest| *manifest == found[0]), "{found:?}");
        assert_eq!(lookup(&open(&folder), &name).as_ref(), Some(&found[0]));
    }
}

#[test]
fn a_manifest_counts_only_with_all_its_blobs_in_their_size() {
    let folder = folder();
    let store = open(&folder);
    let output = commit(&store, "a", b"bytes").unwrap().outputs["out"];
    let path = store.blob_path(&output.digest);
    fs::remove_file(&path).unwrap();
    assert_eq!(lookup(&store, "a"), None);
    fs::write(&path, b"short").unwrap();
    assert!(lookup(&store, "a").is_some());
    fs::write(&path, b"longer").unwrap();
    assert_eq!(lookup(&store, "a"), None);
}

#[test]
fn a_commit_without_its_blob_is_refused() {
    let folder = folder();
    let store = open(&folder);
    let absent = Output { digest: Digest::of(b"absent"), bytes: 6 };
    let result = store.commit(request("a"), [("out".to_owned(), absent)].into(), BTreeMap::new());
    assert!(matches!(result, Err(StoreError::Missing { digest }) if digest == absent.digest));
    assert_eq!(lookup(&store, "a"), None);
}

#[test]
fn without_its_blob_an_answer_is_committed_anew() {
    let folder = folder();
    let store = open(&folder);
    let old = commit(&store, "a", b"old").unwrap().outputs["out"];
    fs::remove_file(store.blob_path(&old.digest)).unwrap();
    let new = commit(&store, "a", b"new").unwrap();
    assert_eq!(new.outputs["out"].digest, Digest::of(b"new"));
    assert_eq!(lookup(&open(&folder), "a"), Some(new));
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), [], "the overruled line of the index is no damage");
}

#[test]
fn a_manifest_that_is_removed_answers_no_more() {
    let folder = folder();
    let store = open(&folder);
    commit(&store, "a", b"bytes").unwrap();
    fs::remove_file(store.manifest_path(&request("a").fingerprint())).unwrap();
    assert_eq!(lookup(&store, "a"), None);
    assert_eq!(lookup(&open(&folder), "a"), None);
}

#[test]
fn an_index_that_is_gone_torn_or_nonsense_changes_no_answer() {
    let folder = folder();
    for name in ["a", "b"] {
        commit(&open(&folder), name, name.as_bytes()).unwrap();
    }
    let index = folder.path().join("store/index.jsonl");
    let whole = fs::read(&index).unwrap();
    let cases: [Option<Vec<u8>>; 5] = [
        None,
        Some(Vec::new()),
        Some(whole[..whole.len() - 9].to_vec()),
        Some(vec![0; whole.len()]),
        Some(whole.iter().map(|b| if *b == b'{' { b'[' } else { *b }).collect()),
    ];
    for (case, damaged) in cases.into_iter().enumerate() {
        match damaged {
            None => fs::remove_file(&index).unwrap(),
            Some(bytes) => fs::write(&index, bytes).unwrap(),
        }
        let store = open(&folder);
        assert!(lookup(&store, "a").is_some() && lookup(&store, "b").is_some(), "case {case}");
        commit(&store, &format!("new {case}"), b"new").unwrap();
        assert!(lookup(&open(&folder), &format!("new {case}")).is_some(), "case {case}");
    }
}

#[test]
fn a_record_after_a_torn_line_stands_on_a_line_of_its_own() {
    let folder = folder();
    commit(&open(&folder), "a", b"a").unwrap();
    let index = folder.path().join("store/index.jsonl");
    let whole = fs::read(&index).unwrap();
    fs::write(&index, &whole[..whole.len() - 9]).unwrap();
    let manifest = commit(&open(&folder), "b", b"b").unwrap();
    let text = fs::read_to_string(&index).unwrap();
    assert!(text.lines().last().unwrap().starts_with(&manifest.fingerprint.to_string()), "{text}");
}

#[test]
fn runs_are_listed_by_their_start_and_the_last_of_a_configuration_is_found() {
    let folder = folder();
    let store = open(&folder);
    assert_eq!(store.runs().list().unwrap(), []);
    let (late, early) = (run("a", "2026-02-01T00:00:00Z"), run("b", "2026-01-01T00:00:00Z"));
    let other = RunRecord { config_name: "other".to_owned(), ..run("c", "2026-03-01T00:00:00Z") };
    for record in [&late, &early, &other] {
        store.runs().append(record).unwrap();
    }
    fs::write(folder.path().join("store/runs/broken.json"), "{").unwrap();
    assert_eq!(store.runs().list().unwrap(), [early, late.clone(), other]);
    assert_eq!(store.runs().last("demo").unwrap(), Some(late));
    assert_eq!(store.runs().last("unknown").unwrap(), None);
    let outside = run("../outside", "2026-01-01T00:00:00Z");
    assert!(store.runs().append(&outside).is_err());
}

proptest! {
    #[test]
    fn every_real_number_of_a_recipe_survives_its_manifest(bits: u64) {
        let value = Value::Float(f64::from_bits(bits));
        let request = Request { recipe: vec![Field { key: "x".to_owned(), value }], ..request("a") };
        let json = serde_json::to_string(&request).unwrap();
        let back: Request = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(back.fingerprint(), request.fingerprint(), "{}", json);
    }
}

#[test]
fn infinities_and_no_numbers_survive_their_manifest() {
    let folder = folder();
    let store = open(&folder);
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, f64::MIN_POSITIVE / 2.0] {
        let recipe = vec![Field { key: "x".to_owned(), value: Value::from(vec![value]) }];
        let request = Request { recipe, ..request("a") };
        let outputs = BTreeMap::from([("out".to_owned(), store.put(b"bytes").unwrap())]);
        store.commit(request.clone(), outputs, BTreeMap::new()).unwrap();
        assert!(open(&folder).lookup(&request.fingerprint()).unwrap().is_some(), "{value}");
    }
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), []);
}
