//! Runs that are stopped, killed, or meet another run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::start;
use crate::scene::{Scene, config, undisturbed};

/// A run whose events are read as they come.
struct Running {
    child: Child,
    events: Box<dyn Iterator<Item = Value>>,
}

impl Running {
    fn start(scene: &Scene) -> Self {
        let arguments = ["run", "--output", "json"].map(str::to_owned).into_iter().chain(config(&scene.data()));
        let mut child = start(&scene.store(), arguments);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let events = Box::new(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()));
        Self { child, events }
    }

    /// Reads on until a node of the stage is about to be half done.
    fn until_inside(&mut self, stage: &str) {
        let is_inside = |event: &Value| {
            let node = event["node"].as_str().unwrap_or_default();
            let of_stage = node == stage || node.starts_with(&format!("{stage}:"));
            of_stage
                && event["event"] == "progress"
                && 3 * event["done"].as_u64().unwrap() >= event["total"].as_u64().unwrap()
        };
        assert!(self.events.any(|event| is_inside(&event)), "the run never got inside {stage}");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; returns the exit code and the last event.
    fn end(mut self) -> (Option<i32>, Option<Value>) {
        let last = self.events.last();
        (self.child.wait().unwrap().code(), last)
    }
}

#[test]
fn an_interrupted_and_killed_run_ends_with_the_digests_of_an_undisturbed_one() {
    let scene = Scene::photos();

    let mut first = Running::start(&scene);
    first.until_inside("train-base");
    let busy = scene.mlsm(&["run", "--no-wait"]);
    assert_eq!(busy.code, 5, "{busy:?}");
    assert!(busy.stderr.contains("fix: "), "{}", busy.stderr);
    first.signal(Signal::INT);
    let (code, last) = first.end();
    let last = last.unwrap();
    assert_eq!(code, Some(130));
    assert_eq!((&last["event"], &last["outcome"]), (&Value::from("run-finished"), &Value::from("cancelled")));

    let mut second = Running::start(&scene);
    second.until_inside("meta-train");
    second.signal(Signal::KILL);
    assert_eq!(second.end().0, None);

    let finished = scene.run(&[]);
    assert!(!finished.executed_stages().contains(&"train-base"), "{:?}", finished.executed_stages());
    let names = |d: &(Value, Value, Value)| d.0.as_str().unwrap().to_owned();
    let (ours, theirs) = (finished.digests(), undisturbed().digests());
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!(our, their, "{}", names(our));
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn a_run_whose_time_is_over_goes_on_later_and_its_metrics_say_so() {
    let scene = Scene::photos();
    let file = scene.path("mlsm.prom");
    let metrics = ["--metrics-file", file.to_str().unwrap()];
    let arguments = ["run", "--output", "json", "--max-time", "1s"];
    let stopped = scene.mlsm(&[&arguments[..], &metrics[..]].concat());
    assert_eq!(stopped.code, 130, "{stopped:?}");
    assert!(stopped.stderr.contains("--max-time is over"), "{}", stopped.stderr);
    let last = stopped.json();
    assert_eq!((&last["outcome"], &last["exit_code"]), (&Value::from("cancelled"), &Value::from(130)));
    let written = || fs::read_to_string(&file).unwrap();
    assert!(written().contains("mlsm_run_exit_code{config=\"tiny\"} 130\n"), "{}", written());

    let finished = scene.run(&metrics);
    assert_eq!(finished.digests(), undisturbed().digests());
    for line in ["mlsm_run_exit_code{config=\"tiny\"} 0\n", ",outcome=\"executed\"} ", "mlsm_accuracy_ratio{config="] {
        assert!(written().contains(line), "{line} in {}", written());
    }
    let refused = scene.mlsm(&[&["run", "--set", "seed=x"][..], &metrics[..]].concat());
    assert_eq!(refused.code, 2);
    assert!(written().contains("mlsm_run_exit_code{config=\"tiny\"} 2\n"), "{}", written());
}
