//! Random histories of a store against a plain model: runs of four configurations, one at a time and two at once, stops,
//! failures, photos that are edited, collections, damage that is repaired, pushes and pulls.
//!
//! After every step the model knows of each answer whether it is there, is gone, or may be either. A run must compute what is
//! gone and nothing that is there, each unit once, and end with the bytes that the model computes from the photos. Twenty
//! histories here; `PROPTEST_CASES=300` tries more, and a failure is shrunk to its shortest form.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mlsm_engine::{Cancel, Context, RunOptions, RunReport, StageError};
use mlsm_remote::{LocalPeer, Selection};
use mlsm_store::{Access, Digest, Finding, Store, VerifyOptions};
use proptest::prelude::*;

use crate::scene::{Scene, joined, keep_last_runs};

const PHOTOS: usize = 3;
/// What a photo may show; scaling makes the first two equal.
const CONTENTS: [&str; 4] = ["one ", "ONE ", "two ", "six "];
/// The parameters of `scale` and `report` in each configuration.
const CONFIGS: [(i64, i64); 4] = [(1, 1), (1, 2), (2, 1), (2, 2)];

/// Names what a unit has made, from its inputs.
type Name = Box<dyn Fn(&Context<'_>, &str) -> String + Send + Sync>;

#[derive(Clone, Debug)]
enum Step {
    Run { config: usize },
    Twice { config: usize },
    Stop { config: usize, after: usize },
    Fail { config: usize },
    Edit { photo: usize, content: usize },
    Collect,
    Damage { which: usize },
    Push,
    Pull,
}

fn step() -> impl Strategy<Value = Step> {
    let config = || 0..CONFIGS.len();
    prop_oneof![
        4 => config().prop_map(|config| Step::Run { config }),
        2 => config().prop_map(|config| Step::Twice { config }),
        2 => (config(), 1..5usize).prop_map(|(config, after)| Step::Stop { config, after }),
        1 => config().prop_map(|config| Step::Fail { config }),
        3 => (0..PHOTOS, 0..CONTENTS.len()).prop_map(|(photo, content)| Step::Edit { photo, content }),
        2 => Just(Step::Collect),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Damage { which: which.index(64) }),
        1 => Just(Step::Push),
        1 => Just(Step::Pull),
    ]
}

/// Whether an answer is in a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Yes,
    Maybe,
}

/// The answers that a store has, by unit; one that is not here is gone.
type Answers = BTreeMap<String, Known>;

/// A unit as the model names it, and the bytes that it makes.
type Made = (String, Vec<u8>);

/// What happened in a run: the units that computed, in order.
type Log = Arc<Mutex<Vec<String>>>;

struct History {
    folder: tempfile::TempDir,
    photos: Vec<usize>,
    here: Answers,
    there: Answers,
    /// The units of each configuration's last complete run.
    complete: BTreeMap<usize, BTreeSet<String>>,
    /// The digest of what each unit makes.
    digests: BTreeMap<String, Digest>,
    /// Units whose bytes were damaged, and nothing since had the same bytes.
    lost: BTreeSet<String>,
}

