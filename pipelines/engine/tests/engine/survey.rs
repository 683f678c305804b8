//! How far a graph is, looked at while others compute.

use std::sync::{Arc, Barrier};

use mlsm_engine::{Action, InputSource, NodeProgress, RunOptions, Survey, Unit};
use mlsm_store::{Access, Store};

use crate::scene::{Scene, input, joined};

fn counts(progress: &[NodeProgress]) -> Vec<(&str, Action, usize, usize)> {
    progress.iter().map(|node| (node.node.as_str(), node.action, node.done, node.all)).collect()
}

#[test]
fn what_is_there_and_who_computes_is_seen_before_during_and_after_a_run() {
    let mut scene = Scene::new();
    let meeting = Arc::new(Barrier::new(2));
    let inside = meeting.clone();
    scene.sum = Arc::new(move |context| {
        inside.wait(); // it is looked at
        inside.wait();
        joined(context)
    });
    let graph = scene.graph();
    let store = Store::open(scene.store.root(), Access::ReadOnly).unwrap();
    let mut survey = Survey::new(&graph);
    let mut look = || survey.look(&store).unwrap();
    let before = look();
    let expected =
        [("scale", Action::Execute, 0, 3), ("sum", Action::Unknown, 0, 1), ("report:all", Action::Unknown, 0, 1)];
    assert_eq!(counts(&before), expected);
    assert!(before.iter().all(|node| node.working.is_empty()));
    std::thread::scope(|scope| {
        scope.spawn(|| scene.run());
        meeting.wait();
        let during = look();
        let expected =
            [("scale", Action::Reuse, 3, 3), ("sum", Action::Execute, 0, 1), ("report:all", Action::Unknown, 0, 1)];
        assert_eq!(counts(&during), expected);
        let working: Vec<_> = during.iter().flat_map(|node| &node.working).collect();
        assert_eq!(working.len(), 1);
        assert_eq!((working[0].0.as_str(), &working[0].1.pid), ("", &std::process::id().to_string()));
        meeting.wait();
    });
    let after = look();
    assert!(after.iter().all(|node| node.action == Action::Reuse && node.working.is_empty()), "{after:?}");
}

#[test]
fn a_unit_that_reads_what_does_not_exist_yet_is_stale_not_unknown() {
    let scene = Scene::new();
    let mut graph = scene.graph();
    let node = graph.begin("late", "late").unwrap();
    let pending = input("photo", InputSource::Pending("not drawn yet".to_owned()));
    graph.add(node, Unit::only(scene.task("late", 1, &scene.report), vec![pending])).unwrap();
    scene.run_with(&RunOptions { targets: vec!["report".to_owned()], threads: 2, ..RunOptions::default() });
    let progress = Survey::new(&graph).look(&scene.store).unwrap();
    assert_eq!(counts(&progress)[2..], [("report:all", Action::Reuse, 1, 1), ("late", Action::Execute, 0, 1)]);
}
