//! `[meta-train.NAME]`: what learns in episodes.

use mlsm_errors::{Explain, Fix};
use mlsm_nets::{Levels, METHODS, MethodKind, Reads, Refused, Switches};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image_source::ImageSource;
use super::{Augmentation, ObjectSource, OneOrMany, in_range};
use crate::config::{ConfigError, schema};

/// How F_φ comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneMode {
    /// The base CNN as it is; heads learn on its stored maps.
    Frozen,
    /// Learnt in episodes, from scratch (the paper).
    EndToEnd,
    /// Learnt in episodes, from the base CNN's weights.
    BaseInit,
}

impl BackboneMode {
    /// Returns the name as in the configuration and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::EndToEnd => "end-to-end",
            Self::BaseInit => "base-init",
        }
    }
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Straight to zero at the last episode.
    Linear,
    /// Halved every `lr_halve_every` episodes (the paper).
    Halve,
}

/// Which pairs train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pairs {
    /// Queries against classes.
    #[serde(rename = "query")]
    Query,
    /// The support photos themselves against classes, too.
    #[serde(rename = "query+support")]
    QueryAndSupport,
}

/// How many models learn when there are several numbers of shots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShotModels {
    /// One, whose training episodes take the shots in turn.
    One,
    /// One for each number of shots, measured at that number alone (the paper's two columns).
    Each,
}

/// What batch normalisation goes by when a row is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BnEval {
    /// The running statistics of training: a query's score depends on nothing but itself and the support set.
    #[default]
    Running,
    /// The images of the episode, from pixels: queries help each other.
    Batch,
}

impl BnEval {
    /// Returns the name as in the configuration and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Batch => "batch",
        }
    }
}

/// `[meta-train.NAME]`: what every method has; the switches of its own method lie beside these keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetaTrain {
    /// The method: a name in [`mlsm_nets::METHODS`].
    #[schemars(description = "The method; its own switches are keys beside these.", schema_with = "schema::method")]
    pub method: String,
    /// The base CNN, by name, whose features are read; where the backbone is learnt, what it looks like.
    pub embedding: String,
    /// How F_φ comes about; `frozen` when absent, `end-to-end` for methods that adapt the whole network.
    pub backbone: Option<BackboneMode>,
    /// Whether image and object go through one F_φ, where it is learnt.
    pub share_encoder: bool,
    /// Learning rate of F_φ, where it is learnt; `lr` when absent.
    pub encoder_lr: Option<f64>,
    /// For `mlsm`: any of I, G, O, joined by `+`; a list makes a row each. All three when absent.
    #[schemars(with = "Option<OneOrMany<schema::LevelsText>>")]
    pub levels: Option<OneOrMany<String>>,
    /// For `mlsm`: what the object level looks at; a list makes a row each. `cam.method` when absent.
    pub object: Option<OneOrMany<ObjectSource>>,
    /// For the other methods: what they look at; a list makes a row each. The whole photo when absent.
    pub image_source: Option<OneOrMany<ImageSource>>,
    /// How photos and crops are varied in training episodes, where F_φ is learnt.
    pub augmentation: Augmentation,
    /// For `standard`: the least share of the area that a random crop keeps.
    pub augmentation_area: f64,
    /// For `standard`: brightness, contrast and saturation are each scaled by a factor in `1 ± jitter`.
    pub augmentation_jitter: f64,
    /// Which pairs train.
    pub pairs: Pairs,
    /// Classes of a training episode.
    pub n_way: usize,
    /// Shots of training episodes.
    pub train_shot: OneOrMany<usize>,
    /// One model for all shots, or one each.
    pub shot_models: ShotModels,
    /// Queries per class in training.
    pub train_query: usize,
    /// Training episodes at most.
    pub episodes: u64,
    /// Episodes whose gradients make one step; the method's own when absent.
    pub tasks: Option<u64>,
    /// Episodes between validations.
    pub val_every: u64,
    /// Validation episodes for each shot.
    pub val_episodes: u64,
    /// Classes of a validation episode; `n_way` when absent.
    pub val_way: Option<usize>,
    /// Queries per class of a validation episode; `train_query` when absent.
    pub val_query: Option<usize>,
    /// Validations without improvement after which training stops.
    pub patience: u64,
    /// Learning rate of Adam.
    pub lr: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// For `halve`: after how many episodes.
    pub lr_halve_every: u64,
    /// The largest norm of a module's gradient, 0 for none; the method's own when absent.
    pub clip: Option<f64>,
    /// The largest size of a single gradient, 0 for none; the method's own when absent.
    pub clip_value: Option<f64>,
    /// Weight decay (L2).
    pub weight_decay: f64,
    /// What batch normalisation goes by when the row is measured; a list makes a row each. The method's own when absent.
    pub bn_eval: Option<OneOrMany<BnEval>>,
    /// Seeds; a list makes a row each. The top-level one when absent.
    pub seeds: Option<OneOrMany<u64>>,
    /// The switches of the method, by key, every default filled in.
    #[serde(flatten)]
    pub switches: Switches,
}

