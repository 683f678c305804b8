//! The results of a finished run in one small structure: rows, paired differences, boxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use mlsm_data::{Part, mean_ci};
use mlsm_engine::RunReport;
use mlsm_store::{Answer, Store};
use serde::{Deserialize, Serialize};

use crate::artifact::read_table;
use crate::assemble::NodeKind;
use crate::error::misfit;
use crate::stages::crop::read_audit;
use crate::{AssembleError, Assembly};

mod compare;
mod row;

pub use row::{Cell, RowColumn, RowSpec};

/// One row of the table `results`; accuracies are shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// The node that measured it.
    pub node: String,
    /// What it is.
    #[serde(flatten)]
    pub spec: RowSpec,
    /// The episodes that it was measured on.
    pub episodes: i64,
    /// The mean accuracy over episodes.
    pub accuracy: f64,
    /// Half the 95 % confidence interval of that mean.
    pub ci95: f64,
}

impl ResultRow {
    /// Joins a description with the accuracy measured in each episode.
    fn new(node: &str, spec: RowSpec, accuracies: &[f64]) -> Self {
        let measured = mean_ci(accuracies);
        let episodes = accuracies.len() as i64;
        Self { node: node.to_owned(), spec, episodes, accuracy: measured.mean, ci95: measured.ci95 }
    }

    /// Returns the columns of the table `results`, but the node.
    pub fn columns(&self) -> Vec<(&'static str, Cell)> {
        let measured = [
            ("episodes", Cell::Int(Some(self.episodes))),
            ("accuracy", Cell::Real(Some(self.accuracy))),
            ("ci95", Cell::Real(Some(self.ci95))),
        ];
        self.spec.columns().into_iter().map(|column| (column.name, column.cell)).chain(measured).collect()
    }
}

/// A row over several seeds of its training; shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AverageRow {
    /// The nodes, one for each seed.
    pub nodes: Vec<String>,
    /// The seeds, in the same order.
    pub seeds: Vec<i64>,
    /// The mean over seeds and episodes.
    pub accuracy: f64,
    /// Half the 95 % confidence interval over episodes of the mean over seeds.
    pub ci95: f64,
    /// The standard deviation between the seeds' accuracies.
    pub spread: f64,
}

/// The difference of two rows on the same episodes, each its mean over seeds; shares of 1.
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
    /// Half its 95 % confidence interval over episodes.
    pub ci95: f64,
    /// The standard deviation between the seeds' differences, where there are several.
    #[serde(default)] // a summary of an earlier version has none
    pub spread: Option<f64>,
    /// The seeds of training.
    #[serde(default)]
    pub seeds: usize,
    /// How many of them have a difference of the mean's sign.
    #[serde(default)]
    pub agreeing: usize,
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
    /// Those that were trained with several seeds, taken together.
    #[serde(default)] // a summary of an earlier version has none
    pub averages: Vec<AverageRow>,
    /// Their differences to the controls.
    pub paired: Vec<PairedRow>,
    /// The boxes.
    pub crops: Vec<CropRow>,
    /// What people should read beside it.
    pub warnings: Vec<String>,
    /// The fingerprints of all nodes: the same list, the same results.
    pub fingerprints: BTreeMap<String, String>,
}

/// Reads the results of a run out of the store.
///
/// # Errors
/// [`AssembleError`] when an artifact is damaged.
pub(crate) fn summary(assembly: &Assembly, store: &Store, report: &RunReport) -> Result<Summary, AssembleError> {
    let mut rows = Vec::new();
    let mut crops = Vec::new();
    for node in assembly.graph.nodes() {
        let Some(answers) = report.answers.get(&node.id) else { continue };
        match &assembly.kinds[&node.id] {
            NodeKind::Evaluate { row } => {
                // Of a row that is measured in slices: what joins them.
                for answer in answers.values().filter(|answer| answer.outputs.contains_key("episodes")) {
                    rows.push(read_row(store, &node.id, row, answer)?);
                }
            }
            NodeKind::Crop => crops.extend(audit(assembly, store, &node.id, answers)?),
            _ => {}
        }
    }
    let fingerprints = fingerprints(report);
    let warnings = localiser_warning(&crops).into_iter().collect();
    let measured = compare::over_seeds(&rows);
    let averages = compare::averages(&measured);
    let paired = compare::differences(&measured);
    let results = rows.into_iter().map(|(row, _)| row).collect();
    Ok(Summary { results, averages, paired, crops, warnings, fingerprints })
}

pub(crate) fn fingerprints(report: &RunReport) -> BTreeMap<String, String> {
    report.nodes.iter().filter_map(|n| Some((n.node.clone(), n.fingerprint?.to_string()))).collect()
}

fn batches(store: &Store, answer: &Answer, output: &str) -> Result<Vec<RecordBatch>, AssembleError> {
    let digest = answer.outputs.get(output).map(|o| o.digest);
    let digest = digest.ok_or_else(|| misfit("cannot read an answer", format!("it has no output {output}")))?;
    Ok(read_table(&store.open_blob(&digest)?)?)
}

/// A row and its accuracy in each episode.
type Row = (ResultRow, Vec<f64>);

/// Joins the description of a row with what its artifact holds.
fn read_row(store: &Store, node: &str, spec: &RowSpec, answer: &Answer) -> Result<Row, AssembleError> {
    let mut accuracies = Vec::new();
    for batch in batches(store, answer, "episodes")? {
        let column = batch.column_by_name("accuracy").and_then(|c| c.as_primitive_opt::<Float64Type>());
        let column =
            column.ok_or_else(|| misfit(format!("cannot read the episodes of {node}"), "they have no accuracy"))?;
        accuracies.extend_from_slice(column.values());
    }
    Ok((ResultRow::new(node, spec.clone(), &accuracies), accuracies))
}

fn audit(
    assembly: &Assembly,
    store: &Store,
    node: &str,
    answers: &BTreeMap<String, Arc<Answer>>,
) -> Result<Vec<CropRow>, AssembleError> {
    let mut rows = Vec::new();
    for part in Part::ALL {
        let (mut ious, mut fallback) = (Vec::new(), 0);
        for shard in assembly.shards.iter().filter(|s| s.part == part) {
            let Some(output) = answers.get(&format!("{}/boxes", shard.id)).and_then(|m| m.outputs.get("crops")) else {
                continue;
            };
            let table = read_audit(&store.open_blob(&output.digest)?)?;
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