impl History {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            photos: vec![0, 2, 3],
            here: Answers::new(),
            there: Answers::new(),
            complete: BTreeMap::new(),
            digests: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The pipeline of a configuration over the photos as they are now, and what it will have computed.
    fn scene(&self, config: usize) -> (Scene, Log) {
        let (mut scene, log) = (Scene::at(&self.root("here")), Log::default());
        (scene.factor, scene.report_factor) = CONFIGS[config];
        scene.config = format!("config-{config}");
        scene.photos = self.photos.iter().map(|content| CONTENTS[*content].as_bytes().to_vec()).collect();
        let (factor, report_factor) = CONFIGS[config];
        let noted = |name: Name, upper: bool| {
            let log = log.clone();
            move |context: &Context<'_>| {
                let bytes = joined(context)?;
                log.lock().unwrap().push(name(context, &String::from_utf8_lossy(&bytes)));
                Ok(if upper { bytes.to_ascii_uppercase() } else { bytes })
            }
        };
        let shard = |context: &Context<'_>| context.inputs()[0].name.rsplit('-').next().unwrap().to_owned();
        scene.scale = Arc::new(noted(Box::new(move |c, bytes| format!("scale {factor} {} {bytes}", shard(c))), true));
        scene.sum = Arc::new(noted(Box::new(|_, bytes| format!("sum {bytes}")), false));
        scene.report = Arc::new(noted(Box::new(move |_, bytes| format!("report {report_factor} {bytes}")), false));
        (scene, log)
    }

    /// The units of a configuration in the order in which they can be computed, and what each makes.
    fn units(&self, config: usize) -> Vec<Made> {
        let (factor, report_factor) = CONFIGS[config];
        let scaled = self.photos.iter().enumerate().map(|(i, content)| {
            let photo = CONTENTS[*content];
            (format!("scale {factor} {i} {photo}"), photo.to_ascii_uppercase().into_bytes())
        });
        let mut units: Vec<Made> = scaled.collect();
        let sum: Vec<u8> = units.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let text = String::from_utf8_lossy(&sum).into_owned();
        units.push((format!("sum {text}"), sum.clone()));
        units.push((format!("report {report_factor} {text}"), sum));
        units
    }

    /// Compares what a run computed with what it had to; `until`: how many units it was let compute.
    fn compare(&mut self, config: usize, computed: &[String], until: Option<usize>) -> Result<(), TestCaseError> {
        let units = self.units(config);
        let distinct: BTreeSet<&String> = computed.iter().collect();
        prop_assert_eq!(distinct.len(), computed.len(), "computed twice: {:?}", computed);
        for (unit, bytes) in &units {
            self.digests.insert(unit.clone(), Digest::of(bytes));
        }
        let photos = self.photos.iter().map(|content| Digest::of(CONTENTS[*content].as_bytes()));
        let made = photos.chain(computed.iter().filter_map(|unit| self.digests.get(unit).copied())).collect();
        self.restore(&made);
        for name in computed {
            prop_assert!(units.iter().any(|(unit, _)| unit == name), "{} is no unit of this configuration", name);
            prop_assert!(self.here.get(name) != Some(&Known::Yes), "{} was there and was computed again", name);
        }
        if until.is_none() {
            for (unit, _) in units.iter().filter(|(unit, _)| !self.here.contains_key(unit)) {
                prop_assert!(distinct.contains(unit), "{} was gone and was not computed", unit);
            }
        }
        // The last unit of a stopped run may have ended before the run saw that it was to stop.
        let last = until.and(computed.last());
        for name in computed {
            let known = if last == Some(name) { Known::Maybe } else { Known::Yes };
            self.here.insert(name.clone(), known);
        }
        Ok(())
    }

    fn whole(&mut self, config: usize, report: &RunReport) -> Result<(), TestCaseError> {
        prop_assert_eq!(report.outcome, "ok");
        let units = self.units(config);
        let (_, expected) = units.last().unwrap();
        let made = &report.answers["report:all"].values().next().unwrap().outputs["out"].digest;
        let store = Store::open(&self.root("here"), Access::ReadOnly).unwrap();
        prop_assert_eq!(&store.open_blob(made).unwrap()[..], &expected[..], "a stale result");
        self.here.extend(units.iter().map(|(unit, _)| (unit.clone(), Known::Yes)));
        self.complete.insert(config, units.into_iter().map(|(unit, _)| unit).collect());
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Run { config } => {
                let (scene, log) = self.scene(*config);
                let report = scene.run();
                let computed = log.lock().unwrap().clone();
                self.compare(*config, &computed, None)?;
                self.whole(*config, &report)
            }
            Step::Twice { config } => self.twice(*config),
            Step::Stop { config, after } => self.stop(*config, *after),
            Step::Fail { config } => self.fail(*config),
            Step::Edit { photo, content } => {
                self.photos[*photo] = *content;
                Ok(())
            }
            Step::Collect => self.collect(),
            Step::Damage { which } => self.damage(*which),
            Step::Push => self.push(),
            Step::Pull => self.pull(),
        }
    }

    /// Two processes at once, as far as the store can tell: what one computes, the other waits for.
    fn twice(&mut self, config: usize) -> Result<(), TestCaseError> {
        let ((one, log), (other, other_log)) = (self.scene(config), self.scene(config));
        let (first, second) = rayon::join(|| one.run(), || other.run());
        let computed = [log.lock().unwrap().clone(), other_log.lock().unwrap().clone()].concat();
        self.compare(config, &computed, None)?;
        self.whole(config, &first)?;
        self.whole(config, &second)
    }

    fn stop(&mut self, config: usize, after: usize) -> Result<(), TestCaseError> {
        let (mut scene, log) = self.scene(config);
        let cancel = Cancel::default();
        for work in [&mut scene.scale, &mut scene.sum, &mut scene.report] {
            let (inner, cancel, log) = (work.clone(), cancel.clone(), log.clone());
            *work = Arc::new(move |context| {
                let made = inner(context)?;
                if log.lock().unwrap().len() >= after {
                    cancel.cancel();
                }
                Ok(made)
            });
        }
        let options = RunOptions { threads: 1, ..RunOptions::default() };
        let report = scene.try_run(&options, &cancel).unwrap();
        let computed = log.lock().unwrap().clone();
        match report.outcome {
            "ok" => {
                self.compare(config, &computed, None)?;
                self.whole(config, &report)
            }
            _ => self.compare(config, &computed, Some(after)),
        }
    }

    fn fail(&mut self, config: usize) -> Result<(), TestCaseError> {
        let (mut scene, log) = self.scene(config);
        scene.sum = Arc::new(|_| Err(StageError::Failed("no".into())));
        let report = scene.run();
        let mut computed = log.lock().unwrap().clone();
        if report.outcome == "ok" {
            self.compare(config, &computed, None)?;
            return self.whole(config, &report);
        }
        computed.sort(); // its shards end in any order, and all of them were let end
        self.compare(config, &computed, Some(usize::MAX))?;
        self.here.extend(computed.into_iter().map(|unit| (unit, Known::Yes)));
        Ok(())
    }

    /// What the last complete runs reach stays; of anything else the model does not know which runs keep it.
    fn collect(&mut self) -> Result<(), TestCaseError> {
        let store = Store::open(&self.root("here"), Access::ReadOnly);
        let Ok(store) = store else { return Ok(()) };
        let options = keep_last_runs();
        let removed = store.apply_gc(&options, &mut || ControlFlow::Continue(())).unwrap();
        prop_assert!(removed.is_some());
        prop_assert!(store.plan_gc(&options).unwrap().is_empty(), "a second collection would remove more");
        let kept: BTreeSet<&String> = self.complete.values().flatten().collect();
        for (unit, known) in &mut self.here {
            if !kept.contains(unit) {
                *known = Known::Maybe;
            }
        }
        Ok(())
    }

    /// Flips a byte of an artifact, and repairs: exactly the answer that it was is gone.
    fn damage(&mut self, which: usize) -> Result<(), TestCaseError> {
        let Ok(store) = Store::open(&self.root("here"), Access::ReadWrite) else { return Ok(()) };
        let blobs = files(&self.root("here").join("blobs"));
        let Some(path) = blobs.get(which % blobs.len().max(1)) else { return Ok(()) };
        let mut bytes = fs::read(path).unwrap();
        let damaged = Digest::of(&bytes);
        bytes[0] ^= 0x40;
        fs::remove_file(path).unwrap(); // it is read-only
        fs::write(path, &bytes).unwrap();
        let findings = store.verify(&VerifyOptions::default()).unwrap();
        prop_assert!(!findings.is_empty(), "the damage was not found");
        store.repair(&findings).unwrap();
        let lost: Vec<String> =
            self.here.keys().filter(|unit| self.digests.get(*unit) == Some(&damaged)).cloned().collect();
        self.here.retain(|unit, _| !lost.contains(unit));
        self.lost.extend(lost);
        Ok(())
    }

    /// Answers whose bytes were lost hold again where something else has the same bytes.
    fn restore(&mut self, bytes: &BTreeSet<Digest>) {
        let restored: Vec<String> =
            self.lost.iter().filter(|unit| bytes.contains(&self.digests[*unit])).cloned().collect();
        for unit in restored {
            self.lost.remove(&unit);
            self.here.entry(unit).or_insert(Known::Maybe);
        }
    }

    fn push(&mut self) -> Result<(), TestCaseError> {
        let Ok(here) = Store::open(&self.root("here"), Access::ReadOnly) else { return Ok(()) };
        let there = LocalPeer(Store::open(&self.root("there"), Access::ReadWrite).unwrap());
        mlsm_remote::push(&here, &there, &Selection::All, &|_, _| ()).unwrap();
        merge(&self.here, &mut self.there);
        Ok(())
    }

    fn pull(&mut self) -> Result<(), TestCaseError> {
        let Ok(there) = Store::open(&self.root("there"), Access::ReadOnly) else { return Ok(()) };
        let here = Store::open(&self.root("here"), Access::ReadWrite).unwrap();
        mlsm_remote::pull(&here, &LocalPeer(there), &Selection::All, &|_, _| ()).unwrap();
        merge(&self.there, &mut self.here);
        let brought = self.there.keys().map(|unit| self.digests[unit]).collect();
        self.restore(&brought);
        Ok(())
    }
}

