//! The graph of a configuration: which units there are, what identifies them, and which photos they may see.

use std::collections::BTreeSet;

use mlsm_data::Part;
use mlsm_engine::{Cancel, Event, Graph, InputSource};
use mlsm_errors::{Explain, Fix};
use mlsm_pipelines::{
    AssembleError, Assembly, Config, DeviceChoice, Execution, Preparation, Purpose, Scene, assemble, prepare,
};
use mlsm_store::{Access, Store, StoreError};
use tempfile::TempDir;

use crate::config::with;

pub fn assembled(config: &Config, purpose: Purpose) -> (TempDir, Result<Assembly, AssembleError>) {
    let (folder, _, assembly) = over_store(config, purpose);
    (folder, assembly)
}

pub fn over_store(config: &Config, purpose: Purpose) -> (TempDir, Store, Result<Assembly, AssembleError>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Access::ReadWrite).unwrap();
    let scene = prepared(config, &store, purpose, &Cancel::default());
    let assembly = scene.and_then(|scene| assemble(config, &scene, &CPU));
    (folder, store, assembly)
}

const CPU: Execution = Execution { device: DeviceChoice::Cpu };

fn prepared(config: &Config, store: &Store, purpose: Purpose, cancel: &Cancel) -> Result<Scene, AssembleError> {
    prepare(
        config,
        &Preparation {
            store,
            purpose,
            cancel,
            subscriber: &|_: &Event| {},
            objects: &|_: &str| Err(StoreError::Stopped),
        },
    )
}

fn graph(changes: &[(&str, &str)]) -> Graph {
    assembled(&with(changes).unwrap(), Purpose::Plan).1.unwrap().graph
}

/// Everything but inputs that identifies units: stage, version, recipe.
fn recipes(graph: &Graph) -> BTreeSet<String> {
    let units = graph.nodes().iter().flat_map(|n| &n.units);
    units.map(|u| format!("{} {} {:?}", u.task.stage(), u.task.version(), u.task.recipe())).collect()
}

/// One other value of every key that changes results.
const SWITCHES: &[(&str, &str)] = &[
    ("seed", "7"),
    ("splits.seed", "7"),
    ("splits.ratios", "[0.4, 0.3, 0.3]"),
    ("train-base.conv.backbone", "'conv4-pooled'"),
    ("train-base.conv.width", "8"),
    ("train-base.conv.head", "'flat'"),
    ("train-base.conv.augmentation", "'standard'"),
    ("train-base.conv.augmentation_area", "0.6"),
    ("train-base.conv.augmentation_jitter", "0.1"),
    ("train-base.conv.steps", "7"),
    ("train-base.conv.batch", "7"),
    ("train-base.conv.lr", "0.7"),
    ("train-base.conv.optimizer", "'adamw'"),
    ("train-base.conv.weight_decay", "0.7"),
    ("train-base.conv.holdout", "0.2"),
    ("train-base.conv.seed", "7"),
    ("cam.method", "'ddt'"),
    ("cam.threshold", "0.7"),
    ("cam.margin", "0.1"),
    ("cam.min_box", "0.1"),
    ("cam.crop_from", "'squashed'"),
    ("extract.maps", "'f32'"),
    ("meta-train.mlsm.backbone", "'end-to-end'"),
    ("meta-train.mlsm.backbone", "'base-init'"),
    ("meta-train.mlsm.levels", "'I'"),
    ("meta-train.mlsm.pair", "'concat'"),
    ("meta-train.mlsm.loss", "'mse'"),
    ("meta-train.mlsm.pos_weight", "4"),
    ("meta-train.mlsm.pairs", "'query+support'"),
    ("meta-train.mlsm.anchor", "'cl2n'"),
    ("meta-train.mlsm.fusion", "'vec64'"),
    ("meta-train.mlsm.fusion", "'map'"),
    ("meta-train.mlsm.fusion_point", "'scores'"),
    ("meta-train.mlsm.fuse_norm", "'layernorm'"),
    ("meta-train.mlsm.gap_source", "'image+object'"),
    ("meta-train.mlsm.shot_pool", "'sum'"),
    ("meta-train.mlsm.sim_hidden", "[7]"),
    ("meta-train.mlsm.share_adjust", "false"),
    ("meta-train.mlsm.n_way", "3"),
    ("meta-train.mlsm.train_shot", "1"),
    ("meta-train.mlsm.train_query", "7"),
    ("meta-train.mlsm.episodes", "7"),
    ("meta-train.mlsm.val_every", "7"),
    ("meta-train.mlsm.val_episodes", "7"),
    ("meta-train.mlsm.val_way", "3"),
    ("meta-train.mlsm.val_query", "7"),
    ("meta-train.mlsm.patience", "7"),
    ("meta-train.mlsm.lr", "0.7"),
    ("meta-train.mlsm.schedule", "'halve'"),
    ("meta-train.mlsm.lr_halve_every", "7"),
    ("meta-train.mlsm.clip", "0.7"),
    ("meta-train.mlsm.weight_decay", "0.7"),
    ("meta-train.mlsm.seeds", "7"),
    ("evaluate.protocol", "'paper'"),
    ("evaluate.episodes", "7"),
    ("evaluate.n_query", "7"),
    ("evaluate.n_way", "3"),
    ("evaluate.k_shot", "3"),
    ("evaluate.predictions", "'none'"),
    ("evaluate.seed", "7"),
];

