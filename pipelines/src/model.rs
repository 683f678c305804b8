//! A method on stored features, or with a backbone of its own on packed pixels: what training and evaluation share.

mod recipe;

use std::collections::BTreeMap;

use mlsm_data::streams::stream;
use mlsm_data::{Episode, ImageId, Part};
use mlsm_engine::{Context, StageError};
use mlsm_nets::{Backbone, Method, Params, Phase, Reads, Support};
use tch::{Device, Kind, Tensor};

pub use self::recipe::ModelRecipe;
use crate::artifact::Gallery;
use crate::base_net::{fit_input, load_prefixed};
use crate::error::net_error;
use crate::stages::ports::{self, Side};

/// Images in one pass without gradients.
const FORWARD_BATCH: usize = 128;

/// The stored rows of one part: features or pixels of images, and of objects where the levels want them.
pub struct Rows {
    image: Gallery,
    object: Option<Gallery>,
    needs_image: bool,
}

impl Rows {
    /// Opens the rows of a part.
    ///
    /// # Errors
    /// [`StageError`] when an artifact is damaged.
    pub fn open(context: &Context<'_>, recipe: &ModelRecipe, part: Part) -> Result<Self, StageError> {
        let object = match recipe.reads_objects() {
            true => Some(Gallery::open(context, ports::rows(Side::Object, part), recipe.array())?),
            false => None,
        };
        let image = Gallery::open(context, ports::rows(Side::Image, part), recipe.array())?;
        let needs_image = !recipe.method.has_levels || recipe.levels.needs_image_map();
        Ok(Self { image, object, needs_image })
    }

    /// Returns the photos themselves, to draw episodes from.
    pub fn image(&self) -> &Gallery {
        &self.image
    }

    /// Copies the rows of images as they are stored, or nothing where no level reads them.
    fn gather(&self, images: &[ImageId], device: Device) -> Result<[Option<Tensor>; 2], StageError> {
        let image = self.needs_image.then(|| self.image.gather(images, device)).transpose()?;
        let object = self.object.as_ref().map(|gallery| gallery.gather(images, device)).transpose()?;
        Ok([image, object])
    }
}

/// How the pixels of a training episode are varied.
pub struct Variation {
    /// How strongly.
    pub how: mlsm_nets::Augmentation,
    /// What is drawn from, image after image, the objects behind the images.
    pub draws: rand_chacha::ChaCha8Rng,
}

/// The networks of one row: the method, and F_φ where it is learnt (a second one where the object has its own).
pub struct Model {
    reads: Reads,
    encoders: Vec<Box<dyn Backbone + Send>>,
    /// What learns in episodes beside F_φ.
    pub method: Box<dyn Method>,
}

impl Model {
    /// Draws fresh weights.
    pub fn new(recipe: &ModelRecipe, seed: u64, device: Device) -> Self {
        let count = match recipe.has_encoder() {
            false => 0,
            true if recipe.share_encoder || !recipe.reads_objects() => 1,
            true => 2,
        };
        let encoder = |i| recipe.base.backbone(&mut stream(seed, "meta-train/encoder", i), device);
        let encoders: Vec<_> = (0..count).map(encoder).collect();
        let mut rng = stream(seed, "meta-train/init", 0);
        let method = recipe.method.make(recipe.switches.clone(), &recipe.shape(), &mut rng, device);
        Self { reads: recipe.method.reads, encoders, method }
    }

    /// Starts F_φ from the base CNN's weights.
    ///
    /// # Errors
    /// [`StageError::Failed`] when they do not fit.
    pub fn start_from(&mut self, backbone: &[u8]) -> Result<(), StageError> {
        if self.reads == Reads::Pixels {
            return self.method.params_mut().load_part(backbone).map_err(net_error);
        }
        self.encoders.iter_mut().try_for_each(|e| e.params_mut().load(backbone)).map_err(net_error)
    }

