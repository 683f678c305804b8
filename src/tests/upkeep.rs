//! Looking after a store: damage is found and set aside, and two runs are told apart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::program::{Finished, mlsm};
use crate::scene::{Scene, undisturbed};

fn first_blob(scene: &Scene) -> PathBuf {
    first_file(scene.store().join("blobs"))
}

/// Returns the first file of a folder, at any depth; a file itself.
fn first_file(mut folder: PathBuf) -> PathBuf {
    while folder.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|e| e.path()).collect();
        entries.sort();
        folder = entries.remove(0);
    }
    folder
}

#[test]
fn verify_names_damage_and_repair_makes_the_next_run_remake_exactly_it() {
    let scene = Scene::finished();
    assert_eq!(mlsm(&scene.store(), ["verify"]).code, 0);
    let blob = first_blob(&scene);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x20;
    fs::write(&blob, bytes).unwrap();

    let found = mlsm(&scene.store(), ["verify"]);
    assert_eq!(found.code, 1, "{found:?}");
    assert!(found.stdout.contains("1 findings") && found.stdout.contains("mlsm verify --repair"), "{}", found.stdout);
    let repaired = mlsm(&scene.store(), ["verify", "--repair", "--output", "json"]);
    assert_eq!((repaired.code, repaired.json()["is_repaired"].as_bool()), (1, Some(true)), "{repaired:?}");
    assert!(!blob.exists());
    scene.run(&[]);
    assert_eq!(mlsm(&scene.store(), ["verify"]).code, 0);
    assert!(blob.exists());
}

/// One kind of file of a store, the number of shards that are computed anew once it was set aside, and whether one that
/// is damaged and one that is gone is found.
const KINDS: [(&str, u64, [bool; 2]); 8] = [
    ("blobs", 1, [true, true]),
    ("manifests", 1, [true, true]),
    ("index.jsonl", 0, [true, true]),
    ("runs", 0, [true, true]),
    ("stat-cache.json", 0, [true, false]), // one that is gone costs the hashing of the photos, and nothing tells of it
    ("tables/current/results", 0, [true, true]),
    ("tables/current/summary.json", 0, [true, true]),
    ("tables/current/.contents", 0, [true, true]),
];

#[test]
fn each_kind_of_file_flipped_truncated_or_deleted_is_found_never_used_and_remade_alone() {
    for ((kind, remade, is_found), harm) in
        KINDS.iter().flat_map(|kind| ["flip", "truncate", "delete"].map(|harm| (kind, harm)))
    {
        let scene = Scene::finished();
        let case = format!("{harm} {kind}");
        let file = first_file(scene.store().join(kind));
        let mut bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let middle = bytes.len() / 2;
        match harm {
            "flip" => bytes[middle] ^= 1,
            "truncate" => bytes.truncate(middle),
            _ => bytes.clear(),
        }
        if harm != "delete" {
            fs::write(&file, &bytes).unwrap();
        }
        let found = mlsm(&scene.store(), ["verify"]);
        assert_eq!(found.code, i32::from(is_found[usize::from(harm == "delete")]), "{case}: {found:?}");
        assert_eq!(scene.run(&[]).digests(), undisturbed().digests(), "{case}: a run before the repair");
        mlsm(&scene.store(), ["verify", "--repair"]);
        let finished = scene.run(&[]);
        assert_eq!(finished.digests(), undisturbed().digests(), "{case}");
        let executed: u64 = ["splits", "ingest", "train-base", "crop", "extract", "meta-train", "evaluate"]
            .iter()
            .flat_map(|stage| finished.shards(stage))
            .sum();
        assert!(executed <= *remade, "{case}: {executed} shards were computed anew");
        let whole = mlsm(&scene.store(), ["verify"]);
        assert_eq!(whole.code, 0, "{case}: {whole:?}");
        assert!(scene.store().join("tables/current/summary.json").exists(), "{case}");
    }
}

#[test]
fn drawn_photos_that_are_damaged_are_found_never_used_and_drawn_again() {
    let scene = Scene::photos();
    let run = || mlsm(&scene.store(), ["run", "ingest", "--config", "tiny", "--output", "json"]).ok();
    let expected = Finished(run().json());
    let photos = fs::read_dir(scene.store().join("datasets")).unwrap().next().unwrap().unwrap().path().join("photos");
    let harms: [fn(&Path); 4] = [
        |photos| {
            let photo = first_file(photos.join("images"));
            let mut bytes = fs::read(&photo).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(photo, bytes).unwrap();
        },
        |photos| fs::remove_file(first_file(photos.join("images"))).unwrap(),
        |photos| fs::write(photos.join("more.jpg"), "not kept").unwrap(),
        |photos| fs::write(photos.join("classes.txt"), "1 001").unwrap(),
    ];
    for (case, harm) in harms.iter().enumerate() {
        harm(&photos);
        let found = mlsm(&scene.store(), ["verify"]);
        assert!(found.code == 1 && found.stdout.contains("1 findings"), "{case}: {found:?}");
        let again = run();
        assert!(again.stdout.contains("was damaged"), "{case}: {}", again.stdout);
        let again = Finished(again.json());
        assert_eq!(again.digests(), expected.digests(), "{case}");
        assert_eq!(again.executed_stages(), Vec::<&str>::new(), "{case}");
        mlsm(&scene.store(), ["verify"]).ok();
    }
}

