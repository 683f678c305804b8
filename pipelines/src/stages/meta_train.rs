//! `meta-train`: learns MLSM's fusion and similarity in episodes of base classes: on stored feature maps, or together
//! with F_φ on packed pixels.
//!
//! Every draw is a function of the seed and the episode's index. The model that does best on fixed episodes of the
//! validation classes is kept; training stops when it has not improved for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlsm_data::{EpisodeSpec, ImageId};
use mlsm_engine::{Context, Outputs, Stage, StageError};
use mlsm_nets::{Adam, Decay, Params, clip_grad_norm, gradients, pack, unpack};
use mlsm_store::Field;
use tch::{Device, Tensor};

use super::{CHECKPOINT_EVERY_S, field, net_error};
use crate::config::{BackboneMode, MetaTrain as Section, Pairs, Schedule};
use crate::curve::Curve;
use crate::mlsm::{Maps, MlsmRecipe, Model, Vectors};
use crate::runtime::Runtime;

/// Trains MLSM.
///
/// Inputs: `image/base/<shard>`, `image/val/<shard>` feature maps (pixels, where F_φ is learnt), and the same under
/// `object/` for levels with O; `backbone` where F_φ starts from the base CNN. Outputs: `weights`, `curve`.
pub struct MetaTrain {
    /// The section of the configuration.
    pub section: Section,
    /// The head, resolved for this row.
    pub mlsm: MlsmRecipe,
    /// The seed, resolved.
    pub seed: u64,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
}

impl Stage for MetaTrain {
    fn name(&self) -> &'static str {
        "meta-train"
    }

    fn version(&self) -> u32 {
        1
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { section, mlsm, seed, runtime: _ } = self;
        let Section {
            method: _,
            embedding: _, // stands for the maps, which are inputs
            backbone: _,
            share_encoder: _,
            encoder_lr,
            levels: _, // resolved in `mlsm`
            object: _,
            pair: _,
            loss: _,
            sim_hidden: _,
            share_adjust: _,
            pos_weight: _,
            fusion: _,
            fusion_point: _,
            fuse_norm: _,
            gap_source: _,
            shot_pool: _,
            anchor: _,
            pairs,
            n_way,
            train_shot,
            train_query,
            episodes,
            val_every,
            val_episodes,
            patience,
            lr,
            schedule,
            lr_halve_every,
            clip,
            weight_decay,
            seeds: _,
        } = section;
        let mut fields = mlsm.fields();
        fields.extend([
            field("pairs", if *pairs == Pairs::Query { "query" } else { "query+support" }),
            field("n_way", *n_way as i64),
            field("train_shot", train_shot.to_vec().iter().map(|k| *k as i64).collect::<Vec<_>>()),
            field("train_query", *train_query as i64),
            field("episodes", *episodes as i64),
            field("val_every", *val_every as i64),
            field("val_episodes", *val_episodes as i64),
            field("patience", *patience as i64),
            field("lr", *lr),
            field("encoder_lr", encoder_lr.filter(|_| mlsm.mode != BackboneMode::Frozen)),
            field("schedule", format!("{schedule:?}").to_lowercase()),
            field("lr_halve_every", *lr_halve_every as i64),
            field("clip", *clip),
            field("weight_decay", *weight_decay),
            field("seed", *seed as i64),
        ]);
        fields
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let base = Maps::open(context, &self.mlsm, "base/")?;
        let val = Maps::open(context, &self.mlsm, "val/")?;
        for shot in self.section.train_shot.to_vec() {
            let too_few = |e: mlsm_data::DataError| StageError::BadData(e.to_string());
            base.image().pool().check(&self.spec(shot, "base")).map_err(too_few)?;
            val.image().pool().check(&self.spec(shot, "val")).map_err(too_few)?;
        }
        let mut model = Model::new(&self.mlsm, &base, self.seed, device);
        if self.mlsm.mode == BackboneMode::BaseInit {
            model.start_from(&context.open("backbone")?)?;
        }
        model.centre(&base, device)?;
        let mut training = Training::new(self, model, base, val, device);
        training.run(context)?;
        let best = training.best.take().ok_or_else(|| StageError::Failed("no model was validated".to_owned()))?;
        Ok(Outputs::default()
            .with("weights", context.put(&best)?)
            .with("curve", context.put(&training.curve.to_parquet()?)?)
            .made_by(&self.runtime.provenance()?))
    }
}

