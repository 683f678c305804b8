//! Looking after a store: damage is found and set aside, and two runs are told apart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::program::mlsm;
use crate::scene::Scene;

fn first_blob(scene: &Scene) -> PathBuf {
    let mut folder = scene.store().join("blobs");
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