#[test]
fn every_switch_changes_a_recipe() {
    let before = recipes(&graph(&[]));
    for change in SWITCHES {
        assert_ne!(recipes(&graph(&[*change])), before, "{change:?} changes nothing");
    }
}

#[test]
fn the_layer_of_a_map_matters_where_no_class_is_asked() {
    let layer = |method: &str| {
        let [last, before] = ["0", "1"].map(|n| recipes(&graph(&[("cam.method", method), ("cam.layers_back", n)])));
        last != before
    };
    assert!(layer("'ddt'") && layer("'class-free'") && !layer("'grad-cam'"));
}

#[test]
fn where_and_how_fast_changes_no_recipe() {
    let before = recipes(&graph(&[]));
    for change in [("numerics.threads", "7"), ("data.strict", "true"), ("data.shard_photos", "7")] {
        assert_eq!(recipes(&graph(&[change])), before, "{change:?}");
    }
}

#[test]
fn a_row_of_many_episodes_has_slices_that_do_not_know_how_many_there_are() {
    let row = |episodes: &str| {
        let graph = graph(&[("evaluate.episodes", episodes)]);
        let node = graph.nodes().iter().find(|node| node.id == "evaluate:pixels[k_shot=5]").unwrap().clone();
        node.units.iter().map(|unit| (unit.key(), format!("{:?}", unit.task.recipe()))).collect::<Vec<_>>()
    };
    let keys = |row: &[(String, String)]| row.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&row("2500")), [""]);
    let (longer, longest) = (row("6000"), row("7500"));
    assert_eq!(keys(&longer), ["episodes-0-2499", "episodes-2500-4999", "episodes-5000-5999", ""]);
    assert_eq!(longer[..2], longest[..2], "full slices are the same of any row");
    assert_ne!(longer[2], longest[2]);
    let refused = with(&[("evaluate.episodes", "1000000"), ("evaluate.slice_episodes", "9")]).unwrap_err();
    assert!(refused.explain().what.contains("slice_episodes"), "{}", refused.explain());
}

#[test]
fn nothing_that_learns_sees_a_photo_of_a_novel_class() {
    let (_folder, assembly) = assembled(&with(&[]).unwrap(), Purpose::Run);
    let graph = assembly.unwrap().graph;
    let novel_inputs = |stage: &str| {
        let units = graph.nodes().iter().filter(|n| n.stage == stage).flat_map(|n| &n.units);
        units.flat_map(|u| &u.inputs).filter(|i| i.port.ends_with("-novel")).count()
    };
    assert!(novel_inputs("evaluate") > 0);
    assert_eq!((novel_inputs("train-base"), novel_inputs("meta-train")), (0, 0));
    // The port is not all: the shards that are read are those that `evaluate` reads as base and val, or none of its.
    let sources = |stage: &str, part: Option<Part>| -> BTreeSet<(usize, usize)> {
        let units = graph.nodes().iter().filter(|n| n.stage == stage).flat_map(|n| &n.units);
        let inputs =
            units.flat_map(|u| &u.inputs).filter(|i| part.is_none_or(|part| i.port.ends_with(&part.to_string())));
        inputs
            .filter_map(|i| match &i.source {
                InputSource::Output(from, _) => Some((from.node.0, from.unit)),
                _ => None,
            })
            .collect()
    };
    let seen: BTreeSet<_> = sources("train-base", None).into_iter().chain(sources("meta-train", None)).collect();
    assert!(sources("evaluate", Some(Part::Novel)).is_disjoint(&seen));
}

