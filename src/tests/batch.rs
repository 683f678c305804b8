//! Runs that a scheduler starts and watches: their log file, their lineage, and what they leave when they end early.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::contract::check_lines;
use crate::program::{Answer, mlsm};
use crate::scene::Scene;

/// Runs the pipeline with a file behind a flag; returns the answer and what the file holds.
fn run_into(scene: &Scene, flag: &str, arguments: &[&str]) -> (Answer, String) {
    let file = scene.path("events.jsonl");
    let arguments = [&["run", flag, file.to_str().unwrap()], arguments].concat();
    let answer = scene.mlsm(&arguments);
    (answer, fs::read_to_string(&file).unwrap())
}

/// The events of a run as its lineage states them, in order, by the name of their job.
struct Told(BTreeMap<String, Vec<Value>>);

impl Told {
    /// Reads events, and insists that each job has a run of its own that begins before it ends, and ends once.
    #[track_caller]
    fn read(text: &str) -> Self {
        let mut jobs = BTreeMap::<String, Vec<Value>>::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            jobs.entry(event["job"]["name"].as_str().unwrap().to_owned()).or_default().push(event);
        }
        for (job, events) in &jobs {
            let words: Vec<_> = events.iter().map(|event| event["eventType"].as_str().unwrap()).collect();
            assert!(words.len() >= 2 && words[0] == "START", "{job}: {words:?}");
            let is_end = |word: &&str| ["COMPLETE", "FAIL", "ABORT"].contains(word);
            let ends = words.iter().filter(|word| is_end(word)).count();
            assert!(ends == 1 && is_end(&words[words.len() - 1]), "{job}: {words:?}");
            assert_eq!(words.iter().filter(|word| **word == "START").count(), 1, "{job}: {words:?}");
            assert!(events.iter().all(|event| event["run"]["runId"] == events[0]["run"]["runId"]), "{job}");
            if job.contains('.') {
                let parent = &events[0]["run"]["facets"]["parent"];
                assert_eq!(parent["run"]["runId"], jobs["tiny"][0]["run"]["runId"], "{job}");
                assert_eq!(parent["job"]["name"], "tiny");
            }
        }
        Self(jobs)
    }

    /// Returns how a job ended.
    #[track_caller]
    fn end(&self, job: &str) -> &Value {
        let events = self.0.get(job).unwrap_or_else(|| panic!("no job {job} in {:?}", self.0.keys()));
        &events[events.len() - 1]
    }

    /// Returns what a job made, by the last part of its name.
    fn made(&self, job: &str) -> BTreeMap<&str, &Value> {
        let outputs = self.end(job)["outputs"].as_array().unwrap().iter();
        outputs.map(|output| (output["name"].as_str().unwrap().rsplit('/').next().unwrap(), output)).collect()
    }
}

#[test]
fn the_log_file_gains_the_lines_of_each_run_while_the_terminal_shows_text() {
    let scene = Scene::finished();
    let (first, text) = run_into(&scene, "--log-file", &["--force", "evaluate"]);
    assert!(first.stdout.contains("tables:"), "{}", first.stdout);
    assert!(first.stderr.contains("evaluate"), "{}", first.stderr);
    assert!(check_lines(&text, &first.ok())["tables"].is_string());
    let (second, both) = run_into(&scene, "--log-file", &[]);
    check_lines(both.strip_prefix(&text).unwrap(), &second.ok());
    let (third, all) = run_into(&scene, "--log-file", &["--set", "evaluate.episodse=3"]);
    assert_eq!(third.code, 2);
    check_lines(all.strip_prefix(&both).unwrap(), &third);
    let (fourth, more) = run_into(&scene, "--log-file", &["--output", "json", "--until", "crop"]);
    let of_file = check_lines(more.strip_prefix(&all).unwrap(), &fourth);
    assert_eq!(of_file["nodes"], fourth.json()["nodes"]);
}

