//! MLSM on stored feature maps, or with a backbone of its own on packed pixels: what training and evaluation share.

use std::collections::BTreeMap;

use mlsm_data::streams::stream;
use mlsm_data::{Episode, ImageId};
use mlsm_engine::{Context, StageError};
use mlsm_nets::{
    Backbone, FuseNorm, Fusion, FusionPoint, GapSource, Levels, Loss, Mlsm, MlsmOptions, Pair, Params, ShotPool,
};
use mlsm_store::Field;
use tch::{Device, Kind, Tensor};

use crate::artifact::Gallery;
use crate::base_net::{BaseNetShape, load_prefixed};
use crate::config::{AnchorName, BackboneMode, LossName, MetaTrain, ObjectSource, PairName, TrainBase};
use crate::stages::{field, net_error};

/// Images in one pass without gradients.
const FORWARD_BATCH: usize = 128;

/// The model of one row: one set of levels and one object source out of a section's lists.
#[derive(Clone, Debug, PartialEq)]
pub struct MlsmRecipe {
    /// How F_φ comes about.
    pub mode: BackboneMode,
    /// What F_φ looks like; nothing where stored maps are read.
    encoder: Option<BaseNetShape>,
    share_encoder: bool,
    /// The levels that are summed.
    pub levels: Levels,
    /// What the object level looks at, when there is one.
    pub object: Option<ObjectSource>,
    pair: PairName,
    loss: LossName,
    pos_weight: f64,
    sim_hidden: Vec<i64>,
    share_adjust: bool,
    fusion: Fusion,
    fusion_point: FusionPoint,
    fuse_norm: FuseNorm,
    gap_source: GapSource,
    shot_pool: ShotPool,
    anchor_side: Option<i64>,
}

/// Reads a word of the configuration, which was checked.
fn word<T: std::str::FromStr<Err = mlsm_nets::NetError>>(text: &str) -> T {
    text.parse().expect("the configuration was checked")
}

impl MlsmRecipe {
    /// Takes one row out of a checked section.
    pub fn new(section: &MetaTrain, base: &TrainBase, levels: Levels, object: Option<ObjectSource>) -> Self {
        Self {
            mode: section.backbone,
            encoder: (section.backbone != BackboneMode::Frozen).then(|| BaseNetShape::of(base)),
            share_encoder: section.share_encoder,
            levels,
            object: object.filter(|_| levels.object),
            pair: section.pair,
            loss: section.loss,
            pos_weight: section.pos_weight,
            sim_hidden: section.sim_hidden.clone(),
            share_adjust: section.share_adjust,
            fusion: word(&section.fusion),
            fusion_point: word(&section.fusion_point),
            fuse_norm: word(&section.fuse_norm),
            gap_source: word(&section.gap_source),
            shot_pool: word(&section.shot_pool),
            anchor_side: (section.anchor == AnchorName::Cl2n).then(|| BaseNetShape::of(base).embedding_side()),
        }
    }

    /// Returns what identifies the head in a recipe. The object source stands for maps, which are inputs.
    pub fn fields(&self) -> Vec<Field> {
        let Self { mode, encoder, share_encoder, levels, object: _, pair, loss, pos_weight, .. } = self;
        let Self { sim_hidden, share_adjust, fusion, fusion_point, fuse_norm, gap_source, shot_pool, .. } = self;
        let Self { anchor_side, .. } = self;
        let mut fields = vec![field("method", "mlsm"), field("mode", mode.name())];
        if let Some(BaseNetShape { backbone, width, head: _ }) = encoder {
            fields.extend([
                field("backbone", backbone.to_string()),
                field("width", *width),
                field("share_encoder", *share_encoder),
            ]);
        }
        fields.extend([
            field("levels", levels.to_string()),
            field("pair", pair_of(*pair).to_string()),
            field("loss", loss_of(*loss).to_string()),
            field("sim_hidden", sim_hidden.clone()),
            field("share_adjust", *share_adjust),
            field("pos_weight", *pos_weight),
            field("fusion", fusion.to_string()),
            field("fusion_point", fusion_point.to_string()),
            field("fuse_norm", fuse_norm.to_string()),
            field("gap_source", gap_source.to_string()),
            field("shot_pool", shot_pool.to_string()),
            field("anchor_side", *anchor_side),
        ]);
        fields
    }

    /// Returns the array that is read of each input: stored maps, or pixels.
    fn array(&self) -> &'static str {
        if self.encoder.is_some() { "pixels" } else { "map" }
    }

    /// Returns the options of the head for maps of so many channels.
    fn options(&self, channels: i64) -> MlsmOptions {
        MlsmOptions {
            levels: self.levels,
            pair: pair_of(self.pair),
            loss: loss_of(self.loss),
            sim_hidden: self.sim_hidden.clone(),
            share_adjust: self.share_adjust,
            fuse_norm: self.fuse_norm,
            shot_pool: self.shot_pool,
            fusion: self.fusion,
            gap_source: self.gap_source,
            fusion_point: self.fusion_point,
            pos_weight: self.pos_weight,
            anchor_side: self.anchor_side,
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

/// The stored maps or pixels of one part: of whole photos, and of objects where the levels want them.
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
            true => Some(Gallery::open(context, &format!("object/{part}"), recipe.array())?),
            false => None,
        };
        let image = Gallery::open(context, &format!("image/{part}"), recipe.array())?;
        Ok(Self { image, object, needs_image: recipe.levels.needs_image_map() })
    }

    /// Returns the photos themselves, to draw episodes from.
    pub fn image(&self) -> &Gallery {
        &self.image
    }

    /// Returns the last axis of a row: the channels of stored maps.
    fn channels(&self) -> i64 {
        self.image.row_shape().last().copied().unwrap_or(0)
    }

    /// Copies the rows of images as they are stored, or nothing where no level reads them.
    fn gather(&self, images: &[ImageId], device: Device) -> Result<[Option<Tensor>; 2], StageError> {
        let image = self.needs_image.then(|| self.image.gather(images, device)).transpose()?;
        let object = self.object.as_ref().map(|gallery| gallery.gather(images, device)).transpose()?;
        Ok([image, object])
    }
}

