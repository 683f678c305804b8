//! `evaluate`: measures one row on episodes of novel classes, from what is stored.
//!
//! Every row of one setting is measured on the same episodes, a function of the seed alone, so that rows can be
//! compared pair by pair. This is the only stage that reads novel labels, and only to count what was right.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlsm_data::{Episode, EpisodeSpec, ImageId, mean_ci};
use mlsm_engine::{Context, Outputs, Stage, StageError};
use mlsm_nets::{Metric, cl2n, class_mean_scores, unpack};
use mlsm_store::Field;
use tch::{Device, Kind, Tensor};

use super::extract::floats;
use super::{field, net_error};
use crate::artifact::{Column, Gallery, table};
use crate::config::{BackboneMode, BnEval};
use crate::model::{Model, ModelRecipe, Represented, Rows, accuracy};
use crate::runtime::Runtime;

/// How queries are scored.
#[derive(Clone)]
pub enum Scoring {
    /// A method with the weights of input `weights`, on the features or pixels `image/novel/` and `object/novel/`.
    Method {
        /// The method.
        recipe: ModelRecipe,
        /// What batch normalisation goes by, where the method has no rule of its own. By the batch, rows are pixels, and
        /// a method that learnt on stored features has the base CNN of input `backbone` in front of it.
        bn_eval: BnEval,
    },
    /// Nearest class mean of centred, unit-length embeddings (SimpleShot, Wang et al. 2019), on `image/base/`,
    /// `image/novel/`, and the same under `object/` where an object's embedding is joined.
    Cl2n {
        /// Whether there is an object.
        with_object: bool,
    },
    /// Nearest class mean of raw pixels, Euclidean, on `pixels/novel/`.
    Pixels,
}

impl Scoring {
    /// What batch normalisation goes by; empty where there is no network.
    fn bn_eval(&self) -> &'static str {
        match self {
            Self::Method { bn_eval: BnEval::Batch, .. } => BnEval::Batch.name(),
            Self::Method { recipe, .. } => recipe.method.bn_eval,
            Self::Cl2n { .. } => "running",
            Self::Pixels => "",
        }
    }
}

/// What a row says of itself in the table `results`.
#[derive(Clone, Debug, PartialEq)]
pub struct RowLabels {
    /// The method.
    pub method: String,
    /// The levels, empty for methods without.
    pub levels: String,
    /// The backbone.
    pub backbone: String,
    /// How the backbone came about: `frozen`, `end-to-end`, `base-init`.
    pub mode: String,
    /// `none` or the name of imported weights, of the backbone or of the localiser.
    pub weights: String,
    /// What the backbone's convolutions compute in.
    pub precision: String,
    /// How the object was located: threshold and localiser, or empty.
    pub cam: String,
    /// `raw`, or what the object level looks at.
    pub image_source: String,
    /// Augmentation of the base CNN.
    pub augmentation: String,
    /// The protocol's name.
    pub protocol: String,
    /// The seed of the row's training.
    pub seed: u64,
    /// The paper's figure, 0 to 1.
    pub paper_accuracy: Option<f64>,
}

/// Measures a row. Outputs: `episodes`, `results`, and `predictions` where they are kept.
pub struct Evaluate {
    /// How queries are scored.
    pub scoring: Scoring,
    /// Episodes: way, shot, queries, seed.
    pub spec: EpisodeSpec,
    /// How many episodes.
    pub episodes: u64,
    /// Whether predictions are kept.
    pub keep_predictions: bool,
    /// The row's description.
    pub labels: RowLabels,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
}

