//! Several processes and one store: killed at each of their disk calls in turn, out of space, several at once, and beside a
//! collection. The engine and the store are the real ones, the stages stand-ins; a process is this test program, started
//! again for `worker` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use mlsm_engine::{Outcome, RunOptions, RunReport};
use mlsm_errors::Explain;
use mlsm_store::{Access, Digest, GcPlan, Store, Trial, VerifyOptions};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::scene::{Scene, joined, keep_last_runs};

const CLASSES: usize = 12;
/// Bytes of an artifact for which room is looked for before it is written.
const LARGE: usize = 3 << 20;

/// A pipeline of twelve classes in the store at `root`; each computed unit leaves a line in `computed`.
fn scene(root: &Path, factor: i64, computed: &Path) -> Scene {
    let mut scene = Scene::at(root);
    scene.photos = (0..CLASSES).map(|i| format!("photo {i} ").into_bytes()).collect();
    scene.report_factor = factor;
    let note = |what: &'static str, computed: PathBuf| {
        move |name: &str| {
            let mut file = OpenOptions::new().create(true).append(true).open(&computed).unwrap();
            file.write_all(format!("{what} {name}\n").as_bytes()).unwrap();
        }
    };
    let (scaled, summed) = (note("scale", computed.to_owned()), note("sum", computed.to_owned()));
    scene.scale = Arc::new(move |context| {
        scaled(&context.inputs()[0].name);
        Ok(joined(context)?.to_ascii_uppercase())
    });
    scene.sum = Arc::new(move |context| {
        context.save_checkpoint(b"half-way")?;
        summed("all");
        joined(context)
    });
    scene
}

fn options() -> RunOptions {
    RunOptions { threads: 2, ..RunOptions::default() }
}

/// Removes what the last run does not reach, once nobody writes; nothing when `waits` is false and somebody does.
fn collect(root: &Path, waits: bool) -> Option<GcPlan> {
    let store = Store::open(root, Access::ReadOnly).unwrap();
    let options = keep_last_runs();
    let mut wait = || if waits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    store.apply_gc(&options, &mut wait).unwrap()
}

/// One process: runs with one parameter and then with another, and collects what the first one left.
fn work(root: &Path, computed: &Path) -> bool {
    let ok = |report: RunReport| report.outcome == "ok";
    let is_done =
        ok(scene(root, 1, computed).run_with(&options())) && ok(scene(root, 2, computed).run_with(&options()));
    is_done && collect(root, true).is_some()
}

#[test]
#[ignore = "a process of the tests in this file"]
fn worker() {
    let root = PathBuf::from(std::env::var_os("TRIAL_STORE").unwrap());
    let trial = std::env::var("TRIAL").unwrap();
    if trial.is_empty() { Trial::default() } else { trial.parse().unwrap() }.begin();
    let computed = root.with_extension("computed");
    let is_done = match std::env::var("TRIAL_WORK").unwrap().as_str() {
        "all" => work(&root, &computed),
        "run" => {
            let report = scene(&root, 2, &computed).run_with(&options());
            let told: u64 = report.nodes.iter().map(|n| n.shards.executed as u64).sum();
            let mut file = OpenOptions::new().create(true).append(true).open(root.with_extension("told")).unwrap();
            file.write_all(format!("{told}\n").as_bytes()).unwrap();
            report.outcome == "ok"
        }
        "large" => {
            let mut scene = scene(&root, 2, &computed);
            scene.sum = Arc::new(|_| Ok(vec![7; LARGE]));
            let report = scene.run_with(&options());
            let errors: Vec<_> = report.errors.iter().map(|(_, error)| error.explain().to_string()).collect();
            fs::write(root.with_extension("errors"), errors.join("\n")).unwrap();
            report.outcome == "ok"
        }
        other => panic!("no work is called {other}"),
    };
    fs::write(root.with_extension("calls"), Trial::calls().to_string()).unwrap();
    assert!(is_done);
}

fn start(root: &Path, work: &str, trial: &Trial) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "processes::worker"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("TRIAL_STORE", root).env("TRIAL_WORK", work).env("TRIAL", trial.to_string());
    command.spawn().unwrap()
}

fn process(root: &Path, work: &str, trial: &Trial) -> ExitStatus {
    start(root, work, trial).wait().unwrap()
}

/// A folder in memory where there is one: thousands of synced writes.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// The digests that an undisturbed run ends with, by node and unit.
fn undisturbed() -> BTreeMap<(String, String), Digest> {
    let folder = folder();
    let scene = scene(&folder.path().join("store"), 2, &folder.path().join("computed"));
    outputs(&scene.run_with(&options()))
}

fn outputs(report: &RunReport) -> BTreeMap<(String, String), Digest> {
    let units = report.answers.iter().flat_map(|(node, units)| units.iter().map(move |(key, m)| (node, key, m)));
    units.map(|(node, key, m)| ((node.clone(), key.clone()), m.outputs["out"].digest)).collect()
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Runs again in a store whose process was struck, and returns how many finished units were computed once more.
fn lost_after(root: &Path, expected: &BTreeMap<(String, String), Digest>, case: &str) -> usize {
    let computed = root.with_extension("again");
    let _ = fs::remove_file(&computed);
    let scene = scene(root, 2, &computed);
    let planned = mlsm_engine::plan(&scene.graph(), &scene.store, "test", &[]).unwrap();
    let finished: BTreeSet<String> = planned.nodes[0]
        .units
        .iter()
        .filter(|u| u.action == mlsm_engine::Action::Reuse)
        .map(|u| format!("scale photo-{}", u.key.parse::<usize>().unwrap()))
        .collect();
    let report = scene.run_with(&options());
    assert_eq!(report.outcome, "ok", "{case}: {:?}", report.errors);
    assert_eq!(&outputs(&report), expected, "{case}");
    assert_eq!(scene.store.verify(&VerifyOptions::default()).unwrap(), [], "{case}");
    drop(scene);
    collect(root, true).unwrap();
    let store = Store::open(root, Access::ReadOnly).unwrap();
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), [], "{case}, collected");
    for digest in expected.values() {
        store.open_blob(digest).unwrap_or_else(|e| panic!("{case}, collected: {e}"));
    }
    lines(&computed).iter().filter(|line| finished.contains(*line)).count()
}

