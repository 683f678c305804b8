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

#[test]
fn the_configuration_that_is_shown_is_the_one_that_runs() {
    let scene = Scene::finished();
    let shown = scene.mlsm(&["config", "show", "--set", "seed=0"]).ok().stdout;
    let file = scene.path("tiny.toml");
    std::fs::write(&file, &shown).unwrap();
    let plan = mlsm(&scene.store(), ["plan", "--check", "--config", file.to_str().unwrap()]);
    assert_eq!(plan.code, 0, "{plan:?}\n{shown}");
    let origins = scene.mlsm(&["config", "show", "--origin", "--output", "json"]).ok().json();
    let from = |key: &str| {
        let line = origins.as_array().unwrap().iter().find(|line| line["key"] == key).unwrap();
        line["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(from("train-base.conv.width"), "preset tiny");
    assert!(from("data.path").starts_with("--set data.path="), "{}", from("data.path"));
    assert_eq!(from("numerics.threads"), "default");
}

#[test]
fn the_graph_says_what_each_node_reads_and_what_a_run_would_do() {
    let scene = Scene::finished();
    let graph = scene.mlsm(&["graph", "--set", "evaluate.episodes=3", "--format", "json"]).ok().json();
    let of_stage = |stage: &str| {
        let nodes = graph["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["stage"] == stage).cloned().collect::<Vec<_>>()
    };
    assert!(of_stage("extract").iter().all(|node| node["action"] == "reuse"));
    let measured = of_stage("evaluate");
    assert!(!measured.is_empty() && measured.iter().all(|node| node["action"] == "execute"), "{graph}");
    let names: Vec<_> = graph["nodes"].as_array().unwrap().iter().map(|node| node["node"].clone()).collect();
    let read = measured.iter().flat_map(|node| node["reads"].as_array().unwrap().clone());
    assert!(read.into_iter().all(|read| names.contains(&read)), "{graph}");
    assert!(scene.mlsm(&["graph", "--format", "mermaid"]).ok().stdout.starts_with("flowchart LR\n"));
}
