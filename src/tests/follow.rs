//! `mlsm status`: who computes what, seen while others work; and `--follow`, which ends when they have.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{command, start};
use crate::scene::{Scene, config};

/// A run of the tiny configuration for a job of Slurm.
fn run(scene: &Scene) -> Command {
    let mut command = command(&scene.store());
    command.env("SLURM_JOB_ID", "14").env("SLURM_ARRAY_JOB_ID", "12").env("SLURM_ARRAY_TASK_ID", "3");
    command.arg("run").args(config(&scene.data())).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn status(scene: &Scene) -> Value {
    scene.mlsm(&["status", "--output", "json"]).ok().json()
}

/// The documents that a follower has printed, up to its end.
fn lines(follower: &mut Child) -> Vec<Value> {
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    let read = |line: String| {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    };
    lines.map(read).collect()
}

fn working(document: &Value) -> &[Value] {
    document["working"].as_array().unwrap()
}

#[test]
fn who_computes_is_named_with_its_job_and_no_more_once_it_is_dead() {
    let scene = Scene::photos();
    let mut child = run(&scene).spawn().unwrap();
    let seen = loop {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before anything of it was seen");
        let document = status(&scene);
        if let Some(found) = working(&document).first() {
            break found.clone();
        }
    };
    let text = scene.mlsm(&["status"]).ok().stdout;
    child.kill().unwrap();
    child.wait().unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(seen["process"], child.id().to_string());
    assert_eq!((seen["host"].as_str(), seen["job"].as_str()), (Some(host.trim()), Some("slurm 12_3")), "{seen}");
    assert!(seen["since"].as_str().unwrap().starts_with("20"), "{seen}");
    assert!(text.contains("slurm 12_3") && text.contains(&child.id().to_string()), "{text}");
    let after = status(&scene);
    assert!(working(&after).is_empty() && after["is_current"] == false, "{after}");
    assert!(after["units"]["done"].as_u64() < after["units"]["all"].as_u64(), "{after}");
}

#[test]
fn following_ends_when_the_run_does_and_prints_a_document_for_each_change() {
    let scene = Scene::photos();
    let arguments = ["status", "--follow", "--every", "1"].map(str::to_owned).into_iter().chain(config(&scene.data()));
    let mut follower = start(&scene.store(), arguments);
    let mut child = run(&scene).spawn().unwrap();
    let documents = lines(&mut follower);
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    assert!(child.wait().unwrap().success());
    let done = |document: &Value| document["units"]["done"].as_u64().unwrap();
    assert!(
        documents.len() > 2 && documents.windows(2).all(|pair| pair[0] != pair[1] && done(&pair[0]) <= done(&pair[1]))
    );
    let pid = child.id().to_string();
    assert!(documents.iter().flat_map(working).any(|unit| unit["process"] == pid));
    let last = documents.last().unwrap();
    assert!(last["is_current"] == true && last["units"]["done"] == last["units"]["all"], "{last}");
    let arguments =
        ["status", "--follow", "--output", "json"].map(str::to_owned).into_iter().chain(config(&scene.data()));
    let mut finished = start(&scene.store(), arguments);
    assert_eq!(lines(&mut finished).len(), 1, "there is nothing to wait for");
}

#[test]
fn photos_that_are_drawn_while_somebody_follows_are_taken_in() {
    let scene = Scene::photos();
    let mut follower = start(&scene.store(), ["status", "--follow", "--every", "1", "--config", "tiny"]);
    let mut child = start(&scene.store(), ["run", "splits", "ingest", "--config", "tiny"]);
    let mut read = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ingest = |line: String| {
        let document: Value = serde_json::from_str(&line).unwrap();
        document["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "ingest").cloned()
    };
    let is_there = read.any(|line| ingest(line).is_some_and(|stage| stage["current"] == stage["nodes"]));
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert!(is_there && child.wait().unwrap().success());
}

#[test]
fn a_signal_ends_following_at_once_and_nothing_was_made() {
    let scene = Scene::photos();
    for signal in [Signal::INT, Signal::TERM] {
        let arguments =
            ["status", "--follow", "--every", "60"].map(str::to_owned).into_iter().chain(config(&scene.data()));
        let mut follower = start(&scene.store(), arguments);
        let mut first = String::new();
        BufReader::new(follower.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.contains("\"is_current\":false"), "{first}");
        let begun = Instant::now();
        kill_process(Pid::from_raw(i32::try_from(follower.id()).unwrap()).unwrap(), signal).unwrap();
        assert_eq!(follower.wait().unwrap().code(), Some(130));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    assert!(!scene.store().exists());
}