/// Strikes the same work with each trial in turn; returns how many processes were killed and how many units were lost.
fn strike(trials: Vec<Trial>) -> (usize, usize) {
    let expected = undisturbed();
    let struck = trials.into_par_iter().map(|trial| {
        let folder = folder();
        let root = folder.path().join("store");
        let status = process(&root, "all", &trial);
        (usize::from(!status.success()), lost_after(&root, &expected, &trial.to_string()))
    });
    struck.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

/// How many calls and writes the work makes.
fn calls() -> u64 {
    let folder = folder();
    let root = folder.path().join("store");
    assert!(process(&root, "all", &Trial::default()).success());
    fs::read_to_string(root.with_extension("calls")).unwrap().parse().unwrap()
}

#[test]
fn a_process_killed_at_any_disk_call_loses_no_finished_unit() {
    let calls = calls();
    assert!(calls > 300, "the calls are counted: {calls}");
    let (killed, lost) = strike((0..calls).map(|at| Trial { kill: Some(at), ..Trial::default() }).collect());
    println!("killed at {killed} of {calls} calls: {lost} finished units lost, 0 results wrong");
    // Threads race, so that a run may end a few calls earlier than the one that was counted.
    assert!(killed as u64 > calls * 9 / 10 && lost == 0, "killed {killed}, lost {lost}");
}

#[test]
fn a_process_killed_within_any_write_loses_no_finished_unit() {
    let (killed, lost) = strike((0..calls() / 4).map(|at| Trial { tear: Some(at), ..Trial::default() }).collect());
    println!("killed within {killed} writes: {lost} finished units lost, 0 results wrong");
    assert!(killed > 50 && lost == 0, "killed {killed}, lost {lost}");
}

#[test]
fn a_process_that_runs_out_of_space_anywhere_fails_and_the_next_one_goes_on() {
    let (failed, lost) = strike((0..60).map(|i| Trial { quota: Some(i * 700), ..Trial::default() }).collect());
    assert!(failed > 30 && lost == 0, "failed {failed}, lost {lost}");
}

#[test]
fn a_large_artifact_without_room_is_not_begun_and_the_next_run_goes_on() {
    let folder = folder();
    let root = folder.path().join("store");
    let quota = Trial { quota: Some(LARGE as u64 - 1), ..Trial::default() };
    assert!(!process(&root, "large", &quota).success());
    let told = fs::read_to_string(root.with_extension("errors")).unwrap();
    assert!(told.contains("no room") && told.contains(&LARGE.to_string()), "{told}");
    let largest = fs::read_dir(root.join("staging")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).max();
    assert!(largest.is_none_or(|bytes| bytes == 0), "nothing of it was written: {largest:?}");
    assert!(process(&root, "large", &Trial::default()).success());
    let store = Store::open(&root, Access::ReadOnly).unwrap();
    assert_eq!(store.verify(&VerifyOptions::default()).unwrap(), []);
}

#[test]
fn several_processes_at_once_compute_every_unit_exactly_once() {
    let expected = undisturbed();
    for count in [2u64, 4] {
        for seed in 0..8 {
            let folder = folder();
            let root = folder.path().join("store");
            let trial = |i: u64| Trial { delay: Some(seed * 10 + i), ..Trial::default() };
            let processes: Vec<_> = (0..count).map(|i| start(&root, "run", &trial(i))).collect();
            for mut process in processes {
                assert!(process.wait().unwrap().success(), "{count} processes, seed {seed}");
            }
            let mut computed = lines(&root.with_extension("computed"));
            computed.sort();
            let mut once: Vec<_> =
                (0..CLASSES).map(|i| format!("scale in/photo-{i}")).chain(["sum all".to_owned()]).collect();
            once.sort();
            assert_eq!(computed, once, "{count} processes, seed {seed}");
            let told: u64 = lines(&root.with_extension("told")).iter().map(|line| line.parse::<u64>().unwrap()).sum();
            assert_eq!(told, CLASSES as u64 + 2, "{count} processes, seed {seed}: what they say they computed");
            let report = scene(&root, 2, &root.with_extension("again")).run_with(&options());
            assert!(report.nodes.iter().all(|n| n.outcome == Outcome::Cached));
            assert_eq!(outputs(&report), expected);
        }
    }
}

#[test]
fn a_collection_beside_runs_removes_nothing_that_they_reach() {
    let expected = undisturbed();
    (0..100u64).into_par_iter().for_each(|seed| {
        let folder = folder();
        let root = folder.path().join("store");
        assert!(process(&root, "run", &Trial::default()).success());
        let trial = Trial { delay: Some(seed), ..Trial::default() };
        let mut runs = [start(&root, "run", &trial), start(&root, "all", &trial)];
        let mut collected = 0;
        while runs.iter_mut().any(|run| run.try_wait().unwrap().is_none()) {
            collected += usize::from(collect(&root, false).is_some());
        }
        assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()), "seed {seed}");
        let again = root.with_extension("again");
        let report = scene(&root, 2, &again).run_with(&options());
        assert_eq!(
            lines(&again),
            Vec::<String>::new(),
            "seed {seed}: nothing is computed again ({collected} collections)"
        );
        assert_eq!(outputs(&report), expected, "seed {seed}");
    });
}
