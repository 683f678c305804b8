//! What must not move while a stage's version stays: how recipes are written, and the bytes of stages that compute in
//! whole numbers. `MLSM_WRITE_FIXTURES=1` writes `fixed/` anew, after the versions were raised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mlsm_engine::{Cancel, Event, Graph, RunIdentity, RunOptions, RunReport, Subscriber};
use mlsm_store::{Digest, Request, Store};

use crate::config::with;
use crate::graph::{assembled, over_store};
use mlsm_pipelines::Purpose;

/// Configurations that together have a unit of every kind.
const CONFIGURATIONS: &[&[(&str, &str)]] = &[
    &[],
    &[("cam.method", "'ddt'"), ("cam.crop_from", "'squashed'"), ("cam.class", "'topk-mean'")],
    &[
        ("evaluate.baselines", "['cl2n:conv+centre-box', 'cl2n:conv+oracle-box']"),
        ("meta-train.mlsm.backbone", "'base-init'"),
        ("meta-train.maml", "{ method = 'maml', embedding = 'conv', n_way = 4 }"),
        ("train-base.conv.resize", "'squash-center'"),
        ("cam.localiser", "'other'"),
    ],
];

/// Nodes whose artifacts hold whole numbers, and what copies them.
const WHOLE_NUMBERS: [&str; 4] = ["splits", "ingest", "crop[source=whole]", "crop[source=centre-box]"];

/// Fails when a line of a fixture differs, with what to do.
fn compare(name: &str, found: &BTreeMap<(String, u32), Digest>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelines/fixed").join(name);
    let lines = found.iter().map(|((stage, version), digest)| format!("{stage} {version} {digest}\n"));
    let found: String = lines.collect();
    if std::env::var_os("MLSM_WRITE_FIXTURES").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let moved: Vec<_> = found.lines().filter(|line| !expected.lines().any(|known| known == *line)).collect();
    assert!(
        moved.is_empty() && found.lines().count() == expected.lines().count(),
        "{name}: {moved:#?}\nraise the version of each stage whose digest moved, then write the fixture again"
    );
}

/// The recipe of every unit, by stage and version, as the bytes that are fingerprinted.
fn recipes(graph: &Graph, found: &mut BTreeMap<(String, u32), BTreeSet<Vec<u8>>>) {
    for task in graph.nodes().iter().flat_map(|n| &n.units).map(|unit| &unit.task) {
        let (name, version) = (task.stage().to_owned(), task.version());
        let request = Request { stage: name.clone(), version, recipe: task.recipe(), inputs: Vec::new() };
        found.entry((name, version)).or_default().insert(request.encode());
    }
}

#[test]
fn a_recipe_is_written_alike_until_its_stages_version_is_raised() {
    let mut found = BTreeMap::new();
    for changes in CONFIGURATIONS {
        let (_folder, assembly) = assembled(&with(changes).unwrap(), Purpose::Plan);
        recipes(&assembly.unwrap().graph, &mut found);
    }
    let digests = found
        .into_iter()
        .map(|(stage, recipes)| (stage, Digest::of(&recipes.into_iter().collect::<Vec<_>>().concat())));
    compare("recipes.txt", &digests.collect());
}

#[test]
fn stages_of_whole_numbers_give_the_same_bytes_until_their_version_is_raised() {
    let config = with(&[("evaluate.baselines", "['pixels', 'cl2n:conv+grad-cam', 'cl2n:conv+centre-box']")]).unwrap();
    let (_folder, store, assembly) = over_store(&config, Purpose::Run);
    let graph = assembly.unwrap().graph;
    let report = ran(&graph, &store, &WHOLE_NUMBERS, &|_: &Event| {});
    let mut found = BTreeMap::new();
    for node in graph.nodes().iter().filter(|node| WHOLE_NUMBERS.contains(&node.id.as_str())) {
        let made = node.units.iter().map(|unit| &report.answers[&node.id][&unit.key()].outputs);
        let bytes: Vec<u8> = made.flatten().flat_map(|(_, output)| output.digest.as_bytes().to_vec()).collect();
        found.insert((node.id.clone(), node.units[0].task.version()), Digest::of(&bytes));
    }
    compare("artifacts.txt", &found);
}

/// Runs some nodes with one thread.
pub fn ran(graph: &Graph, store: &Store, targets: &[&str], subscriber: &dyn Subscriber) -> RunReport {
    let identity = RunIdentity {
        run_id: "1".to_owned(),
        config_name: "whole".to_owned(),
        config_digest: Digest::of(b""),
        version: "0".to_owned(),
        device: "cpu".to_owned(),
    };
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    let options = RunOptions { targets, threads: 1, ..RunOptions::default() };
    let clock = || "2026-01-01T00:00:00Z".to_owned();
    let report = mlsm_engine::run(graph, store, &identity, &options, &Cancel::default(), subscriber, &clock).unwrap();
    assert_eq!(report.outcome, "ok", "{:?}", report.errors);
    report
}
