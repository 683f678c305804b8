//! The results of a finished run in one small structure: rows, paired differences, boxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use mlsm_data::{Part, paired};
use mlsm_engine::{RunReport, StageError};
use mlsm_store::{Manifest, Store};
use serde::{Deserialize, Serialize};

use crate::artifact::read_table;
use crate::assemble::NodeKind;
use crate::stages::crop::read_audit;
use crate::{AssembleError, Assembly};

/// One row of the table `results`; accuracies are shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the columns of the table, described in README.md
pub struct ResultRow {
    pub node: String,
    pub method: String,
    pub levels: String,
    pub backbone: String,
    pub mode: String,
    pub weights: String,
    pub cam: String,
    pub image_source: String,
    pub n_way: i64,
    pub k_shot: i64,
    pub n_query: i64,
    pub episodes: i64,
    pub accuracy: f64,
    pub ci95: f64,
    pub paper_accuracy: Option<f64>,
    pub protocol: String,
    pub dataset: String,
    pub split: String,
    pub seed: i64,
}

/// The difference of two rows on the same episodes; shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedRow {
    /// The row.
    pub row: String,
    /// What is taken off it.
    pub minus: String,
    /// The shots of both.
    pub k_shot: i64,
    /// The protocol of both.
    pub protocol: String,
    /// The mean difference.
    pub difference: f64,
    /// Half its 95 % confidence interval.
    pub ci95: f64,
}

/// Boxes of one rule on the classes of one part, measured against true ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CropRow {
    /// The node that drew them.
    pub node: String,
    /// Base, val or novel.
    pub part: String,
    /// Photos with a true box.
    pub photos: usize,
    /// Mean intersection over union.
    pub mean_iou: f64,
    /// The share with an IoU of at least one half.
    pub share_iou_50: f64,
    /// Photos on which nothing was found and the whole photo was taken.
    pub fallback: usize,
}

/// What a finished run prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The measured rows.
    pub results: Vec<ResultRow>,
    /// Their differences to the controls.
    pub paired: Vec<PairedRow>,
    /// The boxes.
    pub crops: Vec<CropRow>,
    /// What people should read beside it.
    pub warnings: Vec<String>,
    /// The fingerprints of all nodes: the same list, the same results.
    pub fingerprints: BTreeMap<String, String>,
}

struct Row {
    result: ResultRow,
    accuracies: Vec<f64>,
}

/// Reads the results of a run out of the store.
///
/// # Errors
/// [`AssembleError`] when an artifact is damaged.
pub(crate) fn summary(assembly: &Assembly, store: &Store, report: &RunReport) -> Result<Summary, AssembleError> {
    let mut rows = Vec::new();
    let mut crops = Vec::new();
    for node in assembly.graph.nodes() {
        let Some(manifests) = report.manifests.get(&node.id) else { continue };
        match &assembly.kinds[&node.id] {
            NodeKind::Evaluate { .. } => {
                for manifest in manifests.values() {
                    rows.push(read_row(assembly, store, &node.id, manifest)?);
                }
            }
            NodeKind::Crop => crops.extend(audit(assembly, store, &node.id, manifests)?),
            _ => {}
        }
    }
    let fingerprints = fingerprints(report);
    let warnings = localiser_warning(&crops).into_iter().collect();
    let paired = differences(&rows);
    Ok(Summary { results: rows.into_iter().map(|r| r.result).collect(), paired, crops, warnings, fingerprints })
}

pub(crate) fn fingerprints(report: &RunReport) -> BTreeMap<String, String> {
    report.nodes.iter().filter_map(|n| Some((n.node.clone(), n.fingerprint?.to_string()))).collect()
}

fn batches(store: &Store, manifest: &Manifest, output: &str) -> Result<Vec<RecordBatch>, AssembleError> {
    let digest = manifest.outputs.get(output).map(|o| o.digest);
    let digest = digest.ok_or_else(|| AssembleError::Data(format!("a manifest has no output {output}")))?;
    read_table(&store.open_blob(&digest)?).map_err(|e: StageError| AssembleError::Data(e.to_string()))
}

