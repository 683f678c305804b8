//! `train-base`: trains one base CNN on base classes, from scratch or as a linear head on imported weights.
//!
//! The schedule is a function of the step alone, so a killed run goes on from its checkpoint and ends with the same
//! bytes as one that was left in peace.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlsm_data::streams::{Draw, stream};
use mlsm_data::{ClassId, ImageId, Part};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_nets::{Adam, Backbone, Classifier, Decay, Phase, gradients, pack, unpack};
use mlsm_store::Field;
use tch::{Device, Kind, Tensor};

use super::checkpoint::Pace;
use super::ports::{self, Side};
use crate::artifact::{Array, Gallery, encode};
use crate::base_net::{BaseNetShape, fit_input, load_prefixed};
use crate::config::{self, Augmentation, FROM_FILE, Optimizer};
use crate::curve::Curve;
use crate::error::net_error;
use crate::recipe::{field, word};
use crate::runtime::Runtime;

/// The port that takes packed pixels of base photos.
const BASE: &str = ports::rows(Side::Image, Part::Base);

/// Photos in one forward pass without gradients.
const FORWARD_BATCH: usize = 64;

/// Trains a base CNN.
///
/// Inputs: packed pixels of base photos; `weights` where the backbone is imported. Outputs: `backbone`, `head`,
/// `classes` (the class id of each logit), `curve`.
pub struct TrainBase {
    /// The section of the configuration.
    pub section: config::TrainBase,
    /// The seed, resolved.
    pub seed: u64,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
}

impl Task for TrainBase {
    fn stage(&self) -> &'static str {
        "train-base"
    }

    fn version(&self) -> u32 {
        3
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { section, seed, runtime: _ } = self;
        let config::TrainBase {
            backbone,
            width,
            weights,
            resize: _, // stands for the pixels, which are inputs
            norm,
            precision,
            head,
            augmentation,
            augmentation_area,
            augmentation_jitter,
            steps,
            batch,
            lr,
            optimizer,
            weight_decay,
            holdout,
            seed: _,
        } = section;
        let weights = if section.weights_file().is_some() { FROM_FILE } else { weights.as_str() };
        vec![
            field("backbone", backbone.as_str()),
            field("width", *width),
            field("weights", weights),
            field("norm", word(*norm)),
            field("precision", word(*precision)),
            field("head", word(*head)),
            field("augmentation", word(*augmentation)),
            field("augmentation_area", *augmentation_area),
            field("augmentation_jitter", *augmentation_jitter),
            field("steps", *steps as i64),
            field("batch", *batch as i64),
            field("lr", *lr),
            field("optimizer", word(*optimizer)),
            field("weight_decay", *weight_decay),
            field("holdout", *holdout),
            field("seed", *seed as i64),
        ]
    }

    fn inputs(&self) -> Vec<Port> {
        let mut ports = vec![Port::many(BASE)];
        if self.section.weights != "none" {
            ports.push(Port::one("weights"));
        }
        ports
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["backbone", "head", "classes", "curve"]
    }

    fn threads(&self) -> usize {
        self.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let gallery = Gallery::open(context, BASE, "pixels")?;
        let photos = Photos::split(&gallery, self.section.holdout, self.seed);
        if photos.train.is_empty() {
            let said = Explanation::new("no base photo is left to train on").because("all are held out");
            return Err(StageError::BadData(said.fix(Fix::lower("holdout"))));
        }
        let shape = BaseNetShape::of(&self.section);
        let mut backbone = shape.backbone(&mut stream(self.seed, "train-base/init/backbone", 0), device);
        let imported = context.has("weights");
        if imported {
            let weights = context.open("weights")?;
            backbone.params_mut().load(&weights).map_err(|e| StageError::Setup(e.explain()))?;
        }
        fit_input(backbone.as_ref(), &gallery)?;
        let mut draws = stream(self.seed, "train-base/init/head", 0);
        let head = shape.head(backbone.as_ref(), photos.classes.len(), &mut draws);
        let mut training = Training::new(self, backbone, head, imported, &gallery, &photos, device)?;
        training.run(context)?;
        let bytes = |params: &mlsm_nets::Params| params.to_safetensors().map_err(net_error);
        let stored = match imported {
            true => context.put(&context.open("weights")?)?,
            false => context.put(&bytes(training.backbone.params())?)?,
        };
        let classes: Vec<i64> = photos.classes.iter().map(|c| i64::from(c.0)).collect();
        Ok(Outputs::default()
            .with("backbone", stored)
            .with("head", context.put(&bytes(training.head.params())?)?)
            .with("classes", context.put(&encode(&[("class_id", Array::i64(&classes))])?)?)
            .with("curve", context.put(&training.curve.to_parquet()?)?)
            .made_by(&self.runtime.provenance()?))
    }
}

/// The base photos with the index of their class, those held out apart.
struct Photos {
    classes: Vec<ClassId>,
    train: Vec<(ImageId, i64)>,
    held_out: Vec<(ImageId, i64)>,
}

