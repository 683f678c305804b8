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
fn a_check_lists_what_stands_in_a_set_twice_and_what_is_too_little() {
    let folder = nowhere();
    let store = folder.path().join("store");
    let photos = folder.path().join("photos");
    let size = ["--classes", "2", "--images", "21", "--size", "240"];
    mlsm(&store, ["data", "synthesize", photos.to_str().unwrap()].iter().chain(&size)).ok();
    let own = folder.path().join("own");
    let classes = std::fs::read_dir(photos.join("images")).unwrap().map(|entry| entry.unwrap().path());
    for (class, name) in classes.zip(["a", "b"]) {
        std::fs::create_dir_all(own.join(name)).unwrap();
        for photo in std::fs::read_dir(class).unwrap().map(|entry| entry.unwrap().path()) {
            std::fs::copy(&photo, own.join(name).join(photo.file_name().unwrap())).unwrap();
        }
    }
    let first = std::fs::read_dir(own.join("a")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(&first, own.join("a/again.jpg")).unwrap();
    std::fs::create_dir_all(own.join("c")).unwrap();
    let smaller = image::open(&first).unwrap().thumbnail(160, 160).into_rgb8();
    smaller.save(own.join("c/smaller.png")).unwrap();

    let found = mlsm(&store, ["data", "check", own.to_str().unwrap(), "--output", "json"]).ok().json();
    let pairs: Vec<_> = found["doubled"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let second = pair["photos"][1].as_str().unwrap().to_owned();
            (second, pair["same_file"].as_bool().unwrap(), pair["same_class"].as_bool().unwrap())
        })
        .collect();
    let smaller = ("c/smaller.png".to_owned(), false, false);
    assert!(pairs.len() == 2 && pairs.contains(&smaller), "{found}");
    assert!(pairs.iter().any(|(_, same_file, same_class)| *same_file && *same_class), "{found}");
    assert_eq!(found["small_classes"], serde_json::json!([{ "class": "c", "photos": 1 }]));
    let text = mlsm(&store, ["data", "check", own.to_str().unwrap()]).ok().stdout;
    assert!(text.contains("c/smaller.png: look alike, in two classes"), "{text}");
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
