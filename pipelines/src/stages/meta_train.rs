//! `meta-train`: learns a method in episodes of base classes: on stored features, or together with F_φ on packed pixels.
//!
//! Every draw is a function of the seed and the episode's index. The model that does best on fixed episodes of the
//! validation classes is kept; training stops when it has not improved for a while.

mod training;

use std::sync::Arc;

use mlsm_data::{EpisodeSpec, Part};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::Explain;
use mlsm_store::Field;

use self::training::Training;
use crate::config::{Augmentation, BackboneMode, MetaTrain as Section, Schedule};
use crate::model::{Model, ModelRecipe, Rows};
use crate::recipe::{field, word};
use crate::runtime::Runtime;

/// Trains a method. One without anything to learn is validated once.
///
/// Inputs: features of base and val photos (pixels, where the backbone is learnt), and of objects for levels with O; `backbone` where F_φ starts from the base CNN. Outputs: `weights`, `curve`.
pub struct MetaTrain {
    /// The section of the configuration.
    pub section: Section,
    /// The model, resolved for this row.
    pub model: ModelRecipe,
    /// The shots of training episodes, in turn.
    pub shots: Vec<usize>,
    /// The seed, resolved.
    pub seed: u64,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
}

impl Task for MetaTrain {
    fn stage(&self) -> &'static str {
        "meta-train"
    }

    fn version(&self) -> u32 {
        4
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { section, model, shots, seed, runtime: _ } = self;
        let Section {
            method: _, // resolved in `model`
            switches: _,
            backbone: _,
            share_encoder: _,
            levels: _,
            embedding: _, // stands for the rows, which are inputs
            object: _,
            image_source: _,
            train_shot: _, // resolved in `shots`
            shot_models: _,
            encoder_lr,
            augmentation,
            augmentation_area,
            augmentation_jitter,
            pairs,
            n_way,
            train_query,
            episodes,
            tasks,
            val_every,
            val_episodes,
            val_way: _,   // resolved by `val_way()`
            val_query: _, // resolved by `val_query()`
            patience,
            lr,
            schedule,
            lr_halve_every,
            clip,
            clip_value,
            weight_decay,
            seeds: _,
            bn_eval: _, // of measuring alone
        } = section;
        let mut fields = model.fields();
        fields.extend([
            field("pairs", word(*pairs)),
            field("n_way", *n_way as i64),
            field("train_shot", shots.iter().map(|k| *k as i64).collect::<Vec<_>>()),
            field("train_query", *train_query as i64),
            field("episodes", *episodes as i64),
            field("tasks", tasks.map(|tasks| tasks as i64)),
            field("val_every", *val_every as i64),
            field("val_episodes", *val_episodes as i64),
            field("val_way", section.val_way() as i64),
            field("val_query", section.val_query() as i64),
            field("patience", *patience as i64),
            field("lr", *lr),
            field("encoder_lr", encoder_lr.filter(|_| model.mode != BackboneMode::Frozen)),
            field("schedule", word(*schedule)),
            field("lr_halve_every", *lr_halve_every as i64),
            field("clip", *clip),
            field("clip_value", *clip_value),
            field("weight_decay", *weight_decay),
            field("seed", *seed as i64),
        ]);
        if *augmentation != Augmentation::None {
            fields.extend([
                field("augmentation", word(*augmentation)),
                field("augmentation_area", *augmentation_area),
                field("augmentation_jitter", *augmentation_jitter),
            ]);
        }
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        let mut ports = self.model.row_ports(Part::Base);
        ports.extend(self.model.row_ports(Part::Val));
        if self.model.mode == BackboneMode::BaseInit {
            ports.push(Port::one("backbone"));
        }
        ports
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["weights", "curve"]
    }

    fn threads(&self) -> usize {
        self.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let base = Rows::open(context, &self.model, Part::Base)?;
        let val = Rows::open(context, &self.model, Part::Val)?;
        for &shot in &self.shots {
            let too_few = |e: mlsm_data::DataError| StageError::BadData(e.explain());
            base.image().pool().check(&self.spec(shot, "base")).map_err(too_few)?;
            val.image().pool().check(&self.spec(shot, "val")).map_err(too_few)?;
        }
        let mut model = Model::new(&self.model, self.seed, device);
        if self.model.mode == BackboneMode::BaseInit {
            model.start_from(&context.open("backbone")?)?;
        } else {
            model.fit_input(&base)?;
        }
        model.centre(&base, device)?;
        let mut training = Training::new(self, model, base, val, device);
        training.run(context)?;
        let best = training.best.take().ok_or_else(|| StageError::defect("no model was validated"))?;
        Ok(Outputs::default()
            .with("weights", context.put(&best)?)
            .with("curve", context.put(&training.curve.to_parquet()?)?)
            .made_by(&self.runtime.provenance()?))
    }
}

impl MetaTrain {
    /// The episodes of training and those of selection come from seeds of their own.
    fn spec(&self, k_shot: usize, part: &str) -> EpisodeSpec {
        let section = &self.section;
        let is_val = part == "val";
        let (n_way, n_query) = match is_val {
            true => (section.val_way(), section.val_query()),
            false => (section.n_way, section.train_query),
        };
        let seed = self.seed.wrapping_mul(2).wrapping_add(u64::from(is_val));
        EpisodeSpec { n_way, k_shot, n_query, seed }
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
