//! Plans and runs of stand-in stages over a real store: what is computed, what is reused, and what is said of it.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests make files, measure and print")]

mod histories;
mod processes;
mod scene;
mod side_by_side;
mod survey;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlsm_engine::{
    Action, Cancel, EngineError, Event, Graph, InputSource, Outcome, RunOptions, RunReport, StageError, Unit, explain,
    plan,
};
use mlsm_errors::Explain;
use mlsm_store::{Access, Store};

use scene::{Scene, Work, joined};

fn outcomes(report: &RunReport) -> Vec<Outcome> {
    report.nodes.iter().map(|n| n.outcome).collect()
}

use Outcome::{Cached, Cancelled, Executed, Failed, Skipped};

#[test]
fn what_a_unit_without_a_key_makes_beside_others_stands_in_the_report_as_it_is() {
    let scene = Scene::new();
    let mut graph = Graph::new();
    let node = graph.begin("sum", "sum").unwrap();
    let slice =
        |factor: i64| Unit { aspect: factor.to_string(), ..Unit::only(scene.task("sum", factor, &scene.sum), vec![]) };
    let slices = [1, 2].map(|factor| graph.add(node, slice(factor)).unwrap());
    let inputs = slices.iter().enumerate().map(|(i, unit)| scene::input(&i.to_string(), unit.output("out")));
    graph.add(node, Unit::only(scene.task("sum", 3, &scene.report), inputs.collect())).unwrap();
    let report = scene.run_graph(&graph, &RunOptions { threads: 4, ..RunOptions::default() });
    let joined = &report.answers["sum"][""].outputs["out"];
    assert_eq!(report.nodes[0].outputs["out"], joined.digest);
}

#[test]
fn a_second_run_computes_nothing_and_plans_say_so_before() {
    let scene = Scene::new();
    let before = plan(&scene.graph(), &scene.store, "test", &[]).unwrap();
    let actions: Vec<_> = before.nodes.iter().map(|n| n.action).collect();
    assert_eq!(actions, [Action::Execute, Action::Unknown, Action::Unknown]);
    assert_eq!(outcomes(&scene.run()), [Executed, Executed, Executed]);
    assert_eq!(scene.ran.load(Ordering::SeqCst), 5);
    assert!(plan(&scene.graph(), &scene.store, "test", &[]).unwrap().is_current());
    let again = scene.run();
    assert_eq!(outcomes(&again), [Cached, Cached, Cached]);
    assert_eq!(scene.ran.load(Ordering::SeqCst), 0);
    assert_eq!(again.nodes[0].shards.cached, 3);
}

#[test]
fn one_changed_photo_redoes_its_shard_and_what_follows_with_the_reason_in_words() {
    let mut scene = Scene::new();
    scene.run();
    scene.photos[1] = b"other ".to_vec();
    assert!(scene.reason("scale").contains("photo-1"), "{}", scene.reason("scale"));
    let explained = explain(&scene.graph(), &scene.store, "test", "scale").unwrap();
    assert_eq!(explained[0].units.iter().map(|u| u.unit.as_str()).collect::<Vec<_>>(), ["001"]);
    assert!(explained[0].units[0].reason.contains("photo-1"), "{}", explained[0].units[0].reason);
    let report = scene.run();
    assert_eq!(outcomes(&report), [Executed, Executed, Executed]);
    assert_eq!((report.nodes[0].shards.executed, report.nodes[0].shards.cached), (1, 2));
    assert_eq!(scene.ran.load(Ordering::SeqCst), 3);
}

#[test]
fn equal_bytes_stop_what_follows() {
    let mut scene = Scene::new();
    scene.scale = Arc::new(|context| Ok(joined(context)?.to_ascii_lowercase()));
    scene.run();
    scene.photos[0] = b"ONE ".to_vec();
    assert_eq!(outcomes(&scene.run()), [Executed, Cached, Cached]);
}

#[test]
fn a_parameter_is_named_with_both_values() {
    let mut scene = Scene::new();
    scene.run();
    scene.report_factor = 7;
    let reason = scene.reason("report:all");
    assert!(reason.contains("factor") && reason.contains('1') && reason.contains('7'), "{reason}");
    assert_eq!(outcomes(&scene.run()), [Cached, Cached, Executed]);
    scene.report_factor = 1; // its artifacts are still there
    assert_eq!(outcomes(&scene.run()), [Cached, Cached, Cached]);
}