    /// Takes the colours of the base photos into the networks that want them; not for F_φ that starts from a base CNN,
    /// which brings its own.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn fit_input(&self, rows: &Rows) -> Result<(), StageError> {
        let own = self.encoders.iter().map(|encoder| encoder.as_ref() as &dyn Backbone);
        own.chain(self.method.own_backbone()).try_for_each(|net| fit_input(net, &rows.image))
    }

    /// Takes over a method's weights that were learnt on stored features, in front of which a network now stands.
    ///
    /// # Errors
    /// [`StageError::Failed`] when a tensor is missing or of another shape.
    pub fn load_method(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), StageError> {
        load_prefixed(self.method.params_mut(), tensors, "")
    }

    /// Gives the method the mean over all base photos that it asks for, when it asks for one.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn centre(&mut self, rows: &Rows, device: Device) -> Result<(), StageError> {
        let _guard = tch::no_grad_guard();
        let images: Vec<ImageId> = rows.image.classes().values().flatten().copied().collect();
        let mut sums: [Option<Tensor>; 2] = [None, None];
        for chunk in images.chunks(FORWARD_BATCH) {
            for (sum, rows) in sums.iter_mut().zip(self.features(rows.gather(chunk, device)?, Phase::Evaluate)) {
                let Some(statistic) = rows.and_then(|rows| self.method.base_statistic(&rows)) else { continue };
                let part = statistic.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
                *sum = Some(sum.take().map_or(part.shallow_clone(), |sum| sum + part));
            }
            if sums.iter().all(Option::is_none) {
                return Ok(());
            }
        }
        let means = sums.map(|sum| Some((sum? / images.len() as f64).to_kind(Kind::Float)));
        self.method.set_base_means([means[0].as_ref(), means[1].as_ref()]);
        Ok(())
    }

    /// Returns what is learnt, module by module, with the prefix of its tensors' names.
    pub fn modules(&self) -> Vec<(&'static str, &Params)> {
        let prefixes = ["encoder.", "object_encoder."];
        let mut modules: Vec<_> = prefixes.into_iter().zip(self.encoders.iter().map(|e| e.params())).collect();
        modules.push((self.head_prefix(), self.method.params()));
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
        load_prefixed(self.method.params_mut(), tensors, &format!("{before}{head_prefix}"))
    }

    /// Brings images and objects to what the method reads. `train`: normalises by the batch.
    fn features(&self, rows: [Option<Tensor>; 2], phase: Phase) -> [Option<Tensor>; 2] {
        let features = |side: usize, row: &Tensor| match (self.encoders.get(side), self.reads) {
            (Some(encoder), reads) => {
                let features = encoder.features(&encoder.normalise(row), phase);
                if reads == Reads::Embeddings { features.embedding } else { features.map }
            }
            (None, Reads::Maps) => row.permute([0, 3, 1, 2]), // stored channels last
            (None, _) => row.shallow_clone(),
        };
        match (rows, self.encoders.len()) {
            // Through one network image and object go in one batch, so that both are normalised alike.
            ([Some(image), Some(object)], 1) => {
                let both = features(0, &Tensor::cat(&[image, object], 0)).chunk(2, 0);
                [Some(both[0].shallow_clone()), Some(both[1].shallow_clone())]
            }
            // With one network and one of the two, it is the network of that one.
            ([image, object], count) => {
                let of_object = if count == 1 { 0 } else { 1 };
                [image.map(|row| features(0, &row)), object.map(|row| features(of_object, &row))]
            }
        }
    }

    /// Brings images of a training episode to one row each, normalised by the batch. `variation`: what packed pixels
    /// undergo before.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn represent_varied(
        &self,
        rows: &Rows,
        images: &[ImageId],
        device: Device,
        variation: Option<&mut Variation>,
    ) -> Result<Tensor, StageError> {
        let rows = rows.gather(images, device)?;
        let rows = match variation {
            Some(Variation { how, draws }) => rows.map(|row| Some(mlsm_nets::augment(&row?, how, draws))),
            None => rows,
        };
        let [image, object] = self.features(rows, Phase::Train);
        Ok(self.method.represent(image.as_ref(), object.as_ref(), Phase::Train))
    }

    /// Brings images to one row each, as the method represents them.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn represent(
        &self,
        rows: &Rows,
        images: &[ImageId],
        device: Device,
        phase: Phase,
    ) -> Result<Tensor, StageError> {
        let [image, object] = self.features(rows.gather(images, device)?, phase);
        Ok(self.method.represent(image.as_ref(), object.as_ref(), phase))
    }

    /// Scores an episode's queries: `[q, n_way]`, larger is closer.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn scores(&self, known: &Represented<'_>, episode: &Episode) -> Result<Tensor, StageError> {
        let _guard = tch::no_grad_guard();
        let (n_way, k_shot) = (episode.support.len() as i64, episode.support[0].len() as i64);
        let images = [episode.support.concat(), episode.query.concat()].concat();
        let all = known.select(self, &images)?;
        let (shots, queries) = (n_way * k_shot, all.size()[0] - n_way * k_shot);
        let support = Support { rows: &all.narrow(0, 0, shots), n_way, k_shot };
        Ok(self.method.head(&support, known.phase).scores(&all.narrow(0, shots, queries)))
    }
}