#[test]
fn a_graph_is_a_function_of_configuration_and_scene() {
    let config = with(&[("cam.method", "'ddt'"), ("meta-train.mlsm.seeds", "[0, 1]")]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Access::ReadWrite).unwrap();
    let scene = prepared(&config, &store, Purpose::Run, &Cancel::default()).unwrap();
    drop(store);
    folder.close().unwrap(); // neither the store nor the photos exist any more
    let written = |assembly: &Assembly| -> Vec<String> {
        let units = assembly.graph.nodes().iter().flat_map(|n| n.units.iter().map(move |u| (&n.id, u)));
        units.map(|(id, u)| format!("{id} {} {:?} {:?}", u.key(), u.task.recipe(), u.inputs)).collect()
    };
    let (first, second) = (assemble(&config, &scene, &CPU).unwrap(), assemble(&config, &scene, &CPU).unwrap());
    assert!(first.graph.nodes().len() > 10);
    assert_eq!(written(&first), written(&second));
}

#[test]
fn a_request_to_stop_ends_the_preparation_and_what_was_drawn_is_not_kept() {
    let config = with(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Access::ReadWrite).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = prepared(&config, &store, Purpose::Run, &cancel);
    assert!(matches!(stopped, Err(AssembleError::Cancelled)));
    assert_eq!(drawn(folder.path()), 0);
}

/// How many data sets a store keeps.
fn drawn(store: &std::path::Path) -> usize {
    std::fs::read_dir(store.join("datasets")).map_or(0, |found| found.flatten().count())
}

#[test]
fn a_plan_draws_nothing_and_a_run_draws_once() {
    let config = with(&[]).unwrap();
    let (folder, planned) = assembled(&config, Purpose::Plan);
    assert!(planned.is_ok());
    assert!(!folder.path().join("datasets").exists());
    let (folder, _) = assembled(&config, Purpose::Run);
    assert_eq!(drawn(folder.path()), 1);
}

#[test]
fn rows_share_everything_upstream_and_each_has_its_own_nodes() {
    let graph = graph(&[
        ("meta-train.mlsm.levels", "['I', 'I+G', 'I+G+O']"),
        ("meta-train.mlsm.object", "['grad-cam', 'whole-twice']"),
        ("meta-train.mlsm.seeds", "[0, 1]"),
    ]);
    let count = |stage: &str| graph.nodes().iter().filter(|n| n.stage == stage).count();
    // I, I+G, I+G+O with two objects; two seeds each; evaluated at two shots, and three baselines.
    assert_eq!((count("extract"), count("meta-train"), count("evaluate")), (1, 8, 16 + 6));
}

#[test]
fn what_the_data_cannot_fill_is_refused_before_anything_is_computed() {
    let refusal = |changes: &[(&str, &str)]| assembled(&with(changes).unwrap(), Purpose::Run).1.err().unwrap();
    let error = refusal(&[("evaluate.n_way", "5")]);
    assert!(matches!(&error, AssembleError::Data(said) if said.what.contains("novel")), "{error}");
    assert_eq!(error.explain().fixes[0], Fix::lower("n_way"));
    let error = refusal(&[("meta-train.mlsm.train_query", "100")]);
    assert!(matches!(&error, AssembleError::Data(said) if said.what.contains("base")), "{error}");
    let error = refusal(&[(
        "train-base.other",
        "{ backbone = 'efficientnet-lite0', weights = 'efficientnet-lite0', head = 'gap' }",
    )]);
    let is_to_be_fetched = |fix: &Fix| matches!(fix, Fix::FetchWeights { name, .. } if name == "efficientnet-lite0");
    assert!(matches!(&error, AssembleError::Config(said) if said.fixes.iter().any(is_to_be_fetched)), "{error}");
    let error = refusal(&[("splits.rule", "'nonesuch'")]);
    assert!(matches!(&error, AssembleError::Config(said) if said.why[0].contains("closerlook")), "{error}");
}