impl Stage for Evaluate {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { scoring, spec, episodes, keep_predictions, labels, runtime: _ } = self;
        let EpisodeSpec { n_way, k_shot, n_query, seed } = spec;
        let RowLabels {
            method,
            levels,
            backbone,
            mode,
            weights,
            precision,
            cam,
            image_source,
            augmentation,
            protocol,
            seed: training_seed,
            paper_accuracy,
        } = labels;
        let mut fields = match scoring {
            Scoring::Method { recipe, bn_eval: BnEval::Running } => recipe.fields(),
            Scoring::Method { recipe, bn_eval: BnEval::Batch } => {
                let mut fields = recipe.fields();
                fields.push(field("bn_eval", BnEval::Batch.name()));
                fields
            }
            Scoring::Cl2n { with_object } => vec![field("method", "cl2n"), field("with_object", *with_object)],
            Scoring::Pixels => vec![field("method", "pixels")],
        };
        fields.extend([
            field("n_way", *n_way as i64),
            field("k_shot", *k_shot as i64),
            field("n_query", *n_query as i64),
            field("episodes", *episodes as i64),
            field("seed", *seed as i64),
            field("keep_predictions", *keep_predictions),
            field("label.method", method.as_str()),
            field("label.levels", levels.as_str()),
            field("label.backbone", backbone.as_str()),
            field("label.mode", mode.as_str()),
            field("label.weights", weights.as_str()),
            field("label.cam", cam.as_str()),
            field("label.image_source", image_source.as_str()),
            field("label.augmentation", augmentation.as_str()),
            field("label.protocol", protocol.as_str()),
            field("label.seed", *training_seed as i64),
            field("label.paper_accuracy", *paper_accuracy),
        ]);
        if precision != "f32" {
            fields.push(field("label.precision", precision.as_str()));
        }
        fields
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let scorer = Scorer::open(&self.scoring, context, device)?;
        let known = match (&scorer, &self.scoring) {
            (Scorer::Method(_, rows), Scoring::Method { bn_eval: BnEval::Batch, .. }) => {
                Some(Represented::by_batch(rows, device))
            }
            (Scorer::Method(model, rows), _) => Some(Represented::of(model, rows, device)?),
            _ => None,
        };
        let pool = scorer.photos().pool();
        pool.check(&self.spec).map_err(|e| StageError::BadData(format!("the novel classes do not suffice: {e}")))?;
        let mut measured = Measured::default();
        for index in 0..self.episodes {
            context.check()?;
            let episode = pool.episode(&self.spec, index);
            let scores = scorer.scores(known.as_ref(), &episode, device)?;
            let right = accuracy(&scores, &episode)?;
            if self.keep_predictions {
                measured.predictions(index, &episode, &scores)?;
            }
            measured.episode(episode, right);
            if index % 100 == 99 {
                context.progress(index + 1, self.episodes, "episodes", "");
            }
        }
        let outputs = Outputs::default()
            .with("episodes", context.put(&measured.episodes_table(self)?)?)
            .with("results", context.put(&measured.results_table(self)?)?);
        let outputs = match self.keep_predictions {
            true => outputs.with("predictions", context.put(&measured.predictions_table()?)?),
            false => outputs,
        };
        Ok(outputs.made_by(&self.runtime.provenance()?))
    }
}

/// A row that can score episodes. It is never handed the labels of queries.
enum Scorer {
    Method(Box<Model>, Rows),
    Cl2n(Embeddings, Gallery),
    Pixels(Gallery),
}

impl Scorer {
    fn open(scoring: &Scoring, context: &Context<'_>, device: Device) -> Result<Self, StageError> {
        Ok(match scoring {
            Scoring::Method { recipe, bn_eval } => {
                let (weights, _) = unpack(&context.open("weights")?).map_err(net_error)?;
                let is_batch = *bn_eval == BnEval::Batch;
                let recipe_here = if is_batch { recipe.on_pixels() } else { recipe.clone() };
                let rows = Rows::open(context, &recipe_here, "novel/")?;
                let mut model = Model::new(&recipe_here, 0, device);
                if is_batch && recipe.mode == BackboneMode::Frozen {
                    model.start_from(&context.open("backbone")?)?;
                    model.load_method(&weights)?;
                } else {
                    model.load(&weights, "")?;
                }
                Self::Method(Box::new(model), rows)
            }
            Scoring::Cl2n { with_object } => {
                let novel = Gallery::open(context, "image/novel/", "embedding")?;
                let images: Vec<ImageId> = novel.classes().values().flatten().copied().collect();
                let kinds: &[&str] = if *with_object { &["image", "object"] } else { &["image"] };
                let mut sides = Vec::new();
                for kind in kinds {
                    let base = Gallery::open(context, &format!("{kind}/base/"), "embedding")?;
                    let own = Gallery::open(context, &format!("{kind}/novel/"), "embedding")?;
                    sides.push(cl2n(&own.gather(&images, device)?, &mean(&base, device)?));
                }
                Self::Cl2n(Embeddings::new(images, Tensor::cat(&sides, 1)), novel)
            }
            Scoring::Pixels => Self::Pixels(Gallery::open(context, "pixels/novel/", "pixels")?),
        })
    }

    fn photos(&self) -> &Gallery {
        match self {
            Self::Method(_, rows) => rows.image(),
            Self::Cl2n(_, gallery) | Self::Pixels(gallery) => gallery,
        }
    }

    /// Scores the queries of an episode: `[q, n_way]`.
    fn scores(&self, known: Option<&Represented<'_>>, episode: &Episode, device: Device) -> Result<Tensor, StageError> {
        let _guard = tch::no_grad_guard();
        let (support, query) = (episode.support.concat(), episode.query.concat());
        let (n_way, k_shot) = (episode.support.len() as i64, episode.support[0].len() as i64);
        match self {
            Self::Method(model, _) => model.scores(known.expect("a method's images are represented"), episode),
            Self::Cl2n(vectors, _) => {
                let (support, query) = (vectors.select(&support), vectors.select(&query));
                Ok(class_mean_scores(&support, n_way, k_shot, &query, Metric::SquaredEuclidean))
            }
            Self::Pixels(gallery) => {
                let flat = |images: &[ImageId]| -> Result<Tensor, StageError> {
                    Ok(gallery.gather(images, device)?.to_kind(Kind::Float).flatten(1, -1) / 255.0)
                };
                let (support, query) = (flat(&support)?, flat(&query)?);
                Ok(class_mean_scores(&support, n_way, k_shot, &query, Metric::SquaredEuclidean))
            }
        }
    }
}

/// One vector for each image.
struct Embeddings {
    rows: BTreeMap<ImageId, i64>,
    vectors: Tensor, // [n, d]
}

