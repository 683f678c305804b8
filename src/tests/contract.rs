//! The JSON lines of a run: what each document holds, and that the last one is `run-finished`, whatever fails.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::program::{Answer, mlsm};
use crate::scene::{Scene, config};

const SCHEMA: &str = include_str!("../render/events.schema.json");

/// Holds a document against the part of JSON Schema that the file uses; returns what does not fit.
fn misfits(schema: &Value, document: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let names = |kind: &Value| match kind {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>(),
        kind => kind.as_str().map(str::to_owned).into_iter().collect(),
    };
    if let Some(kind) = schema.get("type") {
        let is_of = |kind: &str| match kind {
            "object" => document.is_object(),
            "array" => document.is_array(),
            "string" => document.is_string(),
            "integer" => document.is_i64() || document.is_u64(),
            "number" => document.is_number(),
            "null" => document.is_null(),
            other => panic!("the schema uses type {other}"),
        };
        if !names(kind).iter().any(|kind| is_of(kind)) {
            found.push(format!("{at} is no {kind}: {document}"));
        }
    }
    if schema.get("const").is_some_and(|value| value != document) {
        found.push(format!("{at} is not {}: {document}", schema["const"]));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array)
        && !values.contains(document)
    {
        found.push(format!("{at} is none of {values:?}: {document}"));
    }
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if document.get(required.as_str().unwrap()).is_none() {
            found.push(format!("{at} lacks {required}"));
        }
    }
    if let (Some(fields), Some(properties)) = (document.as_object(), schema.get("properties")) {
        for (name, value) in fields {
            match properties.get(name) {
                Some(schema) => found.extend(misfits(schema, value, &format!("{at}.{name}"))),
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    found.push(format!("{at} has {name}, which the schema does not know"));
                }
                None => {}
            }
        }
    }
    if let (Some(items), Some(schema)) = (document.as_array(), schema.get("items")) {
        items.iter().for_each(|item| found.extend(misfits(schema, item, &format!("{at}[]"))));
    }
    found
}

/// Insists that stdout is the lines of one run; returns the last.
#[track_caller]
pub fn check(answer: &Answer) -> Value {
    check_lines(&answer.stdout, answer)
}

/// Insists that every line is a document of the schema, that exactly one `run-finished` is the last, and that no node ends
/// before it began or says more after its end; returns the last.
#[track_caller]
pub fn check_lines(text: &str, answer: &Answer) -> Value {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let event = line["event"].as_str().unwrap_or("no event");
        let of_event = schema["oneOf"].as_array().unwrap().iter().find(|s| s["properties"]["event"]["const"] == event);
        let of_event = of_event.unwrap_or_else(|| panic!("the schema does not know {event}"));
        assert_eq!(misfits(of_event, line, event), Vec::<String>::new(), "{line}");
        assert_eq!(line["run_id"], lines[0]["run_id"]);
    }
    let ends = lines.iter().filter(|line| line["event"] == "run-finished").count();
    let last = lines.last().unwrap_or_else(|| panic!("no line at all: {answer:?}")).clone();
    assert_eq!((ends, &last["event"]), (1, &Value::from("run-finished")), "{answer:?}");
    assert_eq!(last["exit_code"], answer.code, "{answer:?}");
    let outcome = match answer.code {
        0 => "ok",
        130 => "cancelled",
        _ => "failed",
    };
    assert_eq!(last["outcome"], outcome);
    assert_eq!(last["error"].is_null(), answer.code == 0, "{last}");
    check_sequence(&lines, &last);
    last
}

/// Insists that each node begins at most once, works in between, and ends exactly once.
#[track_caller]
fn check_sequence(lines: &[Value], last: &Value) {
    let (mut started, mut ended) = (BTreeSet::new(), Vec::new());
    for line in lines {
        let (event, node) = (line["event"].as_str().unwrap(), line["node"].as_str().unwrap_or_default());
        match event {
            "node-started" => assert!(started.insert(node) && !ended.contains(&node), "{line}"),
            "progress" if node == "data" => {} // photos are listed before there are nodes
            "progress" | "waiting" | "failed" => assert!(started.contains(node) && !ended.contains(&node), "{line}"),
            "node-finished" => {
                assert!(!ended.contains(&node), "{line}");
                assert!(line["outcome"] != "executed" || started.contains(node), "{line}");
                ended.push(node);
            }
            _ => {}
        }
    }
    let mut listed: Vec<_> =
        last["nodes"].as_array().unwrap().iter().map(|node| node["node"].as_str().unwrap()).collect();
    ended.sort_unstable(); // nodes end as their units do, and are listed upstream first
    listed.sort_unstable();
    assert_eq!(ended, listed);
}

#[test]
fn every_line_of_a_run_is_as_the_schema_says_and_the_last_one_ends_it() {
    let scene = Scene::finished();
    let answer = scene.mlsm(&["run", "--output", "json", "--force", "evaluate"]);
    assert!(check(&answer)["tables"].is_string());
    check(&scene.mlsm(&["run", "--output", "json"]));
}

#[test]
fn a_run_that_cannot_begin_ends_with_its_last_line_too() {
    let scene = Scene::photos();
    let bad = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|a| (*a).to_owned());
        mlsm(&scene.store(), ["run", "--output", "json"].map(str::to_owned).into_iter().chain(arguments))
    };
    let data = config(&scene.data());
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let cases: [(Vec<&str>, i32); 7] = [
        (vec![], 2),
        (vec!["--config", "nonesuch"], 2),
        (vec!["--config", "tiny", "--set", "evaluate.episodse=3"], 2),
        (vec!["--config", "tiny", "--set", "data.path=/no/such/folder"], 6),
        ([&data[..], &["--device", "gpu"]].concat(), 2),
        ([&data[..], &["nonesuch"]].concat(), 2),
        ([&data[..], &["--no-such-flag"]].concat(), 2),
    ];
    for (arguments, code) in cases {
        let answer = bad(&arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {answer:?}");
        let last = check(&answer);
        let error = &last["error"];
        assert!(
            ["what", "why", "fix"].iter().all(|key| error[key].as_str().is_some_and(|text| !text.is_empty())),
            "{last}"
        );
    }
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("thesis.txt"), "mine").unwrap();
    let run = ["run", "--output", "json"].into_iter().chain(data).map(str::to_owned);
    let answer = mlsm(foreign.path(), run);
    assert_eq!(answer.code, 4, "{answer:?}");
    check(&answer);
}

#[test]
fn bad_photos_end_with_the_last_line_and_their_error() {
    let scene = Scene::photos();
    let photo = fs::read_dir(scene.data().join("images")).unwrap().next().unwrap().unwrap().path();
    let photo = fs::read_dir(photo).unwrap().next().unwrap().unwrap().path();
    fs::write(&photo, "no photo").unwrap();
    let answer = scene.mlsm(&["run", "--output", "json"]);
    assert_eq!(answer.code, 6, "{answer:?}");
    let last = check(&answer);
    assert!(last["error"]["what"].as_str().unwrap().contains(photo.file_name().unwrap().to_str().unwrap()), "{last}");
}