/// The images of a part as a model represents them: computed once for all episodes, unless the episode plays a part, as
/// for methods that adapt the whole network and where an episode's images are normalised by their batch.
pub struct Represented<'a> {
    rows: &'a Rows,
    device: Device,
    index: BTreeMap<ImageId, i64>,
    vectors: Option<Tensor>,
    phase: Phase,
}

impl<'a> Represented<'a> {
    /// Represents every image once, in evaluation mode.
    ///
    /// # Errors
    /// As [`Gallery::gather`].
    pub fn of(model: &Model, rows: &'a Rows, device: Device) -> Result<Self, StageError> {
        let _guard = tch::no_grad_guard();
        let mut known = Self { rows, device, index: BTreeMap::new(), vectors: None, phase: Phase::Evaluate };
        if model.reads == Reads::Pixels {
            return Ok(known);
        }
        let images: Vec<ImageId> = rows.image.classes().values().flatten().copied().collect();
        let mut parts = Vec::new();
        for chunk in images.chunks(FORWARD_BATCH) {
            parts.push(model.represent(rows, chunk, device, Phase::Evaluate)?);
        }
        known.index = images.into_iter().enumerate().map(|(row, id)| (id, row as i64)).collect();
        known.vectors = Some(Tensor::cat(&parts, 0));
        Ok(known)
    }

    /// Represents the images of each episode anew, normalised by their batch.
    pub fn by_batch(rows: &'a Rows, device: Device) -> Self {
        Self { rows, device, index: BTreeMap::new(), vectors: None, phase: Phase::Train }
    }

    fn select(&self, model: &Model, images: &[ImageId]) -> Result<Tensor, StageError> {
        let Some(vectors) = &self.vectors else {
            return model.represent(self.rows, images, self.device, self.phase);
        };
        let rows: Vec<i64> = images.iter().map(|id| self.index[id]).collect();
        Ok(vectors.index_select(0, &Tensor::from_slice(&rows).to_device(self.device)))
    }
}

/// Returns the share of queries whose own class has the largest score; queries are grouped by class.
///
/// # Errors
/// [`StageError::Failed`] when torch fails.
pub fn accuracy(scores: &Tensor, episode: &Episode) -> Result<f64, StageError> {
    let predicted = Vec::<i64>::try_from(&scores.argmax(-1, false).to_device(Device::Cpu));
    let predicted = predicted.map_err(crate::error::torch_error)?;
    let n_query = episode.query[0].len();
    let right = predicted.iter().enumerate().filter(|(i, way)| **way == (i / n_query) as i64).count();
    Ok(right as f64 / predicted.len() as f64)
}