impl Embeddings {
    fn new(images: Vec<ImageId>, vectors: Tensor) -> Self {
        let rows = images.into_iter().enumerate().map(|(row, id)| (id, row as i64)).collect();
        Self { rows, vectors }
    }

    fn select(&self, images: &[ImageId]) -> Tensor {
        let rows: Vec<i64> = images.iter().map(|id| self.rows[id]).collect();
        self.vectors.index_select(0, &Tensor::from_slice(&rows).to_device(self.vectors.device()))
    }
}

/// Averages the embeddings of the base photos.
fn mean(gallery: &Gallery, device: Device) -> Result<Tensor, StageError> {
    let images: Vec<ImageId> = gallery.classes().values().flatten().copied().collect();
    let mut sum = Tensor::zeros(gallery.row_shape(), (Kind::Double, device));
    for chunk in images.chunks(256) {
        sum += gallery.gather(chunk, device)?.to_kind(Kind::Double).sum_dim_intlist([0i64].as_slice(), false, None);
    }
    Ok((sum / images.len() as f64).to_kind(Kind::Float))
}

/// What was measured, in the order of the episodes.
#[derive(Default)]
struct Measured {
    support: Vec<Vec<u32>>,
    query: Vec<Vec<u32>>,
    accuracies: Vec<f64>,
    predicted: Vec<(i64, u32, u32, u32)>,
    scores: Vec<Vec<f32>>,
}

impl Measured {
    fn episode(&mut self, episode: Episode, accuracy: f64) {
        let ids = |images: Vec<Vec<ImageId>>| images.concat().into_iter().map(|id| id.0).collect();
        self.support.push(ids(episode.support));
        self.query.push(ids(episode.query));
        self.accuracies.push(accuracy);
    }

    fn predictions(&mut self, index: u64, episode: &Episode, scores: &Tensor) -> Result<(), StageError> {
        let n_way = episode.classes.len();
        let rows = floats(scores)?;
        let truths = episode.classes.iter().zip(&episode.query).flat_map(|(c, q)| q.iter().map(move |id| (c.0, id.0)));
        for ((class, image), row) in truths.zip(rows.chunks_exact(n_way)) {
            let best = (0..n_way).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
            self.predicted.push((index as i64, image, class, episode.classes[best].0));
            self.scores.push(row.to_vec());
        }
        Ok(())
    }

    fn episodes_table(&self, row: &Evaluate) -> Result<Vec<u8>, StageError> {
        let n = self.accuracies.len();
        let text = |value: &str| vec![value.to_owned(); n];
        table(vec![
            Column::Text("method", text(&row.labels.method)),
            Column::Text("levels", text(&row.labels.levels)),
            Column::I64("n_way", vec![row.spec.n_way as i64; n]),
            Column::I64("k_shot", vec![row.spec.k_shot as i64; n]),
            Column::I64("n_query", vec![row.spec.n_query as i64; n]),
            Column::I64("seed", vec![row.spec.seed as i64; n]),
            Column::I64("episode", (0..n as i64).collect()),
            Column::U32Lists("support_ids", self.support.clone()),
            Column::U32Lists("query_ids", self.query.clone()),
            Column::F64("accuracy", self.accuracies.iter().map(|a| Some(*a)).collect()),
        ])
    }

    fn predictions_table(&self) -> Result<Vec<u8>, StageError> {
        let ids = |pick: fn(&(i64, u32, u32, u32)) -> u32| self.predicted.iter().map(pick).collect();
        table(vec![
            Column::I64("episode", self.predicted.iter().map(|p| p.0).collect()),
            Column::U32("image_id", ids(|p| p.1)),
            Column::U32("class_id", ids(|p| p.2)),
            Column::U32("predicted_class_id", ids(|p| p.3)),
            Column::F32Lists("scores", self.scores.clone()),
        ])
    }

    fn results_table(&self, row: &Evaluate) -> Result<Vec<u8>, StageError> {
        let result = mean_ci(&self.accuracies);
        let labels = &row.labels;
        let text = |name, value: &str| Column::Text(name, vec![value.to_owned()]);
        table(vec![
            text("method", &labels.method),
            text("levels", &labels.levels),
            text("backbone", &labels.backbone),
            text("mode", &labels.mode),
            text("weights", &labels.weights),
            text("precision", &labels.precision),
            text("cam", &labels.cam),
            text("image_source", &labels.image_source),
            Column::I64("n_way", vec![row.spec.n_way as i64]),
            Column::I64("k_shot", vec![row.spec.k_shot as i64]),
            Column::I64("n_query", vec![row.spec.n_query as i64]),
            Column::I64("episodes", vec![row.episodes as i64]),
            Column::F64("accuracy", vec![Some(result.mean)]),
            Column::F64("ci95", vec![Some(result.ci95)]),
            text("protocol", &labels.protocol),
            text("augmentation", &labels.augmentation),
            text("bn_eval", row.scoring.bn_eval()),
            Column::I64("seed", vec![labels.seed as i64]),
            Column::F64("paper_accuracy", vec![labels.paper_accuracy]),
        ])
    }
}
