//! Rows that are measured in slices of their episodes: the tables are those of a row that was measured at once.

use serde_json::Value;

use crate::program::{Finished, command, mlsm};
use crate::scene::{Scene, config, undisturbed};

/// Of the fifty episodes of the tiny configuration, the last slice not full.
const SLICED: [&str; 2] = ["--set", "evaluate.slice_episodes=20"];

/// What the nodes of `evaluate` give to people.
fn tables(finished: &Finished) -> Vec<(Value, Value, Value)> {
    let evaluate = finished.0["nodes"].as_array().unwrap().iter().filter(|node| node["stage"] == "evaluate");
    let tables = |node: &Value| {
        (node["node"].clone(), node["outputs"]["episodes"].clone(), node["outputs"]["predictions"].clone())
    };
    evaluate.map(tables).collect()
}

/// The published summary without what identifies requests, and every row of the tables that are measured.
fn published(scene: &Scene) -> (String, Vec<Value>) {
    let summary = std::fs::read_to_string(scene.store().join("tables/current/summary.json")).unwrap();
    let end = summary.find("\"fingerprints\"").unwrap();
    let rows = ["results", "episodes", "predictions"].map(|table| scene.query(&format!("SELECT * FROM {table}")));
    (summary[..end].to_owned(), rows.into())
}

#[test]
fn slices_give_the_tables_of_a_row_that_is_measured_at_once_to_the_byte() {
    let scene = Scene::finished();
    let at_once = published(&scene);
    let expected = tables(&undisturbed());
    assert!(
        expected.len() > 4
            && expected.iter().all(|(_, episodes, predictions)| episodes.is_string() && predictions.is_string())
    );
    let sliced = scene.run(&SLICED);
    assert_eq!(sliced.executed_stages(), ["evaluate"]);
    assert_eq!(tables(&sliced), expected);
    assert!(published(&scene) == at_once, "the published tables or the summary differ");
    let finer = scene.run(&["--set", "evaluate.slice_episodes=7", "--threads", "1"]);
    assert_eq!(tables(&finer), expected);
    assert!(published(&scene) == at_once, "the published tables or the summary differ");
    assert_eq!(scene.run(&SLICED).executed_stages(), Vec::<&str>::new());
}

#[test]
fn slices_are_tasks_for_several_machines() {
    let scene = Scene::finished();
    let file = scene.path("plan.json").display().to_string();
    scene.mlsm(&["plan", SLICED[0], SLICED[1], "--out", &file]).ok();
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let units = plan["units"].as_array().unwrap();
    assert_eq!(units.len(), 4 * tables(&undisturbed()).len(), "three slices and their join, of each row");
    let begun: Vec<_> = (0..plan["tasks"].as_array().unwrap().len()).collect();
    for pair in begun.chunks(2) {
        let start = |task: &usize| {
            command(&scene.store())
                .args(["work", "--plan", &file, "--task", &task.to_string(), "--quiet"])
                .spawn()
                .unwrap()
        };
        for mut child in pair.iter().map(start).collect::<Vec<_>>() {
            assert!(child.wait().unwrap().success());
        }
    }
    let finished = scene.run(&SLICED);
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert_eq!(tables(&finished), tables(&undisturbed()));
}

#[test]
fn more_episodes_measure_new_slices_alone() {
    let scene = Scene::finished();
    scene.run(&["evaluate", "--set", "evaluate.slice_episodes=25"]);
    let more = ["--set", "evaluate.slice_episodes=25", "--set", "evaluate.episodes=75"];
    let arguments = ["plan", "--output", "json"].iter().chain(&more).map(|word| (*word).to_owned());
    let planned = mlsm(&scene.store(), arguments.chain(config(&scene.data()))).ok().json();
    let mut rows = planned["nodes"].as_array().unwrap().iter().filter(|node| node["stage"] == "evaluate");
    let expected = serde_json::json!({ "execute": 1, "reuse": 2, "unknown": 1 });
    assert!(rows.clone().count() > 4 && rows.all(|node| node["shards"] == expected), "{planned}");
    let sliced = scene.run(&more);
    let at_once = scene.run(&["--set", "evaluate.episodes=75"]);
    assert_eq!(tables(&sliced), tables(&at_once));
}
