//! Every switch changes what it should: one at a time, against the tiny configuration. It takes minutes, so it runs on
//! demand: `make switches` prints the table.

use std::collections::BTreeSet;
use std::path::Path;

use mlsm_pipelines::Config;
use serde_json::Value;

use crate::program::{Finished, mlsm};

/// What is left as it is in every row: one model, and a second base CNN to look for objects with.
const COMMON: &[&str] =
    &["meta-train.mlsm.levels=\"I+G+O\"", "train-base.other={width=8, head=\"gap\", steps=20, lr=1e-2}"];

/// A switch: what is set besides on both sides, the key, the values, and the first stage that is redone.
struct Switch(&'static [&'static str], &'static str, &'static [&'static str], &'static str);

const END_TO_END: &str = "meta-train.mlsm.backbone=\"end-to-end\"";
const VARIED: &[&str] = &[END_TO_END, "meta-train.mlsm.augmentation=\"standard\""];
const LOCALISER: &str = "cam.localiser=\"other\"";
const AUGMENTED: &[&str] = &["train-base.conv.augmentation=\"standard\""];

#[rustfmt::skip]
const SWITCHES: &[Switch] = &[
    Switch(&[], "splits.seed", &["5"], "splits"),
    Switch(&[], "train-base.conv.backbone", &["\"conv4-np21\"", "\"conv4-pooled\""], "train-base"),
    Switch(&[], "train-base.conv.width", &["12"], "train-base"),
    Switch(&[], "cam.localiser", &["\"other\""], "crop"),
    Switch(&[LOCALISER], "train-base.conv.resize", &["\"squash-center\""], "ingest"),
    Switch(&[], "train-base.conv.norm", &["\"dataset\"", "\"relnet\""], "train-base"),
    Switch(&[], "train-base.conv.precision", &["\"bf16\""], "train-base"),
    Switch(&[], "train-base.conv.head", &["\"grid\"", "\"flat\"", "\"cosine\""], "train-base"),
    Switch(&[], "train-base.conv.augmentation", &["\"standard\""], "train-base"),
    Switch(AUGMENTED, "train-base.conv.augmentation_area", &["0.8"], "train-base"),
    Switch(AUGMENTED, "train-base.conv.augmentation_jitter", &["0.0"], "train-base"),
    Switch(&[], "train-base.conv.steps", &["30"], "train-base"),
    Switch(&[], "train-base.conv.batch", &["16"], "train-base"),
    Switch(&[], "train-base.conv.lr", &["3e-3"], "train-base"),
    Switch(&[], "train-base.conv.weight_decay", &["1e-2"], "train-base"),
    Switch(&["train-base.conv.weight_decay=1e-2"], "train-base.conv.optimizer", &["\"adamw\""], "train-base"),
    Switch(&[], "train-base.conv.holdout", &["0.3"], "train-base"),
    Switch(&[], "train-base.conv.seed", &["4"], "train-base"),
    Switch(&[], "cam.method", &["\"cam\"", "\"ddt\"", "\"class-free\""], "crop"),
    Switch(&[], "cam.class", &["\"label-if-base\"", "\"topk-mean\""], "crop"),
    Switch(&["cam.method=\"ddt\""], "cam.layers_back", &["1"], "crop"),
    Switch(&["cam.method=\"class-free\""], "cam.layers_back", &["2"], "crop"),
    Switch(&[], "cam.region", &["\"largest-component\""], "crop"),
    Switch(&[], "cam.threshold", &["0.6"], "crop"),
    Switch(&[], "cam.margin", &["0.2"], "crop"),
    Switch(&["cam.threshold=0.6"], "cam.min_box", &["0.6"], "crop"),
    Switch(&[], "cam.crop_from", &["\"squashed\""], "crop"),
    Switch(&[], "extract.maps", &["\"f32\""], "extract"),
    Switch(&[], "meta-train.mlsm.backbone", &["\"end-to-end\""], "extract"), // of maps no more
    Switch(&[], "meta-train.mlsm.backbone", &["\"base-init\""], "meta-train"),
    Switch(&[END_TO_END], "meta-train.mlsm.share_encoder", &["false"], "meta-train"),
    Switch(&[END_TO_END], "meta-train.mlsm.encoder_lr", &["1e-4"], "meta-train"),
    Switch(&[], "meta-train.mlsm.embedding", &["\"other\""], "extract"),
    Switch(&[], "meta-train.mlsm.levels", &["\"I\"", "\"G\"", "\"O\"", "\"I+G\"", "\"I+O\"", "\"G+O\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.object", &["\"whole-twice\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.object", &["\"centre-box\"", "\"oracle-box\""], "crop"),
    Switch(&[], "meta-train.mlsm.pair", &["\"concat\"", "\"concat+absdiff+product\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.loss", &["\"mse\"", "\"bce\""], "meta-train"),
    Switch(&["meta-train.mlsm.loss=\"bce\""], "meta-train.mlsm.pos_weight", &["4.0"], "meta-train"),
    Switch(&[], "meta-train.mlsm.anchor", &["\"cl2n\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.fusion", &["\"vec64\"", "\"map\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.fusion_point", &["\"scores\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.fuse_norm", &["\"none\"", "\"mean\"", "\"gate\"", "\"layernorm\"", "\"scalars\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.gap_source", &["\"image+object\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.shot_pool", &["\"sum\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.sim_hidden", &["[8]", "[256, 64]"], "meta-train"),
    Switch(&[], "meta-train.mlsm.share_adjust", &["false"], "meta-train"),
    Switch(&[END_TO_END], "meta-train.mlsm.augmentation", &["\"standard\""], "meta-train"),
    Switch(VARIED, "meta-train.mlsm.augmentation_area", &["0.8"], "meta-train"),
    Switch(VARIED, "meta-train.mlsm.augmentation_jitter", &["0.0"], "meta-train"),
    Switch(&[], "meta-train.mlsm.pairs", &["\"query+support\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.n_way", &["3"], "meta-train"),
    Switch(&[], "meta-train.mlsm.train_shot", &["3", "[2, 4]"], "meta-train"),
    Switch(&[], "meta-train.mlsm.shot_models", &["\"each\""], "meta-train"),
    Switch(&[], "meta-train.mlsm.train_query", &["3"], "meta-train"),
    Switch(&[], "meta-train.mlsm.episodes", &["10"], "meta-train"),
    Switch(&[], "meta-train.mlsm.tasks", &["5"], "meta-train"),
    // At the usual rate the last model does best, however often models are compared.
    Switch(&["meta-train.mlsm.lr=0.02"], "meta-train.mlsm.val_every", &["3"], "meta-train"),
    Switch(&[], "meta-train.mlsm.lr", &["1e-2"], "meta-train"),
    Switch(&[], "meta-train.mlsm.schedule", &["\"halve\""], "meta-train"),
    Switch(&["meta-train.mlsm.schedule=\"halve\""], "meta-train.mlsm.lr_halve_every", &["5"], "meta-train"),
    Switch(&[], "meta-train.mlsm.clip", &["0.05"], "meta-train"),
    Switch(&[], "meta-train.mlsm.clip_value", &["1e-3"], "meta-train"),
    Switch(&[], "meta-train.mlsm.weight_decay", &["0.1"], "meta-train"),
    Switch(&[], "meta-train.mlsm.seeds", &["7"], "meta-train"),
    Switch(&[], "meta-train.mlsm.bn_eval", &["\"batch\""], "evaluate"),
    Switch(&[], "evaluate.episodes", &["40"], "evaluate"),
    Switch(&[], "evaluate.n_query", &["6"], "evaluate"),
    Switch(&[], "evaluate.n_way", &["3"], "evaluate"),
    Switch(&[], "evaluate.seed", &["9"], "evaluate"),
];

/// Keys that are no switches of results, or that say where to look rather than what to do.
const OTHERS: &[&str] = &[
    "train-base.conv.weights",      // needs a file
    "cam.audit",                    // adds boxes that no row looks at
    "meta-train.mlsm.method",       // `make methods-smoke`
    "meta-train.mlsm.image_source", // of other methods
    "meta-train.mlsm.val_episodes", // of selection: another choice only where two models are close
    "meta-train.mlsm.val_way",      // the same
    "meta-train.mlsm.val_query",    // the same
    "meta-train.mlsm.patience",     // the same
    "evaluate.protocol",            // the tiny configuration says its own numbers
    "evaluate.k_shot",              // adds rows
    "evaluate.predictions",         // keeps them or not
    "evaluate.baselines",           // adds rows
    "evaluate.slice_episodes",      // parts the work, not the tables
];

/// The one value that must change nothing but the maps' scale: on a linear head over the mean, Grad-CAM is CAM divided by
/// the number of positions (Selvaraju et al. 2017, section 3.1).
const IDENTITY: &str = "cam.method=\"cam\"";

/// What a run gave for the row: digests of its predictions, accuracies in percent, and the stages that were computed.
struct Row {
    predictions: Vec<Value>,
    accuracies: Vec<f64>,
    executed: Vec<String>,
}

fn run(store: &Path, sets: &[&str]) -> Row {
    let sets = COMMON.iter().chain(sets).flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> = ["run", "--config", "tiny", "--output", "json"].into_iter().chain(sets).collect();
    let finished = Finished(mlsm(store, &arguments).ok().json());
    let rows = finished.digests().into_iter().filter(|(node, ..)| node.as_str().unwrap().starts_with("evaluate:mlsm["));
    let sql = "SELECT accuracy FROM results WHERE method = 'mlsm' ORDER BY k_shot";
    let found = mlsm(store, ["query", sql, "--format", "json"]).ok().json();
    Row {
        predictions: rows.map(|(_, _, outputs)| outputs["predictions"].clone()).collect(),
        accuracies: found.as_array().unwrap().iter().map(|row| 100.0 * row["accuracy"].as_f64().unwrap()).collect(),
        executed: finished.executed_stages().into_iter().map(str::to_owned).collect(),
    }
}

#[test]
#[ignore = "takes minutes: make switches"]
fn every_switch_changes_what_it_should() {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("switches");
    let _ = std::fs::remove_dir_all(&store); // what is redone is part of the test
    let mut failed = Vec::new();
    let print = |key: &str, value: &str, from: &str, row: &Row| {
        let accuracies: Vec<_> = row.accuracies.iter().map(|a| format!("{a:6.2}")).collect();
        println!("{key:<38} {value:<26} {from:<10} {}", accuracies.join("  "));
    };
    println!("{:<38} {:<26} {:<10} 1-shot  5-shot", "switch", "value", "redone from");
    for Switch(besides, key, values, from) in SWITCHES {
        let base = run(&store, besides);
        print(&besides.join(" "), "", "", &base);
        for value in *values {
            let set = format!("{key}={value}");
            let row = run(&store, &[besides, &[set.as_str()][..]].concat());
            let redone = row.executed.first().map_or("nothing", String::as_str);
            print(key, value, redone, &row);
            if (row.predictions == base.predictions) != (set == IDENTITY) {
                failed.push(format!("{set} changes nothing, or what it must not"));
            }
            if redone != *from {
                failed.push(format!("{set} is redone from {redone}, not from {from}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_table_of_switches_knows_every_key() {
    let text = include_str!("../../configs/tiny.toml");
    let config = Config::from_table(text.parse().unwrap()).unwrap();
    let documented: BTreeSet<String> =
        include_str!("../../configs/README.md").lines().filter_map(documented_key).collect();
    let tabled: BTreeSet<&str> = SWITCHES.iter().map(|Switch(_, key, ..)| *key).chain(OTHERS.iter().copied()).collect();
    for section in ["train-base.conv", "cam", "extract", "meta-train.mlsm", "evaluate"] {
        let whole = toml::Value::Table(config.resolved());
        let found = section.split('.').try_fold(&whole, |at, name| at.get(name));
        for key in found.unwrap().as_table().unwrap().keys() {
            let path = format!("{section}.{key}");
            assert!(tabled.contains(path.as_str()), "{path} is missing from the table of switches");
            assert!(documented.contains(key), "{path} is missing from configs/README.md");
        }
    }
}

/// Returns the key of a line of a table of keys.
fn documented_key(line: &str) -> Option<String> {
    line.strip_prefix("| `")?.split('`').next().map(str::to_owned)
}
