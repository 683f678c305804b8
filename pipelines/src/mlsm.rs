//! MLSM on stored feature maps: what training and evaluation share.

use std::collections::BTreeMap;

use mlsm_data::{Episode, ImageId};
use mlsm_engine::{Context, StageError};
use mlsm_nets::{FuseNorm, Levels, Loss, Mlsm, MlsmOptions, Pair, ShotPool};
use mlsm_store::Field;
use tch::{Device, Tensor};

use crate::artifact::Gallery;
use crate::config::{LossName, MetaTrain, ObjectSource, PairName};
use crate::stages::field;

/// Images in one pass without gradients.
const FORWARD_BATCH: usize = 128;

/// The head of one row: one set of levels and one object source out of a section's lists.
#[derive(Clone, Debug, PartialEq)]
pub struct MlsmRecipe {
    /// The levels that are summed.
    pub levels: Levels,
    /// What the object level looks at, when there is one.
    pub object: Option<ObjectSource>,
    pair: PairName,
    loss: LossName,
    sim_hidden: Vec<i64>,
    share_adjust: bool,
}

impl MlsmRecipe {
    /// Takes one row out of a checked section.
    pub fn new(section: &MetaTrain, levels: Levels, object: Option<ObjectSource>) -> Self {
        Self {
            levels,
            object: object.filter(|_| levels.object),
            pair: section.pair,
            loss: section.loss,
            sim_hidden: section.sim_hidden.clone(),
            share_adjust: section.share_adjust,
        }
    }

    /// Returns what identifies the head in a recipe. The object source stands for maps, which are inputs.
    pub fn fields(&self) -> Vec<Field> {
        let Self { levels, object: _, pair, loss, sim_hidden, share_adjust } = self;
        vec![
            field("method", "mlsm"),
            field("levels", levels.to_string()),
            field("pair", pair_of(*pair).to_string()),
            field("loss", loss_of(*loss).to_string()),
            field("sim_hidden", sim_hidden.clone()),
            field("share_adjust", *share_adjust),
        ]
    }

    /// Returns the options of the network for maps of so many channels.
    pub fn options(&self, channels: i64) -> MlsmOptions {
        MlsmOptions {
            levels: self.levels,
            pair: pair_of(self.pair),
            loss: loss_of(self.loss),
            sim_hidden: self.sim_hidden.clone(),
            share_adjust: self.share_adjust,
            fuse_norm: FuseNorm::None,
            shot_pool: ShotPool::Mean,
            channels,
        }
    }
}

fn pair_of(name: PairName) -> Pair {
    match name {
        PairName::Concat => Pair::Concat,
        PairName::AbsDiffProduct => Pair::AbsDiffProduct,
        PairName::ConcatAbsDiffProduct => Pair::ConcatAbsDiffProduct,
    }
}

fn loss_of(name: LossName) -> Loss {
    match name {
        LossName::Mse => Loss::Mse,
        LossName::Bce => Loss::Bce,
        LossName::Ce => Loss::Ce,
    }
}

/// The stored maps of one part: of whole photos, and of objects where the levels want them.
pub struct Maps {
    image: Gallery,
    object: Option<Gallery>,
    needs_image: bool,
}

impl Maps {
    /// Opens the inputs `image/<part><shard>` and `object/<part><shard>`.
    ///
    /// # Errors
    /// [`StageError`] when an artifact is damaged.
    pub fn open(context: &Context<'_>, recipe: &MlsmRecipe, part: &str) -> Result<Self, StageError> {
        let object = match recipe.levels.object {
            true => Some(Gallery::open(context, &format!("object/{part}"), "map")?),
            false => None,
        };
        let image = Gallery::open(context, &format!("image/{part}"), "map")?;
        Ok(Self { image, object, needs_image: recipe.levels.needs_image_map() })
    }

    /// Returns the photos themselves, to draw episodes from.
    pub fn image(&self) -> &Gallery {
        &self.image
    }

    /// Returns the channels of the maps.
    pub fn channels(&self) -> i64 {
        self.image.row_shape().last().copied().unwrap_or(0)
    }

    /// Copies the maps of images: `[n, c, h, w]` each, or nothing where no level reads them.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn gather(&self, images: &[ImageId], device: Device) -> Result<(Option<Tensor>, Option<Tensor>), StageError> {
        let image = self.needs_image.then(|| self.image.gather_maps(images, device)).transpose()?;
        let object = self.object.as_ref().map(|gallery| gallery.gather_maps(images, device)).transpose()?;
        Ok((image, object))
    }
}

/// One fused vector per image of a part, so that an episode costs no convolution.
pub struct Vectors {
    rows: BTreeMap<ImageId, i64>,
    vectors: Tensor,
}

impl Vectors {
    /// Represents every image once, in evaluation mode.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn of(model: &Mlsm, maps: &Maps, device: Device) -> Result<Self, StageError> {
        let _guard = tch::no_grad_guard();
        let images: Vec<ImageId> = maps.image.classes().values().flatten().copied().collect();
        let mut parts = Vec::new();
        for chunk in images.chunks(FORWARD_BATCH) {
            let (image, object) = maps.gather(chunk, device)?;
            parts.push(model.represent(image.as_ref(), object.as_ref(), false));
        }
        Ok(Self::new(images, Tensor::cat(&parts, 0)))
    }

    /// Wraps vectors `[n, d]`, one for each image.
    pub fn new(images: Vec<ImageId>, vectors: Tensor) -> Self {
        let rows = images.into_iter().enumerate().map(|(row, id)| (id, row as i64)).collect();
        Self { rows, vectors }
    }

    /// Copies the vectors of images: `[n, d]`.
    pub fn select(&self, images: &[ImageId]) -> Tensor {
        let rows: Vec<i64> = images.iter().map(|id| self.rows[id]).collect();
        self.vectors.index_select(0, &Tensor::from_slice(&rows).to_device(self.vectors.device()))
    }

    /// Scores an episode's queries: `[q, n_way]`, larger is closer, and the share that is right.
    ///
    /// # Errors
    /// [`StageError::Failed`] when torch fails.
    pub fn predict(&self, model: &Mlsm, episode: &Episode) -> Result<(Tensor, f64), StageError> {
        let _guard = tch::no_grad_guard();
        let (n_way, k_shot) = (episode.support.len() as i64, episode.support[0].len() as i64);
        let classes = model.class_vectors(&self.select(&episode.support.concat()), n_way, k_shot);
        let scores = model.scores(&classes, &self.select(&episode.query.concat()));
        let accuracy = accuracy(&scores, episode)?;
        Ok((scores, accuracy))
    }
}

/// Returns the share of queries whose own class has the largest score; queries are grouped by class.
///
/// # Errors
/// [`StageError::Failed`] when torch fails.
pub fn accuracy(scores: &Tensor, episode: &Episode) -> Result<f64, StageError> {
    let predicted = Vec::<i64>::try_from(&scores.argmax(-1, false).to_device(Device::Cpu));
    let predicted = predicted.map_err(crate::stages::torch_error)?;
    let n_query = episode.query[0].len();
    let right = predicted.iter().enumerate().filter(|(i, way)| **way == (i / n_query) as i64).count();
    Ok(right as f64 / predicted.len() as f64)
}
