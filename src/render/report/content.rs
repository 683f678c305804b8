//! What a report is written from: read by `cmd/report`, each part whole, or the reason why the store does not have it.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_pipelines::album::{HeatMap, Square};
use mlsm_pipelines::results::Summary;
use mlsm_store::RunRecord;

/// A part of a report, or why it is left out.
pub type Found<T> = Result<T, String>;

/// A report's parts.
pub struct Content {
    /// The id of the run.
    pub run_id: String,
    /// What the run log says of it.
    pub run: Found<RunRecord>,
    /// The results.
    pub summary: Summary,
    /// What was measured during training.
    pub curves: Found<Vec<CurvePoint>>,
    /// Which classes were taken for which.
    pub confusions: Found<Confusions>,
    /// One episode of a row.
    pub episode: Found<EpisodeShown>,
    /// Where embeddings of novel photos lie.
    pub embedding: Found<EmbeddingMap>,
    /// Boxes on photos, node after node.
    pub galleries: Found<Vec<Gallery>>,
    /// The whole photos that the report shows, by id.
    pub photos: BTreeMap<i64, Square>,
    /// What is known of them.
    pub lines: BTreeMap<i64, PhotoLine>,
    /// The nodes of the run.
    pub times: Found<Vec<NodeTime>>,
    /// The nodes of the run, and what each read.
    pub lineage: Found<Vec<LineageNode>>,
    /// The configuration.
    pub configuration: Found<Configuration>,
}

/// A value of the table `training`.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// The node that was trained.
    pub node: String,
    /// The part that it was measured on.
    pub split: String,
    /// What was measured.
    pub metric: String,
    /// Steps before it was measured.
    pub step: i64,
    /// The value.
    pub value: f64,
}

/// Counts of the table `predictions`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confusions {
    /// For each node, how often a true class was predicted as another.
    pub counts: BTreeMap<String, BTreeMap<(i64, i64), u64>>,
    /// The names of the classes that were asked for.
    pub classes: BTreeMap<i64, String>,
    /// A photo of each class, where one is at hand.
    pub examples: BTreeMap<i64, i64>,
}

/// An episode of the table `episodes`, and what was predicted in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpisodeShown {
    /// The node that measured it.
    pub node: String,
    /// Its index.
    pub episode: i64,
    /// The share of right predictions.
    pub accuracy: f64,
    /// Its labelled photos, class after class.
    pub support: Vec<i64>,
    /// Labelled photos of each class.
    pub k_shot: usize,
    /// The photos that were classified, class after class.
    pub queries: Vec<QueryShown>,
    /// The names of its classes.
    pub classes: BTreeMap<i64, String>,
}

impl EpisodeShown {
    /// Returns the classes in the order of the support set, and of each query's scores.
    pub fn order(&self) -> Vec<i64> {
        self.queries.iter().fold(Vec::new(), |mut order, query| {
            if !order.contains(&query.class_id) {
                order.push(query.class_id);
            }
            order
        })
    }
}

/// Embeddings of photos of novel classes, projected on their two directions of most variance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingMap {
    /// The node that embedded them.
    pub node: String,
    /// The length of the embeddings.
    pub dim: usize,
    /// The share of the variance that lies in each direction.
    pub variance: [f64; 2],
    /// The photos, and where they lie.
    pub points: Vec<(PhotoLine, [f64; 2])>,
}

/// A row of the table `predictions`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryShown {
    /// The photo.
    pub image_id: i64,
    /// Its class.
    pub class_id: i64,
    /// The class with the largest score.
    pub predicted_class_id: i64,
    /// The score of each class of the episode.
    pub scores: Vec<f32>,
}

/// A photo of the table `images`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhotoLine {
    /// Its id.
    pub image_id: i64,
    /// Its path in the data set.
    pub path: String,
    /// Its class.
    pub class_id: i64,
    /// The name of the class.
    pub class_name: String,
    /// Base, val or novel.
    pub split: String,
    /// Width and height.
    pub size_px: [f64; 2],
    /// The true box, where the data set has one: left, upper edge, width, height.
    pub true_box: Option<[f64; 4]>,
}

/// A row of the table `crops`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoxLine {
    /// The photo.
    pub image_id: i64,
    /// Left, upper edge, width, height.
    pub drawn: [f64; 4],
    /// The base class whose map was used.
    pub cam_class_id: Option<i64>,
    /// Whether nothing was found, and the whole photo was taken.
    pub is_fallback: bool,
    /// Intersection over union with the true box.
    pub iou: Option<f64>,
}

/// A box on a photo, and what the store has of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The box.
    pub line: BoxLine,
    /// Its photo.
    pub photo: PhotoLine,
    /// The name of the class whose map was used.
    pub cam_class: Option<String>,
    /// The map.
    pub heat: Option<HeatMap>,
    /// What was cut out.
    pub object: Option<Square>,
}

/// Some boxes of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Gallery {
    /// The node that drew them.
    pub node: String,
    /// Base, val or novel.
    pub part: String,
    /// How many boxes the node drew there.
    pub boxes: usize,
    /// Those that are shown, under a title.
    pub groups: Vec<(&'static str, Vec<Shown>)>,
}

/// A node of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeTime {
    /// The node.
    pub node: String,
    /// Its stage.
    pub stage: String,
    /// How it ended.
    pub outcome: String,
    /// Elapsed seconds.
    pub seconds: f64,
    /// Why it was executed.
    pub reason: String,
    /// Where it was reused: the run that had computed it, and the seconds that took.
    pub earlier: Option<(String, f64)>,
}

/// A node of the run, and the nodes before it that it read from, by their places in the run.
#[derive(Clone, Debug, PartialEq)]
pub struct LineageNode {
    /// The node.
    pub node: String,
    /// Its stage.
    pub stage: String,
    /// How it ended.
    pub outcome: String,
    /// The nodes that it read from.
    pub reads: BTreeSet<usize>,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Every key, as TOML.
    pub toml: String,
    /// The preset that says the same.
    pub preset: Option<String>,
}