impl MetaTrain {
    /// The episodes of training and those of selection come from seeds of their own.
    fn spec(&self, k_shot: usize, part: &str) -> EpisodeSpec {
        let Section { n_way, train_query, .. } = &self.section;
        let seed = self.seed.wrapping_mul(2).wrapping_add(u64::from(part == "val"));
        EpisodeSpec { n_way: *n_way, k_shot, n_query: *train_query, seed }
    }

    /// The share of the learning rate that is left.
    fn schedule(&self, episode: u64) -> f64 {
        let Section { schedule, episodes, lr_halve_every, .. } = &self.section;
        match schedule {
            Schedule::Linear => 1.0 - episode as f64 / *episodes as f64,
            Schedule::Halve => 0.5f64.powf((episode / lr_halve_every) as f64),
        }
    }
}

struct Training<'a> {
    stage: &'a MetaTrain,
    model: Model,
    /// One for each module of the model, with its full learning rate.
    optimizers: Vec<(Adam, f64)>,
    base: Maps,
    val: Maps,
    device: Device,
    curve: Curve,
    best: Option<Vec<u8>>,
    best_accuracy: f64,
    since_best: u64,
}

impl<'a> Training<'a> {
    fn new(stage: &'a MetaTrain, model: Model, base: Maps, val: Maps, device: Device) -> Self {
        let Section { lr, encoder_lr, weight_decay, .. } = &stage.section;
        let optimizer = |(prefix, params): (&str, &Params)| {
            let lr = if prefix.contains("encoder") { encoder_lr.unwrap_or(*lr) } else { *lr };
            let named = params.trainable().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
            (Adam::new(named.collect(), lr, Decay::L2(*weight_decay)), lr)
        };
        let optimizers = model.modules().into_iter().map(optimizer).collect();
        let (curve, best) = (Curve::default(), None);
        Self { stage, model, optimizers, base, val, device, curve, best, best_accuracy: -1.0, since_best: 0 }
    }

    fn run(&mut self, context: &Context<'_>) -> Result<(), StageError> {
        let section = &self.stage.section;
        let (mut episode, mut losses) = self.resume(context)?;
        let mut saved = Instant::now();
        while episode < section.episodes && self.since_best < section.patience {
            if context.is_cancelled() || saved.elapsed() > Duration::from_secs(CHECKPOINT_EVERY_S) {
                context.save_checkpoint(&self.checkpoint(episode, losses)?)?;
                saved = Instant::now();
                context.check()?;
            }
            losses += self.episode(episode)?;
            episode += 1;
            if episode.is_multiple_of(section.val_every) || episode == section.episodes {
                self.curve.push(episode, "base", "loss", losses / section.val_every as f64);
                losses = 0.0;
                let accuracy = self.validate(episode)?;
                let detail = format!("val {:.1} %, best {:.1} %", 100.0 * accuracy, 100.0 * self.best_accuracy);
                context.progress(episode, section.episodes, "episodes", &detail);
            }
        }
        Ok(())
    }

    fn episode(&mut self, index: u64) -> Result<f64, StageError> {
        let section = &self.stage.section;
        let shots = section.train_shot.to_vec();
        let spec = self.stage.spec(shots[(index % shots.len() as u64) as usize], "base");
        let episode = self.base.image().pool().episode(&spec, index);
        let images: Vec<ImageId> = episode.support.concat().into_iter().chain(episode.query.concat()).collect();
        let vectors = self.model.represent(&self.base, &images, self.device, true)?; // [n, 576]
        let n_support = (spec.n_way * spec.k_shot) as i64;
        let support = vectors.narrow(0, 0, n_support);
        let query = vectors.narrow(0, n_support, (spec.n_way * spec.n_query) as i64);
        let head = &self.model.head;
        let classes = head.class_vectors(&support, spec.n_way as i64, spec.k_shot as i64);
        let labels = |each: usize| (0..spec.n_way as i64).flat_map(move |way| vec![way; each]);
        let (query, labels) = match section.pairs {
            Pairs::Query => (query, labels(spec.n_query).collect::<Vec<i64>>()),
            Pairs::QueryAndSupport => {
                (Tensor::cat(&[query, support], 0), labels(spec.n_query).chain(labels(spec.k_shot)).collect())
            }
        };
        let labels = Tensor::from_slice(&labels).to_device(self.device);
        let loss = head.loss(&head.scores(&classes, &query, true), &labels);
        let learnt: Vec<Tensor> =
            self.optimizers.iter().flat_map(|(adam, _)| adam.params()).map(Tensor::shallow_clone).collect();
        let mut slopes = gradients(&loss, &learnt).map_err(net_error)?;
        for (adam, lr) in &mut self.optimizers {
            let rest = slopes.split_off(adam.params().len());
            clip_grad_norm(&mut slopes, section.clip);
            adam.set_lr(*lr * self.stage.schedule(index));
            adam.step(&slopes).map_err(net_error)?;
            slopes = rest;
        }
        Ok(loss.double_value(&[]))
    }