#[test]
fn a_run_that_finds_everything_is_the_one_that_made_it_and_is_recorded_where_none_tells_of_it() {
    let scene = Scene::finished();
    let runs = || mlsm(&scene.store(), ["runs", "--output", "json"]).ok().json().as_array().unwrap().len();
    scene.run(&["--set", "evaluate.episodes=60"]);
    assert_eq!(runs(), 2);
    let published = || fs::read_dir(scene.store().join("tables/runs")).unwrap().count();
    scene.run(&[]); // a use of the first run, whose tables become current again
    assert_eq!((runs(), published()), (2, 2), "an earlier run of this very configuration tells of it");
    scene.run(&[]);
    assert_eq!((runs(), published()), (2, 2));
    let other = scene.path("other.toml");
    fs::write(&other, fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/tiny.toml")).unwrap())
        .unwrap();
    let data = format!("data.path={:?}", scene.data().display().to_string());
    let other = || {
        mlsm(
            &scene.store(),
            ["run", "--config", other.to_str().unwrap(), "--set", &data, "--set", "evaluate.episodes=60"],
        )
        .ok()
    };
    other();
    assert_eq!((runs(), published()), (3, 3), "no run of this configuration is on record");
    scene.run(&[]);
    other();
    assert_eq!((runs(), published()), (3, 3), "their tables take turns");
    mlsm(&scene.store(), ["verify"]).ok();
}

#[test]
fn diff_tells_two_runs_apart_in_words() {
    let scene = Scene::finished();
    scene.run(&["--set", "evaluate.episodes=60"]);
    let runs = mlsm(&scene.store(), ["runs", "--output", "json"]).ok().json();
    let id = |i: usize| runs[i]["run_id"].as_str().unwrap().to_owned();
    let told = mlsm(&scene.store(), ["diff", &id(0), &id(1)]).ok().stdout;
    assert!(told.contains("evaluate:pixels[k_shot=1]:\n"), "{told}");
    assert!(told.contains("episodes") && told.contains("50") && told.contains("60"), "{told}");
    assert!(!told.contains("extract") && told.contains("accuracy"), "{told}");
    let same = mlsm(&scene.store(), ["diff", &id(1), &id(1)]).ok();
    assert_eq!(same.stdout, "the runs do not differ\n");
    let unknown = mlsm(&scene.store(), ["diff", "nonesuch", &id(1)]);
    assert!(unknown.code == 2 && unknown.stderr.contains("fix: "), "{unknown:?}");
}

#[test]
fn gc_plans_then_removes_what_only_older_runs_reach_and_pins_keep() {
    let scene = Scene::finished();
    scene.run(&["--set", "evaluate.episodes=60"]);
    let runs = mlsm(&scene.store(), ["runs", "--output", "json"]).ok().json();
    let first = runs[0]["run_id"].as_str().unwrap().to_owned();
    mlsm(&scene.store(), ["runs", "pin", &first]).ok();
    let sized = ["gc", "--max-size", "0", "--output", "json"];
    let kept = mlsm(&scene.store(), sized).ok().json();
    assert_eq!(kept["manifests"], 0, "{kept}");
    mlsm(&scene.store(), ["runs", "unpin", &first]).ok();
    let kept = mlsm(&scene.store(), ["gc", "--keep", "1", "--output", "json"]).ok().json();
    assert_eq!(kept["manifests"], 0, "two configurations of one name: {kept}");
    let planned = mlsm(&scene.store(), sized).ok().json();
    assert!(planned["manifests"].as_u64().unwrap() >= 8 && planned["by_stage"]["evaluate"].as_u64().unwrap() > 0);
    let costs = planned["configurations"].as_array().unwrap();
    let cost = costs.iter().find(|cost| cost["run_id"] == first.as_str()).unwrap();
    assert_eq!(cost["recompute"].as_object().unwrap().keys().collect::<Vec<_>>(), ["evaluate"], "{cost}");
    let told = mlsm(&scene.store(), ["gc", "--max-size", "0"]).ok().stdout;
    assert!(told.contains("would compute again") && told.contains("evaluate ("), "{told}");
    assert_eq!(scene.run(&["--set", "evaluate.episodes=60"]).executed_stages(), Vec::<&str>::new());
    mlsm(&scene.store(), ["gc", "--max-size", "0", "--apply"]).ok();
    mlsm(&scene.store(), ["verify"]).ok();
    assert_eq!(scene.run(&["--set", "evaluate.episodes=60"]).executed_stages(), Vec::<&str>::new());
    assert_eq!(scene.run(&[]).executed_stages(), ["evaluate"]);
    assert_eq!(mlsm(&scene.store(), ["runs", "pin", "nonesuch"]).code, 2);
}

#[test]
fn interrupted_and_partial_runs_cost_a_finished_one_nothing() {
    let scene = Scene::finished();
    scene.run(&["--set", "evaluate.episodes=60"]);
    for _ in 0..4 {
        scene.mlsm(&["run", "--until", "ingest", "--force", "ingest"]).ok();
    }
    mlsm(&scene.store(), ["gc", "--apply"]).ok();
    mlsm(&scene.store(), ["verify"]).ok();
    assert_eq!(scene.run(&[]).executed_stages(), Vec::<&str>::new());
    assert_eq!(scene.run(&["--set", "evaluate.episodes=60"]).executed_stages(), Vec::<&str>::new());
}