#[test]
fn targets_bring_their_upstream_and_force_computes_what_is_there() {
    let scene = Scene::new();
    let until = RunOptions { targets: vec!["sum".to_owned()], ..RunOptions::default() };
    let report = scene.run_with(&until);
    assert_eq!(report.nodes.iter().map(|n| n.node.as_str()).collect::<Vec<_>>(), ["scale", "sum"]);
    scene.run();
    let forced = RunOptions { force: vec!["sum".to_owned()], ..RunOptions::default() };
    let report = scene.run_with(&forced);
    assert_eq!(outcomes(&report), [Cached, Executed, Cached], "equal bytes stop what follows");
    assert_eq!(report.nodes[1].reason, "forced");
    let unknown = RunOptions { targets: vec!["summ".to_owned()], ..RunOptions::default() };
    let error = scene.try_run(&unknown, &Cancel::default()).unwrap_err().explain().to_string();
    assert!(error.contains("summ") && error.contains("report:all"), "{error}");
    let unknown = RunOptions { force: vec!["summ".to_owned()], ..RunOptions::default() };
    assert!(matches!(scene.try_run(&unknown, &Cancel::default()), Err(EngineError::UnknownNode { .. })));
}

#[test]
fn a_failure_skips_what_needs_it_and_loses_nothing() {
    let mut scene = Scene::new();
    scene.sum = Arc::new(|_| Err(StageError::Failed("no".into())));
    let report = scene.run();
    assert_eq!((report.outcome, outcomes(&report)), ("failed", vec![Executed, Failed, Skipped]));
    assert_eq!(report.errors[0].0, "sum");
    scene.sum = Arc::new(joined);
    assert_eq!(outcomes(&scene.run()), [Cached, Executed, Executed]);
}

#[test]
fn bad_data_of_all_shards_is_told_at_once_and_whole_shards_are_kept() {
    let mut scene = Scene::new();
    scene.scale = Arc::new(|context| {
        let bytes = joined(context)?;
        if bytes.starts_with(b"t") {
            return Err(StageError::BadData(format!("cannot read {}", String::from_utf8_lossy(&bytes)).into()));
        }
        Ok(bytes)
    });
    let report = scene.run_with(&RunOptions { threads: 1, ..RunOptions::default() });
    let error = report.errors[0].1.to_string();
    assert!(error.contains("two") && error.contains("three"), "{error}");
    scene.photos = vec![b"one ".to_vec()];
    assert_eq!(outcomes(&scene.run())[0], Cached);
}

#[test]
fn a_request_to_stop_keeps_the_checkpoint_and_the_next_run_goes_on_from_it() {
    let mut scene = Scene::new();
    let cancel = Cancel::default();
    let stop = cancel.clone();
    scene.sum = Arc::new(move |context| match context.load_checkpoint()? {
        Some(state) => Ok(state),
        None => {
            stop.cancel();
            context.save_checkpoint(b"half-way")?;
            context.check()?;
            Ok(b"not reached".to_vec())
        }
    });
    let report = scene.try_run(&RunOptions::default(), &cancel).unwrap();
    assert_eq!((report.outcome, outcomes(&report)), ("cancelled", vec![Executed, Cancelled, Cancelled]));
    let report = scene.run();
    assert_eq!(outcomes(&report), [Cached, Executed, Executed]);
    let out = report.answers["sum"][""].outputs["out"].digest;
    assert_eq!(&*scene.store.open_blob(&out).unwrap(), b"half-way");
    let left: Vec<_> = std::fs::read_dir(scene.store.root().join("checkpoints")).unwrap().collect();
    assert!(left.is_empty(), "a committed unit leaves no checkpoint: {left:?}");
}

#[test]
fn a_damaged_artifact_is_remade_by_whoever_needs_it() {
    let mut scene = Scene::new();
    let report = scene.run();
    let digest = report.answers["scale"]["001"].outputs["out"].digest;
    let path = scene.store.blob_path(&digest);
    drop(report);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&path, permissions).unwrap();
    std::fs::write(&path, bytes).unwrap();
    scene.store = Store::open(scene.store.root(), Access::ReadWrite).unwrap();
    let report = scene.run_with(&RunOptions { force: vec!["sum".to_owned()], ..RunOptions::default() });
    assert_eq!(report.outcome, "ok", "{:?}", report.errors);
    assert_eq!(outcomes(&report), [Cached, Executed, Cached]);
    let warned = scene
        .events
        .lock()
        .unwrap()
        .iter()
        .any(|e| matches!(e, Event::Warning { message, .. } if message.contains("damaged")));
    assert!(warned);
    assert_eq!(&*scene.store.open_blob(&digest).unwrap(), b"TWO ");
}