#[test]
fn a_log_file_that_cannot_be_written_is_refused_before_anything_is_computed() {
    let scene = Scene::photos();
    for flag in ["--log-file", "--lineage"] {
        let answer = scene.mlsm(&["run", flag, "/no/such/folder/x.jsonl"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("/no/such/folder/x.jsonl"), "{}", answer.stderr);
        assert!(!scene.store().exists());
    }
}

#[test]
fn lineage_states_what_each_node_read_and_made_and_what_the_tables_hold() {
    let scene = Scene::finished();
    let (answer, text) = run_into(&scene, "--lineage", &["--force", "evaluate"]);
    answer.ok();
    let told = Told::read(&text);
    let data = scene.data();
    let ingest = told.end("tiny.ingest");
    assert_eq!(ingest["inputs"][0]["name"], data.display().to_string());
    assert_eq!(ingest["inputs"][0]["inputFacets"]["inputStatistics"]["fileCount"], 192);
    assert_eq!(ingest["run"]["facets"]["mlsm_node"]["outcome"], "cached");
    let run = told.end("tiny");
    let parameters = run["run"]["facets"]["executionParameters"]["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|p| p["key"] == "data.path"), "{parameters:?}");
    assert!(run["job"]["facets"]["sourceCode"]["sourceCode"].as_str().unwrap().contains("[meta-train.mlsm]"));
    let made = told.made("tiny.crop");
    let crops = made["crops"];
    assert!(crops["facets"]["version"]["datasetVersion"].as_str().unwrap().len() > 32);
    let read = told.0.iter().filter(|(job, _)| job.starts_with("tiny.extract")).flat_map(|(_, events)| events);
    let read: Vec<_> = read.flat_map(|event| event["inputs"].as_array().unwrap()).collect();
    assert!(read.iter().any(|input| input["name"] == "crop/pixels"), "{read:?}");

    let tables = told.made("tiny.publish");
    let results = tables["results"];
    assert!(Path::new(results["name"].as_str().unwrap()).is_dir(), "readers find the table there: {results}");
    let of_sql = scene.query("SELECT count(*) AS n, min(accuracy) AS low FROM results");
    let quality = &results["facets"]["dataQualityMetrics"];
    assert_eq!(quality["rowCount"], of_sql[0]["n"]);
    assert_eq!(quality["columnMetrics"]["accuracy"]["min"], of_sql[0]["low"]);
    let nulls = scene.query("SELECT count(*) - count(paper_accuracy) AS n FROM results");
    assert_eq!(quality["columnMetrics"]["paper_accuracy"]["nullCount"], nulls[0]["n"]);
    let fields = results["facets"]["schema"]["fields"].as_array().unwrap();
    let of_accuracy = fields.iter().find(|field| field["name"] == "accuracy").unwrap();
    assert!(of_accuracy["description"].as_str().unwrap().ends_with("[share of 1]"), "{of_accuracy}");
    let from = &results["facets"]["columnLineage"]["fields"]["accuracy"]["inputFields"];
    assert!(from.as_array().unwrap().iter().all(|f| f["field"] == "accuracy"), "{from}");
    assert!(results["facets"]["columnLineage"]["fields"]["method"].is_null(), "a label comes from no column");
    let boxes = &tables["crops"]["facets"]["columnLineage"]["fields"];
    assert!(boxes["box_x"]["inputFields"].as_array().unwrap().iter().any(|f| f["name"] == "crop/crops"));
    assert!(boxes["split"].is_null());
}

#[test]
fn a_run_that_fails_or_is_stopped_ends_its_lineage_with_the_reason() {
    let scene = Scene::photos();
    let photo = fs::read_dir(scene.data().join("images")).unwrap().next().unwrap().unwrap().path();
    let photo = fs::read_dir(photo).unwrap().next().unwrap().unwrap().path();
    fs::write(&photo, "no photo").unwrap();
    let (answer, failed) = run_into(&scene, "--lineage", &[]);
    assert_eq!(answer.code, 6);
    let told = Told::read(&failed);
    let name = photo.file_name().unwrap().to_str().unwrap();
    for job in ["tiny", "tiny.ingest"] {
        let end = told.end(job);
        assert_eq!(end["eventType"], "FAIL", "{job}");
        let message = end["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
        assert!(message.contains(name), "{job}: {message}");
    }
    assert!(!told.0.contains_key("tiny.crop"), "a node that never began has no run");

    let scene = Scene::photos();
    let (answer, stopped) = run_into(&scene, "--lineage", &["--max-time", "1ms"]);
    assert_eq!(answer.code, 130, "{answer:?}");
    assert_eq!(Told::read(&stopped).end("tiny")["eventType"], "ABORT");

    let (answer, refused) = run_into(&scene, "--lineage", &["--set", "evaluate.episodse=3"]);
    assert_eq!(answer.code, 2);
    let refused = Told::read(refused.strip_prefix(&stopped).unwrap());
    assert_eq!(refused.end("tiny")["eventType"], "FAIL");
}

#[test]
fn a_lineage_service_that_is_down_costs_the_run_one_warning() {
    let scene = Scene::finished();
    let answer = scene.mlsm(&["run", "--lineage", "http://127.0.0.1:9"]).ok();
    assert_eq!(answer.stderr.matches("lineage").count(), 2, "one sentence with one address: {}", answer.stderr);
    assert!(answer.stderr.contains("warning: ") && answer.stderr.contains("http://127.0.0.1:9/api/v1/lineage"));
    assert!(!answer.stdout.contains("\"event\""), "no event is printed that nobody asked for: {}", answer.stdout);
    let json = scene.mlsm(&["run", "--lineage", "http://127.0.0.1:9", "--output", "json"]).ok();
    crate::contract::check(&json);
    assert_eq!(json.stdout.lines().filter(|line| line.contains("\"warning\"")).count(), 1, "{}", json.stdout);
}

#[test]
fn the_schema_of_the_configuration_is_printed_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let schema = mlsm(folder.path(), ["config", "schema", "--output", "json"]).ok().json();
    assert_eq!(schema["properties"]["evaluate"]["properties"]["n_way"]["default"], 5);
    let text = mlsm(folder.path(), ["config", "schema"]).ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), schema);
}