impl Photos {
    fn split(gallery: &Gallery, holdout: f64, seed: u64) -> Self {
        let mut photos = Self { classes: Vec::new(), train: Vec::new(), held_out: Vec::new() };
        for (label, (class, ids)) in gallery.classes().iter().enumerate() {
            photos.classes.push(*class);
            let count = (holdout * ids.len() as f64).round() as usize;
            let mut draws = stream(seed, "train-base/holdout", u64::from(class.0));
            let held_out = draws.choose_distinct(ids.len(), count.min(ids.len()));
            for (i, id) in ids.iter().enumerate() {
                let part = if held_out.contains(&i) { &mut photos.held_out } else { &mut photos.train };
                part.push((*id, label as i64));
            }
        }
        photos
    }
}

/// What the head is trained on: pixels through the backbone, or features of a fixed backbone, computed once.
enum Images<'a> {
    Pixels(&'a Gallery),
    Features(BTreeMap<ImageId, i64>, Tensor),
}

struct Training<'a> {
    stage: &'a TrainBase,
    backbone: Box<dyn Backbone + Send>,
    head: Classifier,
    adam: Adam,
    images: Images<'a>,
    photos: &'a Photos,
    device: Device,
    curve: Curve,
    order: (u64, Vec<usize>),
}

impl<'a> Training<'a> {
    fn new(
        stage: &'a TrainBase,
        backbone: Box<dyn Backbone + Send>,
        head: Classifier,
        fixed: bool,
        gallery: &'a Gallery,
        photos: &'a Photos,
        device: Device,
    ) -> Result<Self, StageError> {
        let named = |prefix: &str, params: &mlsm_nets::Params| -> Vec<(String, Tensor)> {
            params.trainable().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
        };
        let mut trained = named("head.", head.params());
        let mut images = Images::Pixels(gallery);
        if fixed {
            images = features(backbone.as_ref(), gallery, photos, device)?;
        } else {
            trained.extend(named("backbone.", backbone.params()));
        }
        let decay = match stage.section.optimizer {
            Optimizer::Adam => Decay::L2(stage.section.weight_decay),
            Optimizer::Adamw => Decay::Decoupled(stage.section.weight_decay),
        };
        let adam = Adam::new(trained, stage.section.lr, decay);
        let curve = Curve::default();
        Ok(Self { stage, backbone, head, adam, images, photos, device, curve, order: (u64::MAX, Vec::new()) })
    }

    fn run(&mut self, context: &Context<'_>) -> Result<(), StageError> {
        let steps = self.stage.section.steps;
        let report_every = (steps / 20).max(1);
        let mut step = self.resume(context)?;
        let (mut pace, mut loss_sum, mut since) = (Pace::begin(), 0.0, 0);
        while step < steps {
            if context.is_cancelled() || pace.is_due() {
                context.save_checkpoint(&self.checkpoint(step)?)?;
                pace = Pace::begin();
                context.check()?;
            }
            loss_sum += self.step(step)?;
            (step, since) = (step + 1, since + 1);
            if step % report_every == 0 || step == steps {
                let loss = loss_sum / f64::from(since);
                context.progress(step, steps, "steps", &format!("loss {loss:.3}"));
                (loss_sum, since) = (0.0, 0);
            }
        }
        for (split, photos) in [("base", &self.photos.train), ("base-held-out", &self.photos.held_out)] {
            if !photos.is_empty() {
                self.curve.push(steps, split, "accuracy", self.accuracy(photos)?);
            }
        }
        Ok(())
    }