#[test]
fn a_unit_that_another_run_holds_is_busy_without_waiting() {
    let scene = Scene::new();
    let graph = scene.graph();
    let until = RunOptions { targets: vec!["scale".to_owned()], ..RunOptions::default() };
    scene.run_with(&until);
    let held = plan(&graph, &scene.store, "test", &[]).unwrap().nodes[1].units[0].fingerprint.unwrap();
    let other = Store::open(scene.store.root(), Access::ReadWrite).unwrap();
    let guard = other.lock(&held, &mut |_| ControlFlow::Continue(())).unwrap();
    let report = scene.run_with(&RunOptions { no_wait: true, ..RunOptions::default() });
    assert!(matches!(report.errors[0].1, StageError::Busy(_)), "{:?}", report.errors);
    drop(guard);
    assert_eq!(scene.run_with(&RunOptions { no_wait: true, ..RunOptions::default() }).outcome, "ok");
}

#[test]
fn a_strict_run_refuses_artifacts_of_another_kind_of_device() {
    let scene = Scene::new();
    scene.run();
    let only = |kind: &str| RunOptions { only_from: Some(kind.to_owned()), ..RunOptions::default() };
    assert_eq!(scene.run_with(&only("cpu")).outcome, "ok");
    let report = scene.run_with(&only("cuda"));
    assert!(matches!(report.errors[0].1, StageError::Setup(_)), "{:?}", report.errors);
    assert_eq!(scene.ran.load(Ordering::SeqCst), 0);
}

#[test]
fn keep_going_computes_what_does_not_depend_on_the_failure() {
    let scene = Scene::new();
    let graph = |fails: bool| {
        let mut graph = Graph::new();
        for name in ["first", "second"] {
            let work: Arc<Work> = match fails && name == "first" {
                true => Arc::new(|_| Err(StageError::Failed("no".into()))),
                false => Arc::new(|_| Ok(b"done".to_vec())),
            };
            let node = graph.begin(name, name).unwrap();
            graph.add(node, Unit::only(scene.task(name, 0, &work), vec![])).unwrap();
        }
        graph
    };
    for (keep_going, expected) in [(false, Skipped), (true, Executed)] {
        let options = RunOptions { keep_going, ..RunOptions::default() };
        assert_eq!(outcomes(&scene.run_graph(&graph(true), &options)), [Failed, expected]);
    }
}

#[test]
fn bytes_that_do_not_exist_yet_are_planned_as_unknown_with_their_reason() {
    let scene = Scene::new();
    let mut graph = Graph::new();
    let work: Arc<Work> = Arc::new(joined);
    let source = InputSource::Pending("weights `w` are missing".to_owned());
    let node = graph.begin("train", "train").unwrap();
    graph.add(node, Unit::only(scene.task("train", 0, &work), vec![scene::input("weights", source)])).unwrap();
    let planned = plan(&graph, &scene.store, "test", &[]).unwrap();
    assert_ne!(planned.nodes[0].action, Action::Reuse);
    assert!(planned.nodes[0].reason.contains("weights `w` are missing"), "{}", planned.nodes[0].reason);
}

#[test]
fn no_event_of_a_node_comes_before_its_start_or_after_its_end_though_its_artifact_is_remade() {
    let mut scene = Scene::new();
    scene.sum = Arc::new(|context| {
        context.progress(1, 1, "inputs", "");
        joined(context)
    });
    let report = scene.run();
    let digest = report.answers["sum"][""].outputs["out"].digest;
    let path = scene.store.blob_path(&digest);
    drop(report);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1; // of the same length, so that only a reader notices
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    scene.store = Store::open(scene.store.root(), Access::ReadWrite).unwrap();
    let report = scene.run_with(&RunOptions { force: vec!["report:all".to_owned()], ..RunOptions::default() });
    assert_eq!((report.outcome, scene.ran.load(Ordering::SeqCst)), ("ok", 3)); // the report twice, the sum once more
    let events = scene.events.lock().unwrap();
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for event in events.iter() {
        match event {
            Event::NodeStarted { node, .. } => assert!(started.insert(node.clone()), "{node} began twice"),
            Event::Progress { node, .. } => {
                assert!(started.contains(node) && !ended.contains(node), "{event:?} of a node that is not at work");
            }
            Event::NodeFinished(summary) => assert!(ended.insert(summary.node.clone()), "{} ended twice", summary.node),
            _ => {}
        }
    }
    assert_eq!(ended.len(), 3);
}

#[test]
fn every_event_stream_begins_ends_and_names_one_outcome_per_node() {
    let scene = Scene::new();
    scene.run();
    let events = scene.events.lock().unwrap();
    assert!(matches!(events.first(), Some(Event::RunStarted { nodes: 3, .. })));
    assert!(matches!(events.last(), Some(Event::RunFinished { nodes, .. }) if nodes.len() == 3));
    let finished = events.iter().filter(|e| matches!(e, Event::NodeFinished(_))).count();
    assert_eq!(finished, 3);
    let record = scene.store.runs().last("test").unwrap().unwrap();
    assert_eq!((record.outcome.as_str(), record.nodes.len()), ("ok", 3));
    assert_eq!(record.nodes[0].units.len(), 3);
}
