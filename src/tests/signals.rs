//! Signals at random instants: every verb that works ends soon, with its code, and loses nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Answer, Finished, command, mlsm};
use crate::scene::{Scene, config, undisturbed};

/// How soon after a signal a process must have ended.
const SOON: Duration = Duration::from_secs(2);

/// Random numbers of a seed (the constants are Knuth's).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The verbs that work, over a scene; each call gives one of them.
fn verb(scene: &Scene, which: u64) -> Command {
    let store = scene.store();
    let mut command = command(&store);
    let new = |name: &str| scene.path(name).display().to_string();
    match which % 7 {
        0 | 1 => command.args(["run", "--output", "json"]).args(config(&scene.data())),
        2 => command.args(["run", "--output", "json", "--config", "tiny", "ingest"]), // draws its photos first
        3 => command.args(["push", &new("other")]),
        4 => command.args(["verify", "--repair"]),
        5 => command.args(["gc", "--apply"]),
        _ => {
            let _ = fs::remove_dir_all(scene.path("drawn"));
            command.args(["data", "synthesize", &new("drawn"), "--classes", "40"])
        }
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Signals `count` processes at random instants; returns what was seen, in words.
pub fn strike(count: u64) -> String {
    let scene = Scene::photos();
    let mut chance = Chance(u64::from(std::process::id()));
    let (mut slowest, mut hit) = (Duration::ZERO, 0);
    for i in 0..count {
        let signal = [Signal::INT, Signal::TERM, Signal::HUP][(i % 3) as usize];
        let child = verb(&scene, i).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(600 + chance.below(3000)));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let begun = Instant::now();
        let was_there = kill_process(pid, signal).is_ok();
        let answer = Answer::of(child.wait_with_output().unwrap());
        let took = begun.elapsed();
        let is_documented = [0, 1, 4, 130].contains(&answer.code);
        assert!(is_documented, "signal {i}, verb {}: {answer:?}", i % 7);
        assert!(took < SOON, "signal {i}, verb {}: it ended after {took:?}: {answer:?}", i % 7);
        if i % 7 < 3 && answer.code == 130 {
            crate::contract::check(&answer);
        }
        if was_there && answer.code == 130 {
            hit += 1;
            slowest = slowest.max(took);
        }
        if scene.store().join("format").exists() {
            let verified = mlsm(&scene.store(), ["verify"]);
            assert_eq!(verified.code, 0, "after signal {i}, verb {}: {verified:?}", i % 7);
        }
    }
    assert_eq!(ended(&scene.store(), &scene).digests(), undisturbed().digests());
    format!("{count} signals, {hit} ended what was going on, the slowest after {slowest:?}, 0 results wrong")
}

fn ended(store: &Path, scene: &Scene) -> Finished {
    let arguments = ["run", "--output", "json"].map(str::to_owned).into_iter().chain(config(&scene.data()));
    Finished(mlsm(store, arguments).ok().json())
}

#[test]
fn a_few_signals_end_what_is_going_on_soon_and_lose_nothing() {
    println!("{}", strike(9));
}
