//! Flags, layers and verbs that need no finished store.

use serde_json::Value;

use crate::program::{command, mlsm};
use crate::scene::Scene;

fn nowhere() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = nowhere();
    assert!(mlsm(folder.path(), ["--help"]).ok().stdout.contains("Exit codes"));
    assert!(mlsm(folder.path(), ["--version"]).ok().stdout.starts_with("mlsm "));
    assert!(mlsm(folder.path(), ["completions", "bash"]).ok().stdout.contains("_mlsm"));
}

#[test]
fn an_unknown_flag_or_verb_is_a_usage_error() {
    let folder = nowhere();
    assert_eq!(mlsm(folder.path(), ["run", "--until-stage", "crop"]).code, 2);
    assert_eq!(mlsm(folder.path(), ["rum"]).code, 2);
}

#[test]
fn doctor_finds_libtorch_and_says_where() {
    let folder = nowhere();
    let checks = mlsm(&folder.path().join("store"), ["doctor", "--output", "json"]).ok().json();
    let libtorch = checks.as_array().unwrap().iter().find(|c| c["check"] == "libtorch").unwrap();
    assert_eq!(libtorch["verdict"], "ok", "{checks}");
}

#[test]
fn synthesised_photos_pass_the_check_and_repeat() {
    let folder = nowhere();
    let store = folder.path().join("store");
    let draw = |name: &str| {
        let path = folder.path().join(name);
        let size = ["--classes", "3", "--images", "2", "--seed", "5", "--size", "64"];
        mlsm(&store, ["data", "synthesize", path.to_str().unwrap()].iter().chain(&size)).ok();
        path
    };
    let (first, second) = (draw("a"), draw("b"));
    let checked = mlsm(&store, ["data", "check", first.to_str().unwrap(), "--output", "json"]).ok().json();
    assert_eq!((&checked["classes"], &checked["photos"], &checked["boxes"]), (&3.into(), &6.into(), &6.into()));
    assert_eq!(checked["bad"], Value::Array(Vec::new()));
    let listing = std::fs::read_to_string(first.join("images.txt")).unwrap();
    for line in listing.lines() {
        let path = line.split_once(' ').unwrap().1;
        let read = |root: &std::path::Path| std::fs::read(root.join("images").join(path)).unwrap();
        assert_eq!(read(&first), read(&second), "{path}");
    }
}

#[test]
fn a_plan_without_a_store_shows_everything_and_makes_nothing() {
    let scene = Scene::photos();
    let plan = scene.mlsm(&["plan", "--output", "json"]).ok().json();
    let nodes = plan["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|n| n["action"] != "reuse"), "{plan}");
    assert!(!scene.store().exists());
    assert_eq!(scene.mlsm(&["plan", "--check"]).code, 1);
}

#[test]
fn the_environment_is_a_layer_between_file_and_set() {
    let scene = Scene::photos();
    let file = scene.path("mine.toml");
    std::fs::write(&file, "extends = \"tiny\"\n[data]\npath = \"photos\"\n[evaluate]\nn_way = 0\n").unwrap();
    let plan = |variable: Option<&str>, set: Option<&str>| {
        let mut command = command(&scene.store());
        command.args(["plan", "--config", file.to_str().unwrap()]);
        variable.map(|value| command.env("MLSM_EVALUATE__N_WAY", value));
        set.map(|value| command.args(["--set", value]));
        command.output().unwrap().status.code()
    };
    assert_eq!(plan(None, None), Some(2));
    assert_eq!(plan(Some("2"), None), Some(0));
    assert_eq!(plan(Some("2"), Some("evaluate.n_way=0")), Some(2));
}
