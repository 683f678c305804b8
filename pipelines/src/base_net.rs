//! A trained base CNN: backbone, head and the classes of its logits, as the artifacts of `train-base` hold it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use mlsm_engine::{Context, StageError};
use mlsm_nets::{Backbone, BackboneSpec, Classifier, ColourSums, pack};
use mlsm_store::{Digest, Field};
use tch::{Device, Tensor};

use crate::artifact::{Gallery, decode};
use crate::config::{Head, TrainBase};
use crate::error::net_error;
use crate::recipe::{field, word};

/// Photos that are read at once.
const FORWARD_BATCH: usize = 64;

/// What a base CNN looks like, without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseNetShape {
    /// The backbone.
    pub net: BackboneSpec,
    /// The head.
    pub head: Head,
}

impl BaseNetShape {
    /// Reads the shape off a checked section.
    pub fn of(section: &TrainBase) -> Self {
        let TrainBase { width, norm, precision, head, .. } = *section;
        let kind = section.backbone.parse().expect("the configuration was checked");
        Self { net: BackboneSpec { kind, width, norm, precision }, head }
    }

    /// Returns what identifies the backbone in a recipe.
    pub fn fields(&self) -> Vec<Field> {
        let BackboneSpec { kind, width, norm, precision } = self.net;
        vec![
            field("backbone", kind.to_string()),
            field("width", width),
            field("norm", word(norm)),
            field("precision", word(precision)),
        ]
    }

    /// Returns the positions a side of the map that the embedding keeps.
    pub fn embedding_side(&self) -> i64 {
        self.net.kind.embedding_side()
    }

    /// Returns the channels of the map.
    pub fn channels(&self) -> i64 {
        self.net.kind.fixed_channels().unwrap_or(self.net.width)
    }

    /// Returns the filters of a backbone whose width is a choice.
    pub fn chosen_width(&self) -> Option<i64> {
        self.net.kind.fixed_channels().is_none().then_some(self.net.width)
    }

    /// Returns the length of the embedding.
    pub fn embedding_dim(&self) -> i64 {
        self.channels() * self.embedding_side() * self.embedding_side()
    }

    /// Builds the backbone; its weights are drawn from `rng`.
    pub fn backbone(&self, rng: &mut rand_chacha::ChaCha8Rng, device: Device) -> Box<dyn Backbone + Send> {
        mlsm_nets::backbone(&self.net, rng, device)
    }

    /// Builds the head for a number of classes.
    pub fn head(&self, backbone: &dyn Backbone, classes: usize, rng: &mut rand_chacha::ChaCha8Rng) -> Classifier {
        let head = match self.head {
            Head::Gap => mlsm_nets::Head::Gap,
            Head::Grid => mlsm_nets::Head::Grid,
            Head::Flat => mlsm_nets::Head::Flat,
            Head::Cosine => mlsm_nets::Head::Cosine,
        };
        Classifier::new(backbone, head, classes as i64, rng)
    }
}

/// A base CNN with its weights.
pub struct BaseNet {
    /// The backbone.
    pub backbone: Box<dyn Backbone + Send>,
    /// The head, where the unit was given one.
    pub head: Option<Classifier>,
    /// The class ids of the logits.
    pub classes: Vec<i64>,
}

/// Keeps the last network that was loaded, since all shards of a node use the same one.
#[derive(Default)]
pub struct BaseNetCache(Mutex<Option<(Digest, BaseNet)>>);

impl BaseNetCache {
    /// Hands the network of inputs `backbone`, `head` and `classes` (the last two may be absent) to `use_net`.
    ///
    /// # Errors
    /// [`StageError`] when weights are damaged or do not fit, and what `use_net` returns.
    pub fn with<T>(
        &self,
        context: &Context<'_>,
        shape: &BaseNetShape,
        device: Device,
        use_net: impl FnOnce(&BaseNet) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        let digest = context.digest("backbone")?;
        let mut kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if kept.as_ref().is_none_or(|(of, _)| *of != digest) {
            *kept = Some((digest, load(context, shape, device)?));
        }
        let (_, net) = kept.as_ref().expect("filled just above");
        use_net(net)
    }
}

fn load(context: &Context<'_>, shape: &BaseNetShape, device: Device) -> Result<BaseNet, StageError> {
    let mut unused = mlsm_data::streams::stream(0, "weights are loaded over these", 0);
    let mut backbone = shape.backbone(&mut unused, device);
    backbone.params_mut().load(&context.open("backbone")?).map_err(net_error)?;
    if !context.has("head") {
        return Ok(BaseNet { backbone, head: None, classes: Vec::new() });
    }
    let listed = context.open("classes")?;
    let classes = decode(&listed, "class_id")?.to_i64(&listed);
    let mut head = shape.head(backbone.as_ref(), classes.len(), &mut unused);
    head.params_mut().load(&context.open("head")?).map_err(net_error)?;
    Ok(BaseNet { backbone, head: Some(head), classes })
}

/// Takes mean and scale of the colours from all photos of a gallery, where a backbone wants them to come from there.
pub(crate) fn fit_input(backbone: &dyn Backbone, photos: &Gallery) -> Result<(), StageError> {
    if !backbone.input().is_fitted() {
        return Ok(());
    }
    let images: Vec<_> = photos.classes().values().flatten().copied().collect();
    let mut sums = ColourSums::default();
    for chunk in images.chunks(FORWARD_BATCH) {
        sums.add(&photos.gather(chunk, Device::Cpu)?);
    }
    backbone.fit_input(&sums.colours());
    Ok(())
}

/// Loads the tensors whose names start with `prefix` into the net they came from.
pub(crate) fn load_prefixed(
    params: &mut mlsm_nets::Params,
    tensors: &BTreeMap<String, Tensor>,
    prefix: &str,
) -> Result<(), StageError> {
    let own: Vec<(String, Tensor)> = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone())))
        .collect();
    params.load(&pack(&own, "").map_err(net_error)?).map_err(net_error)
}
