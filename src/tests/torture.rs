//! The real pipeline, killed again and again: `make torture`. It takes an hour, so it runs on demand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Answer, Finished, command, mlsm};
use crate::scene::{Scene, config, undisturbed};

/// Runs the tiny pipeline over a scene's photos while `trial` lasts.
fn tried(store: &Path, data: &Path, trial: &str) -> Answer {
    assert!(cfg!(feature = "trial"), "`make torture` builds the program that listens to MLSM_TRIAL");
    let mut command = command(store);
    command.env("MLSM_TRIAL", trial).arg("run").args(config(data));
    Answer::of(command.output().expect("the program starts"))
}

/// Runs undisturbed, and holds the end against what an undisturbed run had: returns how many finished shards were redone.
fn rerun(store: &Path, data: &Path, case: &str) -> u64 {
    let finished_before = finished_shards(store);
    let arguments = ["run", "--output", "json"].map(str::to_owned).into_iter().chain(config(data));
    let finished = Finished(mlsm(store, arguments).ok().json());
    assert_eq!(finished.digests(), undisturbed().digests(), "{case}");
    assert_eq!(mlsm(store, ["verify"]).code, 0, "{case}");
    let executed: u64 = nodes(&finished.0).map(|n| n["shards"]["executed"].as_u64().unwrap()).sum();
    let all: u64 = nodes(&finished.0)
        .map(|n| n["shards"]["executed"].as_u64().unwrap() + n["shards"]["cached"].as_u64().unwrap())
        .sum();
    (executed + finished_before).saturating_sub(all)
}

fn nodes(finished: &Value) -> impl Iterator<Item = &Value> {
    finished["nodes"].as_array().unwrap().iter()
}

/// Counts the shards of the undisturbed run all of whose units have a manifest in this store.
fn finished_shards(store: &Path) -> u64 {
    let record: Value = {
        let scene = Scene::finished();
        let file = fs::read_dir(scene.store().join("runs")).unwrap().next().unwrap().unwrap().path();
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    };
    let is_there = |fingerprint: &Value| {
        let hex = fingerprint.as_str().unwrap();
        store.join("manifests").join(&hex[..2]).join(format!("{}.json", &hex[2..])).exists()
    };
    let mut count = 0;
    for node in nodes(&record) {
        let mut shards = std::collections::BTreeMap::<&str, bool>::new();
        for (key, fingerprint) in node["units"].as_object().unwrap() {
            *shards.entry(key.split('/').next().unwrap()).or_insert(true) &= is_there(fingerprint);
        }
        count += shards.values().filter(|whole| **whole).count() as u64;
    }
    count
}

#[test]
#[ignore = "takes long: make torture"]
fn torture_tiny_killed_at_every_tenth_disk_call() {
    let scene = Scene::photos();
    let (mut kills, mut lost) = (0, 0);
    for call in (0..).step_by(10) {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        match tried(&store, &scene.data(), &format!("kill={call}")).code {
            0 => break,
            -1 => kills += 1,
            code => panic!("killed at call {call}, it ended with {code}"),
        }
        lost += rerun(&store, &scene.data(), &format!("killed at call {call}"));
    }
    println!("tiny: {kills} kills, {kills} reruns, {lost} finished shards redone, 0 wrong results");
    assert!(kills > 50 && lost == 0, "{kills} kills, {lost} lost");
}

#[test]
#[ignore = "takes long: make torture"]
fn torture_demo_killed_at_fifty_random_instants() {
    let folder = tempfile::tempdir().unwrap();
    let run = |store: &Path| {
        let mut command = command(store);
        command.args(["run", "--config", "demo", "--output", "json"]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let begun = Instant::now();
    let whole = folder.path().join("whole");
    assert!(run(&whole).status().unwrap().success());
    let span = begun.elapsed();
    let struck = folder.path().join("struck");
    let mut state = u64::from(std::process::id());
    let mut kills = 0;
    while kills < 50 {
        // Up to a tenth of the whole: most kills fall into the trainings, and the run gets on between them.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = span.mul_f64((state >> 33) as f64 / (1u64 << 31) as f64 / 10.0);
        let mut process = run(&struck).spawn().unwrap();
        std::thread::sleep(pause + Duration::from_millis(50));
        if process.try_wait().unwrap().is_some() {
            fs::remove_dir_all(&struck).unwrap(); // it was done: from the start again
            continue;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        kills += 1;
        if struck.join("format").exists() {
            assert_eq!(mlsm(&struck, ["verify"]).code, 0, "after kill {kills}");
        }
    }
    let digests =
        |store: &Path| Finished(mlsm(store, ["run", "--config", "demo", "--output", "json"]).ok().json()).digests();
    assert_eq!(digests(&struck), digests(&whole));
    println!("demo: {kills} kills, each followed by a run that went on, 0 wrong results; undisturbed {span:?}");
}

#[test]
#[ignore = "takes long: make torture"]
fn torture_tiny_on_a_disk_that_is_too_small() {
    let scene = Scene::photos();
    let Some(disk) = Disk::mount(scene.path("disk")) else {
        println!("disk: none could be mounted, which takes root");
        return;
    };
    let mut full = 0;
    for megabytes in 1.. {
        disk.resize(megabytes);
        let store = disk.0.join("store");
        let arguments = ["run"].map(str::to_owned).into_iter().chain(config(&scene.data()));
        let answer = mlsm(&store, arguments);
        match answer.code {
            0 => break,
            3 => full += 1,
            code => panic!("on {megabytes} MB it ended with {code}: {}", answer.stderr),
        }
        assert!(answer.stderr.contains("fix: "), "{}", answer.stderr);
        if store.join("format").exists() {
            assert_eq!(mlsm(&store, ["verify"]).code, 0, "on {megabytes} MB");
        }
    }
    println!("disk: full {full} times, enlarged by 1 MB each time, the run went on");
    assert!(full > 0);
    assert_eq!(rerun(&disk.0.join("store"), &scene.data(), "enlarged"), 0);
}

/// A small disk in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at))
    }

    fn resize(&self, megabytes: u32) {
        let status = Command::new("mount").args(["-o", &format!("remount,size={megabytes}m")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// The program is asked to stop at two hundred random instants, by each signal in turn.
#[test]
#[ignore = "takes long: make torture"]
fn torture_signals_at_two_hundred_random_instants() {
    let report = crate::signals::strike(200);
    println!("signals: {report}");
}

/// A byte of every file of a finished store is flipped.
#[test]
#[ignore = "takes long: make torture"]
fn torture_a_byte_flipped_in_every_file() {
    let (files, told) = crate::flips::strike(1);
    println!("flips: {files} files, {told} answers refused, 0 wrong figures printed");
}

/// The last line of JSON on a disk that is full after so many bytes.
#[test]
#[ignore = "takes long: make torture"]
fn torture_the_last_line_on_a_full_disk() {
    let scene = Scene::photos();
    let mut full = 0;
    for step in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(&folder.path().join("store"));
        command.env("MLSM_TRIAL", format!("quota={}", step * 40_000)).args(["run", "--output", "json"]);
        let answer = Answer::of(command.args(config(&scene.data())).output().unwrap());
        crate::contract::check(&answer);
        match answer.code {
            0 => break,
            3 => full += 1,
            code => panic!("at step {step} it ended with {code}: {}", answer.stderr),
        }
    }
    println!("last line: {full} full disks, each ended with one run-finished");
}