    /// Measures the model on fixed episodes of the validation classes and keeps it when it is the best so far.
    fn validate(&mut self, episode: u64) -> Result<f64, StageError> {
        let section = &self.stage.section;
        let vectors = Vectors::of(&self.model, &self.val, self.device)?;
        let shots = section.train_shot.to_vec();
        let mut sum = 0.0;
        for shot in &shots {
            let spec = self.stage.spec(*shot, "val");
            let pool = self.val.image().pool();
            let mut right = 0.0;
            for index in 0..section.val_episodes {
                let drawn = pool.episode(&spec, index);
                let (_, accuracy) = vectors.predict(&self.model.head, &drawn)?;
                right += accuracy;
            }
            let accuracy = right / section.val_episodes as f64;
            self.curve.push(episode, "val", &format!("accuracy_{shot}_shot"), accuracy);
            sum += accuracy;
        }
        let accuracy = sum / shots.len() as f64;
        if accuracy > self.best_accuracy {
            self.best = Some(pack(&self.model.tensors(), "").map_err(net_error)?);
            (self.best_accuracy, self.since_best) = (accuracy, 0);
        } else {
            self.since_best += 1;
        }
        Ok(accuracy)
    }

    fn checkpoint(&self, episode: u64, losses: f64) -> Result<Vec<u8>, StageError> {
        // The step count stands in every optimiser's state; it is the same, so once is enough.
        let mut tensors: BTreeMap<String, Tensor> = self.optimizers.iter().flat_map(|(adam, _)| adam.state()).collect();
        tensors.extend(self.model.tensors().into_iter().map(|(n, t)| (format!("model.{n}"), t)));
        if let Some(best) = &self.best {
            let (best, _) = unpack(best).map_err(net_error)?;
            tensors.extend(best.into_iter().map(|(n, t)| (format!("best.{n}"), t)));
        }
        let state = State {
            episode,
            losses,
            threads: tch::get_num_threads() as usize,
            best_accuracy: self.best_accuracy,
            since_best: self.since_best,
            curve: self.curve.clone(),
        };
        let text = serde_json::to_string(&state).map_err(|e| StageError::Failed(e.to_string()))?;
        pack(&tensors.into_iter().collect::<Vec<_>>(), &text).map_err(net_error)
    }

    /// Takes an interrupted attempt up; returns the episode to go on with and the losses since the last validation.
    fn resume(&mut self, context: &Context<'_>) -> Result<(u64, f64), StageError> {
        let Some(bytes) = context.load_checkpoint()? else { return Ok((0, 0.0)) };
        let Ok((tensors, text)) = unpack(&bytes) else { return Ok((0, 0.0)) };
        let Ok(state) = serde_json::from_str::<State>(&text) else { return Ok((0, 0.0)) };
        self.model.load(&tensors, "model.")?;
        for (adam, _) in &mut self.optimizers {
            adam.load_state(&tensors).map_err(net_error)?;
        }
        let best: BTreeMap<String, Tensor> = tensors
            .iter()
            .filter_map(|(n, t)| Some((n.strip_prefix("best.")?.to_owned(), t.shallow_clone())))
            .collect();
        if !best.is_empty() {
            let best: Vec<_> = best.into_iter().collect();
            self.best = Some(pack(&best, "").map_err(net_error)?);
        }
        self.stage.runtime.use_threads(state.threads);
        (self.best_accuracy, self.since_best, self.curve) = (state.best_accuracy, state.since_best, state.curve);
        Ok((state.episode, state.losses))
    }
}

/// What a checkpoint holds besides tensors.
#[derive(serde::Serialize, serde::Deserialize)]
struct State {
    episode: u64,
    losses: f64,
    threads: usize,
    best_accuracy: f64,
    since_best: u64,
    curve: Curve,
}