    /// Does one step and returns its loss.
    fn step(&mut self, step: u64) -> Result<f64, StageError> {
        let section = &self.stage.section;
        let chosen = self.batch(step);
        let labels: Vec<i64> = chosen.iter().map(|(_, label)| *label).collect();
        let ids: Vec<ImageId> = chosen.iter().map(|(id, _)| *id).collect();
        let map = match &self.images {
            Images::Pixels(gallery) => {
                let mut pixels = gallery.gather(&ids, Device::Cpu)?;
                if section.augmentation == Augmentation::Standard {
                    let mut draws = stream(self.stage.seed, "train-base/augment", step);
                    let how = mlsm_nets::Augmentation {
                        min_area: section.augmentation_area,
                        jitter: section.augmentation_jitter,
                        ..Default::default()
                    };
                    pixels = mlsm_nets::augment(&pixels, &how, &mut draws);
                }
                self.backbone.feature_map(&self.backbone.normalise(&pixels.to_device(self.device)), Phase::Train)
            }
            Images::Features(..) => self.map(&ids)?,
        };
        let logits = self.head.logits(&map); // [batch, classes]
        let labels = Tensor::from_slice(&labels).to_device(self.device);
        let loss = logits.log_softmax(-1, Kind::Float).nll_loss(&labels);
        let slopes = gradients(&loss, self.adam.params()).map_err(net_error)?;
        let progress = step as f64 / section.steps as f64;
        self.adam.set_lr(section.lr * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()));
        self.adam.step(&slopes).map_err(net_error)?;
        let value = loss.double_value(&[]);
        let report_every = (section.steps / 20).max(1);
        if (step + 1).is_multiple_of(report_every) {
            self.curve.push(step + 1, "base", "loss", value);
        }
        Ok(value)
    }

    /// Returns the photos of a step: epochs follow each other without a gap, each in an order of its own.
    fn batch(&mut self, step: u64) -> Vec<(ImageId, i64)> {
        let (count, size) = (self.photos.train.len(), self.stage.section.batch.min(self.photos.train.len()));
        let start = step * size as u64;
        let mut chosen = Vec::with_capacity(size);
        for position in start..start + size as u64 {
            let (epoch, offset) = (position / count as u64, (position % count as u64) as usize);
            if self.order.0 != epoch {
                let mut order: Vec<usize> = (0..count).collect();
                stream(self.stage.seed, "train-base/order", epoch).shuffle(&mut order);
                self.order = (epoch, order);
            }
            chosen.push(self.photos.train[self.order.1[offset]]);
        }
        chosen
    }

    /// Returns feature maps in evaluation mode.
    fn map(&self, ids: &[ImageId]) -> Result<Tensor, StageError> {
        match &self.images {
            Images::Pixels(gallery) => {
                let pixels = gallery.gather(ids, self.device)?;
                Ok(self.backbone.feature_map(&self.backbone.normalise(&pixels), Phase::Evaluate))
            }
            Images::Features(rows, features) => {
                let rows: Vec<i64> = ids.iter().map(|id| rows[id]).collect();
                Ok(features.index_select(0, &Tensor::from_slice(&rows).to_device(self.device)))
            }
        }
    }

    fn accuracy(&self, photos: &[(ImageId, i64)]) -> Result<f64, StageError> {
        let _guard = tch::no_grad_guard();
        let mut right = 0;
        for chunk in photos.chunks(FORWARD_BATCH) {
            let (ids, labels): (Vec<_>, Vec<i64>) = chunk.iter().copied().unzip();
            let predicted = self.head.logits(&self.map(&ids)?).argmax(-1, false).to_device(Device::Cpu);
            right += predicted.eq_tensor(&Tensor::from_slice(&labels)).sum(Kind::Int64).int64_value(&[]);
        }
        Ok(right as f64 / photos.len() as f64)
    }

    fn checkpoint(&self, step: u64) -> Result<Vec<u8>, StageError> {
        let mut tensors = self.adam.state();
        let named = |prefix: &str, params: &mlsm_nets::Params| -> Vec<(String, Tensor)> {
            params.all().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
        };
        tensors.extend(named("backbone.", self.backbone.params()));
        tensors.extend(named("head.", self.head.params()));
        let state = serde_json::json!({ "step": step, "threads": tch::get_num_threads(), "curve": self.curve });
        pack(&tensors, &state.to_string()).map_err(net_error)
    }

    /// Takes an interrupted attempt up; returns the step to go on with.
    fn resume(&mut self, context: &Context<'_>) -> Result<u64, StageError> {
        let Some(bytes) = context.load_checkpoint()? else { return Ok(0) };
        let Ok((tensors, text)) = unpack(&bytes) else { return Ok(0) };
        let Ok(state) = serde_json::from_str::<CheckpointState>(&text) else { return Ok(0) };
        load_prefixed(self.backbone.params_mut(), &tensors, "backbone.")?;
        load_prefixed(self.head.params_mut(), &tensors, "head.")?;
        self.adam.load_state(&tensors).map_err(net_error)?;
        self.stage.runtime.use_threads(state.threads);
        self.curve = state.curve;
        Ok(state.step)
    }
}

#[derive(serde::Deserialize)]
struct CheckpointState {
    step: u64,
    threads: usize,
    curve: Curve,
}

/// Runs a fixed backbone once over all base photos: one position per map suffices for a head on the mean.
fn features<'a>(
    backbone: &dyn Backbone,
    gallery: &Gallery,
    photos: &Photos,
    device: Device,
) -> Result<Images<'a>, StageError> {
    let _guard = tch::no_grad_guard();
    let ids: Vec<ImageId> = photos.train.iter().chain(&photos.held_out).map(|(id, _)| *id).collect();
    let mut maps = Vec::new();
    for chunk in ids.chunks(FORWARD_BATCH) {
        let pixels = gallery.gather(chunk, device)?;
        let map = backbone.feature_map(&backbone.normalise(&pixels), Phase::Evaluate);
        maps.push(map.mean_dim([2i64, 3].as_slice(), true, Kind::Float)); // [n, c, 1, 1]
    }
    let rows = ids.iter().enumerate().map(|(row, id)| (*id, row as i64)).collect();
    Ok(Images::Features(rows, Tensor::cat(&maps, 0)))
}