/// The networks of one row: the head, and F_φ where it is learnt (a second one where the object has its own).
pub struct Model {
    encoders: Vec<Box<dyn Backbone + Send>>,
    /// Fusion and similarity.
    pub head: Mlsm,
}

impl Model {
    /// Draws fresh weights for the rows of `maps`.
    pub fn new(recipe: &MlsmRecipe, maps: &Maps, seed: u64, device: Device) -> Self {
        let count = match &recipe.encoder {
            None => 0,
            Some(_) if recipe.share_encoder || recipe.object.is_none() => 1,
            Some(_) => 2,
        };
        let encoder = |shape: &BaseNetShape, i: u64| shape.backbone(&mut stream(seed, "meta-train/encoder", i), device);
        let encoders: Vec<_> = recipe.encoder.iter().flat_map(|shape| (0..count).map(|i| encoder(shape, i))).collect();
        let channels = encoders.first().map_or_else(|| maps.channels(), |e| e.channels());
        let head = Mlsm::new(recipe.options(channels), &mut stream(seed, "meta-train/init", 0), device);
        Self { encoders, head }
    }

    /// Starts F_φ from the base CNN's weights.
    ///
    /// # Errors
    /// [`StageError::Failed`] when they do not fit.
    pub fn start_from(&mut self, backbone: &[u8]) -> Result<(), StageError> {
        self.encoders.iter_mut().try_for_each(|e| e.params_mut().load(backbone)).map_err(net_error)
    }

    /// Centres the head's anchor, when it has one, on the mean of base photos' stored maps.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn centre(&mut self, maps: &Maps, device: Device) -> Result<(), StageError> {
        let _guard = tch::no_grad_guard();
        let images: Vec<ImageId> = maps.image.classes().values().flatten().copied().collect();
        let mut sums: [Option<Tensor>; 2] = [None, None];
        for chunk in images.chunks(FORWARD_BATCH) {
            for (sum, rows) in sums.iter_mut().zip(maps.gather(chunk, device)?) {
                let embedded = rows.and_then(|rows| self.head.anchor_embedding(&rows.permute([0, 3, 1, 2])));
                let Some(embedded) = embedded else { continue };
                let part = embedded.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
                *sum = Some(sum.take().map_or(part.shallow_clone(), |sum| sum + part));
            }
        }
        let means = sums.map(|sum| Some((sum? / images.len() as f64).to_kind(Kind::Float)));
        self.head.set_anchor_means([means[0].as_ref(), means[1].as_ref()]);
        Ok(())
    }

    /// Returns what is learnt, module by module, with the prefix of its tensors' names.
    pub fn modules(&self) -> Vec<(&'static str, &Params)> {
        let prefixes = ["encoder.", "object_encoder."];
        let mut modules: Vec<_> = prefixes.into_iter().zip(self.encoders.iter().map(|e| e.params())).collect();
        modules.push((self.head_prefix(), self.head.params()));
        modules
    }

    fn head_prefix(&self) -> &'static str {
        if self.encoders.is_empty() { "" } else { "head." }
    }

    /// Returns every tensor under its whole name.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let named = |(prefix, params): (&'static str, &Params)| {
            params.all().into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        };
        self.modules().into_iter().flat_map(named).collect()
    }

    /// Takes over what [`Model::tensors`] gave; each name begins with `before`.
    ///
    /// # Errors
    /// [`StageError::Failed`] when a tensor is missing or of another shape.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>, before: &str) -> Result<(), StageError> {
        let head_prefix = self.head_prefix();
        for (prefix, encoder) in ["encoder.", "object_encoder."].into_iter().zip(&mut self.encoders) {
            load_prefixed(encoder.params_mut(), tensors, &format!("{before}{prefix}"))?;
        }
        load_prefixed(self.head.params_mut(), tensors, &format!("{before}{head_prefix}"))
    }

    /// Brings images to one vector each: `[n, d]`. `train`: normalises by the batch.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn represent(
        &self,
        maps: &Maps,
        images: &[ImageId],
        device: Device,
        train: bool,
    ) -> Result<Tensor, StageError> {
        let rows = maps.gather(images, device)?;
        let [image, object] = [0, 1].map(|side| {
            let row = rows[side].as_ref()?;
            Some(match self.encoders.get(side).or(self.encoders.first()) {
                Some(encoder) => encoder.feature_map(&encoder.normalise(row), train),
                None => row.permute([0, 3, 1, 2]), // stored channels last
            })
        });
        Ok(self.head.represent(image.as_ref(), object.as_ref(), train))
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
    pub fn of(model: &Model, maps: &Maps, device: Device) -> Result<Self, StageError> {
        let _guard = tch::no_grad_guard();
        let images: Vec<ImageId> = maps.image.classes().values().flatten().copied().collect();
        let mut parts = Vec::new();
        for chunk in images.chunks(FORWARD_BATCH) {
            parts.push(model.represent(maps, chunk, device, false)?);
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
        let scores = model.scores(&classes, &self.select(&episode.query.concat()), false);
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
