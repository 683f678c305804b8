//! The episodes of a training: steps, validations, checkpoints.

use std::collections::BTreeMap;

use mlsm_data::streams::stream;
use mlsm_data::{ImageId, mean_ci};
use mlsm_engine::{Context, StageError};
use mlsm_nets::{Adam, Decay, Params, Support, clip_grad_norm, clip_grad_value, gradients, pack, unpack};
use tch::{Device, Tensor};

use super::{MetaTrain, Section};
use crate::config::{Augmentation, BackboneMode, Pairs};
use crate::curve::Curve;
use crate::error::net_error;
use crate::model::{Model, Represented, Rows, Variation, accuracy};
use crate::stages::checkpoint::Pace;

/// A training under way.
pub(super) struct Training<'a> {
    stage: &'a MetaTrain,
    model: Model,
    /// One for each module of the model, with its full learning rate.
    optimizers: Vec<(Adam, f64)>,
    base: Rows,
    val: Rows,
    device: Device,
    pub(super) curve: Curve,
    /// The tensors of the model that did best.
    pub(super) best: Option<Vec<u8>>,
    best_accuracy: f64,
    since_best: u64,
}

impl<'a> Training<'a> {
    pub(super) fn new(stage: &'a MetaTrain, model: Model, base: Rows, val: Rows, device: Device) -> Self {
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

    /// Trains until no model has done better for a while, or all episodes are done.
    pub(super) fn run(&mut self, context: &Context<'_>) -> Result<(), StageError> {
        let section = &self.stage.section;
        let tasks = section.tasks.unwrap_or(1);
        let (mut episode, mut losses) = self.resume(context)?;
        let mut pace = Pace::begin();
        if self.curve.is_empty() {
            // The untrained model is a candidate: with an anchor or a base CNN's weights it may well be the best.
            self.best_accuracy = self.validate(0)?;
            self.keep()?;
        }
        if self.learnt().is_empty() {
            return Ok(());
        }
        while episode < section.episodes && self.since_best < section.patience {
            if context.is_cancelled() || pace.is_due() {
                context.save_checkpoint(&self.checkpoint(episode, losses)?)?;
                pace = Pace::begin();
                context.check()?;
            }
            losses += self.step(episode, tasks)?;
            episode += tasks;
            if episode.is_multiple_of(section.val_every) || episode == section.episodes {
                self.curve.push(episode, "base", "loss", losses / section.val_every as f64);
                losses = 0.0;
                let accuracy = self.validate(episode)?;
                if accuracy > self.best_accuracy {
                    self.keep()?;
                    (self.best_accuracy, self.since_best) = (accuracy, 0);
                } else {
                    self.since_best += 1;
                }
                let detail = format!("val {:.1} %, best {:.1} %", 100.0 * accuracy, 100.0 * self.best_accuracy);
                context.progress(episode, section.episodes, "episodes", &detail);
            }
        }
        Ok(())
    }

    /// Returns handles of all that learns, in the order of the optimisers.
    fn learnt(&self) -> Vec<Tensor> {
        self.optimizers.iter().flat_map(|(adam, _)| adam.params()).map(Tensor::shallow_clone).collect()
    }

    /// Takes the model as the best so far.
    fn keep(&mut self) -> Result<(), StageError> {
        self.best = Some(pack(&self.model.tensors(), "").map_err(net_error)?);
        Ok(())
    }

    /// Learns from the mean loss of `tasks` episodes, beginning with `first`; returns the sum of their losses.
    fn step(&mut self, first: u64, tasks: u64) -> Result<f64, StageError> {
        let section = &self.stage.section;
        let learnt = self.learnt();
        let mut sum = 0.0;
        let mut slopes: Vec<Tensor> = Vec::new();
        for index in first..first + tasks {
            let loss = self.episode(index)?;
            let found = gradients(&loss, &learnt).map_err(net_error)?;
            sum += loss.double_value(&[]);
            slopes = match slopes.is_empty() {
                true => found,
                false => slopes.iter().zip(&found).map(|(a, b)| a + b).collect(),
            };
        }
        if tasks > 1 {
            slopes = slopes.iter().map(|slope| slope / tasks as f64).collect();
        }
        for (adam, lr) in &mut self.optimizers {
            let rest = slopes.split_off(adam.params().len());
            if let Some(limit) = section.clip_value.filter(|limit| *limit > 0.0) {
                clip_grad_value(&mut slopes, limit);
            }
            if let Some(limit) = section.clip.filter(|limit| *limit > 0.0) {
                clip_grad_norm(&mut slopes, limit);
            }
            adam.set_lr(*lr * self.stage.schedule(first));
            adam.step(&slopes).map_err(net_error)?;
            slopes = rest;
        }
        Ok(sum)
    }

    /// The loss of one episode of base classes, a scalar.
    fn episode(&self, index: u64) -> Result<Tensor, StageError> {
        let section = &self.stage.section;
        let shots = &self.stage.shots;
        let spec = self.stage.spec(shots[(index % shots.len() as u64) as usize], "base");
        let episode = self.base.image().pool().episode(&spec, index);
        let images: Vec<ImageId> = episode.support.concat().into_iter().chain(episode.query.concat()).collect();
        let rows = self.model.represent_varied(&self.base, &images, self.device, self.variation(index).as_mut())?; // [n, …]
        let n_support = (spec.n_way * spec.k_shot) as i64;
        let support = rows.narrow(0, 0, n_support);
        let query = rows.narrow(0, n_support, (spec.n_way * spec.n_query) as i64);
        let labels = |each: usize| (0..spec.n_way as i64).flat_map(move |way| vec![way; each]);
        let (query, labels) = match section.pairs {
            Pairs::Query => (query, labels(spec.n_query).collect::<Vec<i64>>()),
            Pairs::QueryAndSupport => {
                (Tensor::cat(&[&query, &support], 0), labels(spec.n_query).chain(labels(spec.k_shot)).collect())
            }
        };
        let labels = Tensor::from_slice(&labels).to_device(self.device);
        let support = Support { rows: &support, n_way: spec.n_way as i64, k_shot: spec.k_shot as i64 };
        Ok(self.model.method.episode_loss(&support, &query, &labels))
    }

    /// How the photos of a training episode are varied, and the draws for that.
    fn variation(&self, index: u64) -> Option<Variation> {
        let section = &self.stage.section;
        (section.augmentation == Augmentation::Standard).then(|| Variation {
            how: mlsm_nets::Augmentation {
                min_area: section.augmentation_area,
                jitter: section.augmentation_jitter,
                ..Default::default()
            },
            draws: stream(self.stage.seed, "meta-train/augment", index),
        })
    }

    /// Measures the model on fixed episodes of the validation classes: the mean accuracy over the shots.
    fn validate(&mut self, episode: u64) -> Result<f64, StageError> {
        let section = &self.stage.section;
        if episode > 0 && self.stage.model.mode != BackboneMode::Frozen {
            self.model.centre(&self.base, self.device)?; // of the network as it is now
        }
        let known = Represented::of(&self.model, &self.val, self.device)?;
        let pool = self.val.image().pool();
        let mut sum = 0.0;
        for &shot in &self.stage.shots {
            let spec = self.stage.spec(shot, "val");
            let mut accuracies = Vec::new();
            for index in 0..section.val_episodes {
                let drawn = pool.episode(&spec, index);
                accuracies.push(accuracy(&self.model.scores(&known, &drawn)?, &drawn)?);
            }
            let measured = mean_ci(&accuracies);
            self.curve.push(episode, "val", &format!("accuracy_{shot}_shot"), measured.mean);
            self.curve.push(episode, "val", &format!("ci95_{shot}_shot"), measured.ci95);
            sum += measured.mean;
        }
        Ok(sum / self.stage.shots.len() as f64)
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
        let text =
            serde_json::to_string(&state).map_err(|e| StageError::defect(format!("cannot write a checkpoint: {e}")))?;
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