impl Default for MetaTrain {
    fn default() -> Self {
        Self {
            method: "mlsm".to_owned(),
            embedding: String::new(),
            backbone: None,
            share_encoder: true,
            encoder_lr: None,
            levels: None,
            object: None,
            image_source: None,
            augmentation: Augmentation::None,
            augmentation_area: 0.35,
            augmentation_jitter: 0.4,
            pairs: Pairs::Query,
            n_way: 5,
            train_shot: OneOrMany::Many(vec![1, 5]),
            shot_models: ShotModels::One,
            train_query: 8,
            episodes: 1000,
            tasks: None,
            val_every: 100,
            val_episodes: 200,
            val_way: None,
            val_query: None,
            patience: 20,
            lr: 1e-3,
            schedule: Schedule::Linear,
            lr_halve_every: 100_000,
            clip: None,
            clip_value: None,
            weight_decay: 0.0,
            bn_eval: None,
            seeds: None,
            switches: Switches::new(),
        }
    }
}

impl MetaTrain {
    /// Returns the method of a checked section.
    pub fn kind(&self) -> &'static MethodKind {
        mlsm_nets::method(&self.method).expect("the configuration was checked")
    }

    /// Returns how F_φ comes about, in a checked section.
    pub fn mode(&self) -> BackboneMode {
        self.backbone.unwrap_or(BackboneMode::Frozen)
    }

    /// Returns the sets of levels of a checked section; all three where the method has none.
    pub fn levels(&self) -> Vec<Levels> {
        let texts = self.levels.as_ref().map_or_else(Vec::new, OneOrMany::to_vec);
        match texts.is_empty() {
            true => vec![Levels::ALL],
            false => texts.iter().map(|text| text.parse().expect("the configuration was checked")).collect(),
        }
    }

    /// Returns what a row looks at besides the whole photo, or instead of it, in a checked section: the object level
    /// of a method with levels, the image of one without.
    pub fn objects(&self) -> Vec<Option<ObjectSource>> {
        match (&self.object, &self.image_source) {
            (Some(objects), _) => objects.to_vec().into_iter().map(Some).collect(),
            (None, Some(images)) => images.to_vec().into_iter().map(ImageSource::object).collect(),
            (None, None) => vec![None],
        }
    }

    /// Returns every object source that some row looks at.
    pub fn used_objects(&self) -> Vec<ObjectSource> {
        let has_object = !self.kind().has_levels || self.levels().iter().any(|levels| levels.object);
        if has_object { self.objects().into_iter().flatten().collect() } else { Vec::new() }
    }

    /// Returns what batch normalisation goes by in each row.
    pub fn bn_evals(&self) -> Vec<BnEval> {
        self.bn_eval.as_ref().map_or_else(|| vec![BnEval::default()], OneOrMany::to_vec)
    }

    /// Returns the classes of a validation episode.
    pub fn val_way(&self) -> usize {
        self.val_way.unwrap_or(self.n_way)
    }

    /// Returns the queries per class of a validation episode.
    pub fn val_query(&self) -> usize {
        self.val_query.unwrap_or(self.train_query)
    }

    /// Returns the numbers of shots of each model that learns.
    pub fn shots_of_models(&self) -> Vec<Vec<usize>> {
        match self.shot_models {
            ShotModels::One => vec![self.train_shot.to_vec()],
            ShotModels::Each => self.train_shot.to_vec().into_iter().map(|shot| vec![shot]).collect(),
        }
    }

    /// Fills in what depends on the method, and what the object level looks at when the section does not say.
    pub(in crate::config) fn resolve(&mut self, path: &str, cam_method: ObjectSource) -> Result<(), ConfigError> {
        let names: Vec<&str> = METHODS.iter().map(|kind| kind.name).collect();
        let key = |name: &str| format!("{path}.{name}");
        let kind = mlsm_nets::method(&self.method)
            .ok_or_else(|| ConfigError::unknown_name(&key("method"), &self.method, &names))?;
        self.switches = kind.resolve(std::mem::take(&mut self.switches)).map_err(|refused| {
            let Refused { key: switch, reason } = refused;
            match reason.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
                Some(unknown) => unknown_key(path, unknown, kind),
                None => ConfigError::from_serde(&key(&switch), &reason),
            }
        })?;
        let foreign = |name: &str, owner: &str| {
            let why = format!("method `{}` {owner}", self.method);
            Err(ConfigError::invalid(&key(name), &why).with_fix(Fix::remove(key(name))))
        };
        if kind.has_levels {
            if self.image_source.is_some() {
                return foreign("image_source", "has levels: `object` says what the object level looks at");
            }
            self.levels.get_or_insert(OneOrMany::One("I+G+O".to_owned()));
            self.object.get_or_insert(OneOrMany::One(cam_method));
        } else {
            if self.levels.is_some() {
                return foreign("levels", "has no levels");
            }
            if self.object.is_some() {
                return foreign("object", "has no object level: `image_source` says what it looks at");
            }
            self.image_source.get_or_insert(OneOrMany::One(ImageSource::Raw));
        }
        let own = if kind.reads == Reads::Pixels { BackboneMode::EndToEnd } else { BackboneMode::Frozen };
        let mode = *self.backbone.get_or_insert(own);
        if kind.reads == Reads::Pixels && mode == BackboneMode::Frozen {
            let why = format!("`{}` adapts the whole network, so none of it can be frozen", self.method);
            let fix = format!("set {} = \"end-to-end\" or \"base-init\"", key("backbone"));
            return Err(ConfigError::invalid(&key("backbone"), &why).with_fix(fix));
        }
        if kind.reads == Reads::Pixels && self.bn_eval.is_some() {
            return foreign("bn_eval", "has a rule of its own for batch normalisation");
        }
        self.tasks.get_or_insert(kind.training.tasks);
        self.clip.get_or_insert(kind.training.clip);
        self.clip_value.get_or_insert(kind.training.clip_value);
        Ok(())
    }

    pub(in crate::config) fn check(&self, path: &str, evaluated_ways: usize) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        for levels in self.levels.as_ref().map_or_else(Vec::new, OneOrMany::to_vec) {
            levels.parse::<Levels>().map_err(|e| ConfigError::invalid(&key("levels"), &e.explain().to_string()))?;
        }
        if self.switches.get("anchor").is_some_and(|anchor| anchor != "none") && self.mode() != BackboneMode::Frozen {
            let fix = format!("set {path}.anchor = \"none\" or {path}.backbone = \"frozen\"");
            let why = "class means of embeddings stand still only where the backbone does";
            return Err(ConfigError::invalid(&key("anchor"), why).with_fix(fix));
        }
        if self.kind().reads == Reads::Pixels && self.n_way != evaluated_ways {
            let why = format!("`{}` has an output for each class of an episode", self.method);
            let fix = Fix::set(key("n_way"), evaluated_ways.to_string());
            return Err(ConfigError::invalid(&key("n_way"), &why).with_fix(fix));
        }
        if self.kind().reads == Reads::Pixels && self.val_way.is_some_and(|way| way != self.n_way) {
            let why = format!("`{}` has an output for each class of an episode", self.method);
            return Err(ConfigError::invalid(&key("val_way"), &why).with_fix(Fix::remove(key("val_way"))));
        }
        if self.mode() == BackboneMode::Frozen && self.augmentation != Augmentation::None {
            let why = "stored features are those of the photos as they are";
            let fix = format!("set {} = \"base-init\", or augment train-base.{}", key("backbone"), self.embedding);
            return Err(ConfigError::invalid(&key("augmentation"), why).with_fix(fix));
        }
        in_range(&key("augmentation_area"), self.augmentation_area, 1e-3, 1.0)?;
        in_range(&key("augmentation_jitter"), self.augmentation_jitter, 0.0, 1.0)?;
        for shot in self.train_shot.to_vec() {
            in_range(&key("train_shot"), shot as f64, 1.0, 1000.0)?;
        }
        if self.train_shot.to_vec().is_empty() {
            return Err(ConfigError::invalid(&key("train_shot"), "the list is empty"));
        }
        if self.bn_evals().is_empty() {
            return Err(ConfigError::invalid(&key("bn_eval"), "the list is empty"));
        }
        let tasks = self.tasks.unwrap_or(1);
        in_range(&key("tasks"), tasks as f64, 1.0, 1e6)?;
        for (name, count) in [("episodes", self.episodes), ("val_every", self.val_every)] {
            in_range(&key(name), count as f64, 1.0, 1e12)?;
            if count % tasks != 0 {
                let why = format!("{count} episodes are no whole number of steps of {tasks} episodes (`tasks`)");
                let fix = Fix::set(key(name), count.next_multiple_of(tasks).to_string());
                return Err(ConfigError::invalid(&key(name), &why).with_fix(fix));
            }
        }
        in_range(&key("n_way"), self.n_way as f64, 2.0, 1000.0)?;
        in_range(&key("train_query"), self.train_query as f64, 1.0, 1000.0)?;
        in_range(&key("val_way"), self.val_way() as f64, 2.0, 1000.0)?;
        in_range(&key("val_query"), self.val_query() as f64, 1.0, 1000.0)?;
        in_range(&key("val_episodes"), self.val_episodes as f64, 1.0, 1e9)?;
        in_range(&key("lr_halve_every"), self.lr_halve_every as f64, 1.0, 1e12)?;
        in_range(&key("encoder_lr"), self.encoder_lr.unwrap_or(self.lr), 0.0, 100.0)?;
        in_range(&key("clip"), self.clip.unwrap_or(0.0), 0.0, 1e9)?;
        in_range(&key("clip_value"), self.clip_value.unwrap_or(0.0), 0.0, 1e9)?;
        in_range(&key("lr"), self.lr, 1e-12, 100.0)
    }
}

/// Names the nearest key among those of every method and those of this one.
fn unknown_key(path: &str, unknown: &str, kind: &MethodKind) -> ConfigError {
    let common = serde_json::to_value(MetaTrain::default()).unwrap_or_default();
    let common = common.as_object().into_iter().flat_map(|keys| keys.keys().cloned());
    let all: Vec<String> = common.chain(kind.keys()).map(|key| format!("`{key}`")).collect();
    ConfigError::from_serde(path, &format!("unknown field `{unknown}`, expected one of {}", all.join(", ")))
}
