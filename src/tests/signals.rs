//! Signals at random instants: every verb that works ends soon, with its code, and loses nothing.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::predict::own_photos;
use crate::program::{Answer, Finished, command, mlsm};
use crate::scene::{Scene, config, undisturbed};
use crate::shared::machine;

/// How soon after a signal a process must have ended.
const SOON: Duration = Duration::from_secs(2);
/// How long a process that ends by itself never is watched.
const ENDLESS: Duration = Duration::from_secs(3);
/// About when it begins to hear signals.
const STARTED: Duration = Duration::from_millis(15);
/// By when it hears them, however busy the machine is: one that comes earlier may end it as it ends any program.
const HEARS: Duration = Duration::from_millis(200);

/// A verb at work.
struct Work {
    name: &'static str,
    /// The folder that it fills, an interrupted one again and again until it has ended by itself.
    fills: &'static str,
    start: fn(&Bench, &str) -> Command,
}

/// A finished store, photos in a folder and in an archive, photos of one's own, and a bucket that never answers.
struct Bench {
    scene: Scene,
    silent: TcpListener,
}

const WORK: [Work; 10] = [
    Work { name: "run", fills: "running", start: |bench, store| bench.run(store, &config(&bench.scene.data())) },
    Work {
        name: "run that draws",
        fills: "drawing",
        start: |bench, store| bench.run(store, &["--config", "tiny", "ingest"]),
    },
    Work {
        name: "run that unpacks",
        fills: "unpacking",
        start: |bench, store| {
            let mut run = bench.run(store, &["ingest"]);
            run.args(config(&bench.scene.path("photos.tgz")));
            run
        },
    },
    Work {
        name: "run on a bucket that does not answer",
        fills: "cache",
        start: |bench, _| {
            let address = format!("http://{}", bench.silent.local_addr().unwrap());
            let mut run = machine(&bench.scene, &address, "cache", "s3://silent/place");
            run.args(["run", "--output", "json"]).args(config(&bench.scene.data()));
            run
        },
    },
    Work {
        name: "predict",
        fills: "predicting",
        start: |bench, store| {
            let mut predict = bench.on(store);
            predict.arg("predict").arg("--support").arg(bench.scene.path("support"));
            predict.arg("--query").arg(bench.scene.path("query")).args(["--row", "cl2n-conv", "--output", "json"]);
            predict.args(config(&bench.scene.data()));
            predict
        },
    },
    Work {
        name: "push",
        fills: "pushed",
        start: |bench, other| bench.with("store", &["push".into(), bench.scene.path(other)]),
    },
    Work {
        name: "pull",
        fills: "pulled",
        start: |bench, store| bench.with(store, &["pull".into(), bench.scene.store()]),
    },
    Work { name: "verify", fills: "store", start: |bench, store| bench.with(store, &["verify", "--repair"]) },
    Work { name: "gc", fills: "store", start: |bench, store| bench.with(store, &["gc", "--apply"]) },
    Work {
        name: "data synthesize",
        fills: "drawn",
        start: |bench, folder| {
            let mut draw = bench.on("store");
            draw.args(["data", "synthesize"]).arg(bench.scene.path(folder)).args(["--classes", "40"]);
            draw
        },
    },
];

impl Bench {
    fn new() -> Self {
        let scene = Scene::finished();
        own_photos(&scene);
        let packed = Command::new("tar").current_dir(scene.folder()).args(["czf", "photos.tgz", "photos"]).status();
        assert!(packed.unwrap().success());
        Self { scene, silent: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn on(&self, store: &str) -> Command {
        command(&self.scene.path(store))
    }

    fn with<S: AsRef<OsStr>>(&self, store: &str, arguments: &[S]) -> Command {
        let mut command = self.on(store);
        command.args(arguments);
        command
    }

    fn run<S: AsRef<OsStr>>(&self, store: &str, arguments: &[S]) -> Command {
        let mut run = self.with(store, &["run", "--output", "json"]);
        run.args(arguments);
        run
    }

    /// Removes what a verb has filled; the finished store stays.
    fn clear(&self, work: &Work) {
        if work.fills != "store" {
            let _ = fs::remove_dir_all(self.scene.path(work.fills));
        }
    }

    fn check(&self, store: &str, case: &str) {
        let store = self.scene.path(store);
        if store.join("format").exists() {
            let verified = mlsm(&store, ["verify"]);
            assert_eq!(verified.code, 0, "{case}: {verified:?}");
        }
    }
}

/// Signals `count` processes at random instants of what they do; returns what was seen, in words.
pub fn strike(count: u64) -> String {
    let bench = Bench::new();
    let mut chance = Chance(u64::from(std::process::id()));
    let spans = WORK.each_ref().map(|work| {
        if work.fills == "cache" {
            return ENDLESS;
        }
        let begun = Instant::now();
        Answer::of((work.start)(&bench, work.fills).output().unwrap()).ok();
        bench.clear(work);
        begun.elapsed()
    });
    let (mut slowest, mut hits) = (Duration::ZERO, [0; WORK.len()]);
    for i in 0..count {
        let which = (i % WORK.len() as u64) as usize;
        let work = &WORK[which];
        let signal = [Signal::INT, Signal::TERM, Signal::HUP][(i % 3) as usize];
        let mut start = (work.start)(&bench, work.fills);
        let child = start.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pause = STARTED + spans[which].saturating_sub(STARTED).mul_f64(chance.share());
        std::thread::sleep(pause);
        let begun = Instant::now();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap(); // it is there until it is waited for
        let answer = Answer::of(child.wait_with_output().unwrap());
        let took = begun.elapsed();
        let case = format!("signal {i}, {signal:?} to {}", work.name);
        let is_documented = [0, 130].contains(&answer.code) || (answer.code == -1 && pause < HEARS);
        assert!(is_documented, "{case}, after {pause:?}: {answer:?}");
        assert!(took < SOON, "{case}: it ended after {took:?}: {answer:?}");
        match answer.code {
            0 => bench.clear(work), // it was done
            -1 => {}
            _ => {
                hits[which] += 1;
                slowest = slowest.max(took);
                if work.name.starts_with("run") {
                    crate::contract::check(&answer);
                }
            }
        }
        bench.check("store", &case);
        bench.check(work.fills, &case);
    }
    let finished = Finished(Answer::of((WORK[0].start)(&bench, "running").output().unwrap()).ok().json());
    assert_eq!(finished.digests(), undisturbed().digests());
    let each: Vec<_> = WORK.iter().zip(hits).map(|(work, hits)| format!("{hits} {}", work.name)).collect();
    let all: u32 = hits.iter().sum();
    format!(
        "{count} signals, {all} ended what was going on ({}), the slowest after {slowest:?}, 0 results wrong",
        each.join(", ")
    )
}

/// Random numbers of a seed (the constants are Knuth's).
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

#[test]
fn a_few_signals_end_what_is_going_on_soon_and_lose_nothing() {
    println!("{}", strike(WORK.len() as u64));
}
