//! Units of one run that are computed at once, and beside another process.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier, Condvar, Mutex};

use mlsm_engine::Outcome::{Executed, Failed, Skipped};
use mlsm_engine::{Event, Graph, RunOptions, StageError, Unit, plan};
use mlsm_store::{Access, Store};

use crate::outcomes;
use crate::scene::{Scene, Work};

/// Two nodes that read nothing, each of one unit that keeps one thread busy.
fn two_alone(scene: &Scene, work: &Arc<Work>) -> Graph {
    let mut graph = Graph::new();
    for name in ["scale", "other"] {
        let node = graph.begin(name, "scale").unwrap();
        graph.add(node, Unit::only(scene.task("scale", i64::from(name == "other"), work), vec![])).unwrap();
    }
    graph
}

#[test]
fn units_that_do_not_read_each_other_are_computed_side_by_side_whatever_their_nodes() {
    let scene = Scene::new();
    let meeting = Arc::new(Barrier::new(2)); // passed by two units at once alone
    let work: Arc<Work> = Arc::new(move |_| {
        meeting.wait();
        Ok(b"met".to_vec())
    });
    let report = scene.run_graph(&two_alone(&scene, &work), &RunOptions { threads: 2, ..RunOptions::default() });
    assert_eq!(outcomes(&report), [Executed, Executed]);
}

#[test]
fn a_unit_that_another_process_computes_lets_others_pass() {
    let scene = Scene::new();
    let done: Arc<Work> = Arc::new(|_| Ok(b"done".to_vec()));
    let graph = two_alone(&scene, &done);
    let first = plan(&graph, &scene.store, "test", &[]).unwrap().nodes[0].units[0].fingerprint.unwrap();
    let other = Store::open(scene.store.root(), Access::ReadWrite).unwrap();
    let held = Mutex::new(Some(other.lock(&first, &mut |_| ControlFlow::Continue(())).unwrap()));
    let order = Mutex::new(Vec::new());
    let report = scene.run_graph_with(&graph, &RunOptions::default(), &|event: &Event| match event {
        Event::Waiting { node, .. } => order.lock().unwrap().push(format!("{node} waits")),
        Event::NodeFinished(summary) => {
            order.lock().unwrap().push(format!("{} ends", summary.node));
            drop(held.lock().unwrap().take()); // the other process dies once the second node has ended
        }
        _ => {}
    });
    assert_eq!(outcomes(&report), [Executed, Executed]);
    assert_eq!(order.into_inner().unwrap(), ["scale waits", "other ends", "scale ends"]);
}

#[test]
fn a_failure_lets_what_is_computed_end_and_begins_nothing_new() {
    let scene = Scene::new();
    let has_failed = Arc::new((Mutex::new(false), Condvar::new()));
    let signal = has_failed.clone();
    let fails: Arc<Work> = Arc::new(|_| Err(StageError::Failed("no".into())));
    let waits: Arc<Work> = Arc::new(move |_| {
        let (failed, changed) = &*signal;
        drop(changed.wait_while(failed.lock().unwrap(), |failed| !*failed).unwrap());
        Ok(b"done".to_vec())
    });
    let mut graph = Graph::new();
    for (name, recipe, work) in [("fails", 0, &fails), ("waits", 1, &waits), ("late", 2, &fails)] {
        let node = graph.begin(name, "scale").unwrap();
        graph.add(node, Unit::only(scene.task("scale", recipe, work), vec![])).unwrap();
    }
    let two = RunOptions { threads: 2, ..RunOptions::default() };
    let report = scene.run_graph_with(&graph, &two, &|event: &Event| {
        if matches!(event, Event::NodeFinished(summary) if summary.node == "late") {
            *has_failed.0.lock().unwrap() = true;
            has_failed.1.notify_all();
        }
    });
    assert_eq!((report.outcome, outcomes(&report)), ("failed", vec![Failed, Executed, Skipped]));
    assert_eq!(scene.ran.load(Ordering::SeqCst), 2);
}

#[test]
#[should_panic(expected = "a defect")]
fn a_panic_in_a_unit_ends_the_run() {
    let scene = Scene::new();
    let panics: Arc<Work> = Arc::new(|_| -> Result<Vec<u8>, StageError> { panic!("a defect") });
    let graph = two_alone(&scene, &panics);
    scene.run_graph(&graph, &RunOptions { threads: 2, ..RunOptions::default() });
}