fn read_row(assembly: &Assembly, store: &Store, node: &str, manifest: &Arc<Manifest>) -> Result<Row, AssembleError> {
    let results = batches(store, manifest, "results")?;
    let first = results.first().ok_or_else(|| AssembleError::Data(format!("{node} has no result")))?;
    let text = |name: &str| {
        let column = first.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        column.map_or_else(String::new, |c| c.value(0).to_owned())
    };
    let int = |name: &str| {
        first.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>()).map_or(0, |c| c.value(0))
    };
    let real = |name: &str| {
        let column = first.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
        column.is_valid(0).then(|| column.value(0))
    };
    let result = ResultRow {
        node: node.to_owned(),
        method: text("method"),
        levels: text("levels"),
        backbone: text("backbone"),
        mode: text("mode"),
        weights: text("weights"),
        cam: text("cam"),
        image_source: text("image_source"),
        n_way: int("n_way"),
        k_shot: int("k_shot"),
        n_query: int("n_query"),
        episodes: int("episodes"),
        accuracy: real("accuracy").unwrap_or(f64::NAN),
        ci95: real("ci95").unwrap_or(f64::NAN),
        paper_accuracy: real("paper_accuracy"),
        protocol: text("protocol"),
        dataset: assembly.dataset.clone(),
        split: assembly.split.clone(),
        seed: int("seed"),
    };
    let mut accuracies = Vec::new();
    for batch in batches(store, manifest, "episodes")? {
        let column = batch.column_by_name("accuracy").and_then(|c| c.as_primitive_opt::<Float64Type>());
        accuracies.extend(column.into_iter().flat_map(|c| c.values().to_vec()));
    }
    Ok(Row { result, accuracies })
}

/// Compares what people ask about: each learnt row with the training-free ones, the levels with each other, and the
/// method with levels with the methods without.
fn differences(rows: &[Row]) -> Vec<PairedRow> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|r| r.result.is_learnt()) {
        let same =
            |other: &&Row| (other.result.k_shot, &other.result.protocol) == (row.result.k_shot, &row.result.protocol);
        for other in rows.iter().filter(same).filter(|other| is_compared(&row.result, &other.result)) {
            let difference = paired(&row.accuracies, &other.accuracies);
            found.push(PairedRow {
                row: title(&row.result),
                minus: title(&other.result),
                k_shot: row.result.k_shot,
                protocol: row.result.protocol.clone(),
                difference: difference.mean,
                ci95: difference.ci95,
            });
        }
    }
    found
}

impl ResultRow {
    /// Tells whether the row has learnt in episodes.
    fn is_learnt(&self) -> bool {
        self.method != "pixels" && !self.method.starts_with("cl2n:")
    }
}

fn is_compared(row: &ResultRow, other: &ResultRow) -> bool {
    let is_control = |row: &ResultRow| matches!(row.image_source.as_str(), "whole-twice" | "centre-box" | "oracle-box");
    if !other.is_learnt() {
        return !is_control(row) && (other.backbone == "none" || other.backbone == row.backbone);
    }
    let has_levels = |row: &ResultRow| !row.levels.is_empty();
    if has_levels(row) && !has_levels(other) {
        return !is_control(row) && row.seed == other.seed;
    }
    let is_main = row.levels == "I+G+O" && !is_control(row) && row.image_source != "raw";
    let same_family = (&row.method, row.seed) == (&other.method, other.seed);
    same_family && is_main && row.node != other.node
}

fn title(row: &ResultRow) -> String {
    let levels = if row.levels.is_empty() { String::new() } else { format!(" {}", row.levels) };
    let source = if row.image_source == "raw" { String::new() } else { format!(" ({})", row.image_source) };
    let seed = if !row.is_learnt() || row.seed == 0 { String::new() } else { format!(" seed {}", row.seed) };
    let mode = if row.mode == "frozen" { String::new() } else { format!(" {}", row.mode) };
    format!("{}{levels}{source}{mode}{seed}", row.method)
}

fn audit(
    assembly: &Assembly,
    store: &Store,
    node: &str,
    manifests: &BTreeMap<String, Arc<Manifest>>,
) -> Result<Vec<CropRow>, AssembleError> {
    let mut rows = Vec::new();
    for part in Part::ALL {
        let (mut ious, mut fallback) = (Vec::new(), 0);
        for shard in assembly.shards.iter().filter(|s| s.part == part) {
            let Some(output) = manifests.get(&format!("{}/boxes", shard.id)).and_then(|m| m.outputs.get("crops"))
            else {
                continue;
            };
            let table =
                read_audit(&store.open_blob(&output.digest)?).map_err(|e| AssembleError::Data(e.to_string()))?;
            for (_, iou, fell_back) in table {
                ious.extend(iou.map(f64::from));
                fallback += usize::from(fell_back);
            }
        }
        if !ious.is_empty() {
            let photos = ious.len();
            rows.push(CropRow {
                node: node.to_owned(),
                part: part.to_string(),
                photos,
                mean_iou: ious.iter().sum::<f64>() / photos as f64,
                share_iou_50: ious.iter().filter(|iou| **iou >= 0.5).count() as f64 / photos as f64,
                fallback,
            });
        }
    }
    Ok(rows)
}

/// A localiser that is worse than no localiser should not go unnoticed.
fn localiser_warning(crops: &[CropRow]) -> Option<String> {
    let iou = |node: &str| crops.iter().find(|c| c.node == node && c.part == "novel").map(|c| c.mean_iou);
    let (cam, whole) = (iou("crop")?, iou("crop[source=whole]")?);
    (cam < whole).then(|| {
        format!("Grad-CAM's boxes fit worse than the whole photo on novel classes (mean IoU {cam:.3} < {whole:.3})")
    })
}
