//! How a row scores queries, from what is stored: what `evaluate` and `predict` share.

use std::collections::BTreeMap;

use mlsm_data::{Episode, ImageId, Part};
use mlsm_engine::{Context, Port, StageError};
use mlsm_nets::{Metric, cl2n, class_mean_scores, unpack};
use mlsm_store::Field;
use tch::{Device, Kind, Tensor};

use crate::artifact::Gallery;
use crate::config::{BackboneMode, BnEval};
use crate::error::net_error;
use crate::model::{Model, ModelRecipe, Represented, Rows};
use crate::recipe::field;
use crate::stages::ports::{self, Side};

/// How queries are scored.
#[derive(Clone)]
pub enum Scoring {
    /// A method with the weights of input `weights`, on features or pixels of novel photos.
    Method {
        /// The method.
        recipe: ModelRecipe,
        /// What batch normalisation goes by, where the method has no rule of its own. By the batch, rows are pixels, and
        /// a method that learnt on stored features has the base CNN of input `backbone` in front of it.
        bn_eval: BnEval,
    },
    /// Nearest class mean of centred, unit-length embeddings (SimpleShot, Wang et al. 2019), centred by base photos;
    /// an object's embedding may be joined.
    Cl2n {
        /// Whether there is an object.
        with_object: bool,
    },
    /// Nearest class mean of raw pixels, Euclidean.
    Pixels,
}

impl Scoring {
    /// Returns what identifies it in a recipe.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Method { recipe, bn_eval } => {
                let mut fields = recipe.fields();
                fields.push(field("bn_eval", bn_eval.name()));
                fields
            }
            Self::Cl2n { with_object } => vec![field("method", "cl2n"), field("with_object", *with_object)],
            Self::Pixels => vec![field("method", "pixels")],
        }
    }

    /// Returns what it reads.
    pub fn ports(&self) -> Vec<Port> {
        let rows = |side: Side, part| Port::many(ports::rows(side, part));
        match self {
            Self::Method { recipe, bn_eval } => {
                let mut read = recipe.row_ports(Part::Novel);
                read.push(Port::one("weights"));
                if *bn_eval == BnEval::Batch && recipe.mode == BackboneMode::Frozen {
                    read.push(Port::one("backbone"));
                }
                read
            }
            Self::Cl2n { with_object } => {
                let parts = |side: &Side| [rows(*side, Part::Base), rows(*side, Part::Novel)];
                sides_of(*with_object).iter().flat_map(parts).collect()
            }
            Self::Pixels => vec![rows(Side::Image, Part::Novel)],
        }
    }

    /// Returns the number of classes of an episode, of a method that can tell no other number apart.
    pub fn fixed_ways(&self) -> Option<usize> {
        match self {
            Self::Method { recipe, .. } => recipe.fixed_ways(),
            Self::Cl2n { .. } | Self::Pixels => None,
        }
    }

    /// What batch normalisation goes by; empty where there is no network.
    pub fn bn_eval(&self) -> &'static str {
        match self {
            Self::Method { bn_eval: BnEval::Batch, .. } => BnEval::Batch.name(),
            Self::Method { recipe, .. } => recipe.method.bn_eval,
            Self::Cl2n { .. } => "running",
            Self::Pixels => "",
        }
    }
}

fn sides_of(with_object: bool) -> &'static [Side] {
    if with_object { &[Side::Image, Side::Object] } else { &[Side::Image] }
}

/// A row that can score episodes. It is never handed the labels of queries.
pub enum Scorer {
    /// A method and the rows that it reads.
    Method(Box<Model>, Rows),
    /// Vectors ready to be compared, and the photos.
    Cl2n(Embeddings, Gallery),
    /// Packed pixels.
    Pixels(Gallery),
}

impl Scorer {
    /// Opens what a row reads.
    ///
    /// # Errors
    /// [`StageError`] when an artifact is damaged or does not fit.
    pub fn open(scoring: &Scoring, context: &Context<'_>, device: Device) -> Result<Self, StageError> {
        Ok(match scoring {
            Scoring::Method { recipe, bn_eval } => {
                let (weights, _) = unpack(&context.open("weights")?).map_err(net_error)?;
                let is_batch = *bn_eval == BnEval::Batch;
                let recipe_here = if is_batch { recipe.on_pixels() } else { recipe.clone() };
                let rows = Rows::open(context, &recipe_here, Part::Novel)?;
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
                let open = |side, part| Gallery::open(context, ports::rows(side, part), "embedding");
                let novel = open(Side::Image, Part::Novel)?;
                let images: Vec<ImageId> = novel.classes().values().flatten().copied().collect();
                let mut sides = Vec::new();
                for side in sides_of(*with_object) {
                    let (base, own) = (open(*side, Part::Base)?, open(*side, Part::Novel)?);
                    sides.push(cl2n(&own.gather(&images, device)?, &mean(&base, device)?));
                }
                Self::Cl2n(Embeddings::new(images, Tensor::cat(&sides, 1)), novel)
            }
            Scoring::Pixels => Self::Pixels(Gallery::open(context, ports::rows(Side::Image, Part::Novel), "pixels")?),
        })
    }

    /// Represents all photos once, for methods that can; what [`Scorer::scores`] is given again.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn known(&self, scoring: &Scoring, device: Device) -> Result<Option<Represented<'_>>, StageError> {
        Ok(match (self, scoring) {
            (Self::Method(_, rows), Scoring::Method { bn_eval: BnEval::Batch, .. }) => {
                Some(Represented::by_batch(rows, device))
            }
            (Self::Method(model, rows), _) => Some(Represented::of(model, rows, device)?),
            _ => None,
        })
    }

    /// Returns the photos.
    pub fn photos(&self) -> &Gallery {
        match self {
            Self::Method(_, rows) => rows.image(),
            Self::Cl2n(_, gallery) | Self::Pixels(gallery) => gallery,
        }
    }

    /// Scores the queries of an episode: `[q, n_way]`, larger is closer.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn scores(
        &self,
        known: Option<&Represented<'_>>,
        episode: &Episode,
        device: Device,
    ) -> Result<Tensor, StageError> {
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
pub struct Embeddings {
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