/// Brings answers from one store to another: what is surely there is surely brought.
fn merge(from: &Answers, to: &mut Answers) {
    for (unit, known) in from {
        let entry = to.entry(unit.clone()).or_insert(*known);
        if *known == Known::Yes {
            *entry = Known::Yes;
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn replay(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut history = History::new();
    steps.iter().try_for_each(|step| history.take(step))?;
    // Whatever happened, every configuration comes to the model's result, and the store is whole but for what was damaged and
    // no configuration needs any more.
    for config in 0..CONFIGS.len() {
        history.take(&Step::Run { config })?;
    }
    let store = Store::open(&history.root("here"), Access::ReadOnly).unwrap();
    let findings = store.verify(&VerifyOptions::default()).unwrap();
    let lost: BTreeSet<&Digest> = history.lost.iter().map(|unit| &history.digests[unit]).collect();
    let is_known = |finding: &Finding| matches!(finding, Finding::MissingBlob { digest, .. } if lost.contains(digest));
    prop_assert!(findings.iter().all(is_known), "{:?}", findings);
    Ok(())
}

#[test]
fn no_history_loses_recomputes_or_serves_what_is_stale() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let histories = prop::collection::vec(step(), 1..14);
    runner.run(&histories, |steps| replay(&steps)).unwrap();
}
