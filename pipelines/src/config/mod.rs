//! The configuration: TOML sections, one per stage, with defaults that are written in `configs/README.md`.
//!
//! Whatever changes results ends up in a stage's recipe; paths never do. Unknown keys are refused with the nearest key.

mod error;
mod schema;
mod sections;

use std::collections::BTreeMap;
use std::path::Path;

use mlsm_data::resize::Resize;
use mlsm_data::synthetic::SyntheticSpec;
use mlsm_errors::Fix;
use mlsm_nets::{BackboneKind, Precision, Reads};
use mlsm_store::{Digest, is_address};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use schema::schema;
pub use sections::{
    Augmentation, BackboneMode, BadImage, Baseline, BnEval, Cam, CamClass, CamRegion, CropFrom, Data, Evaluate,
    Extract, Head, MapPrecision, MetaTrain, Numerics, ObjectSource, Optimizer, Pairs, Protocol, Schedule, ShotModels,
    Splits, Synthetic, TrainBase,
};

/// What stands for weights from a file where a path must not: its bytes are an input.
pub(crate) const FROM_FILE: &str = "file";

/// A whole configuration with every default filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The seed that every section without a seed of its own uses.
    pub seed: u64,
    /// Where the photos are.
    pub data: Data,
    /// Which classes are base, val and novel.
    pub splits: Splits,
    /// The base CNNs by name.
    pub train_base: BTreeMap<String, TrainBase>,
    /// How objects are located.
    pub cam: Cam,
    /// How features are stored.
    pub extract: Extract,
    /// The methods that learn in episodes, by name.
    pub meta_train: BTreeMap<String, MetaTrain>,
    /// Which rows are measured, and how.
    pub evaluate: Evaluate,
    /// What may change a float's last bits.
    pub numerics: Numerics,
}

impl Config {
    /// Reads a merged table and checks what can be checked without data.
    ///
    /// ```
    /// use mlsm_pipelines::Config;
    ///
    /// let read = |text: &str| Config::from_table(text.parse().expect("TOML"));
    /// assert_eq!(read("[evaluate]\nepisodes = 100").map(|config| config.evaluate.episodes), Ok(Some(100)));
    /// let refused = read("[evaluate]\nepisods = 100").unwrap_err();
    /// assert_eq!(refused.path, "evaluate.episods");
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] names the key, why it is refused and the nearest right one.
    pub fn from_table(table: toml::Table) -> Result<Self, ConfigError> {
        let text = toml::to_string(&table).map_err(|e| ConfigError::invalid("", &e.to_string()))?;
        let deserializer = toml::Deserializer::parse(&text).map_err(|e| ConfigError::invalid("", e.message()))?;
        let mut config: Self = serde_path_to_error::deserialize(deserializer)
            .map_err(|e| ConfigError::from_serde(&e.path().to_string(), e.inner().message()))?;
        for (name, section) in &mut config.meta_train {
            section.resolve(&format!("meta-train.{name}"), config.cam.method)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Returns the configuration as a table with every default filled in.
    pub fn resolved(&self) -> toml::Table {
        toml::Table::try_from(self).unwrap_or_default()
    }

    /// Returns the digest of everything but paths: two configurations with equal digests do the same work.
    pub fn digest(&self) -> Digest {
        let mut pathless = self.clone();
        pathless.data.path = None;
        pathless.splits.file = None;
        for section in pathless.train_base.values_mut().filter(|section| section.weights_file().is_some()) {
            section.weights = FROM_FILE.to_owned();
        }
        Digest::of(toml::to_string(&pathless).unwrap_or_default().as_bytes())
    }

    /// Returns the configuration without paths of this machine: of weights from a file, its name remains.
    pub fn without_paths(&self) -> Self {
        let mut pathless = self.clone();
        pathless.data.path = None;
        pathless.splits.file = None;
        for section in pathless.train_base.values_mut() {
            section.weights = section.weights_name().to_owned();
        }
        pathless
    }

    /// Makes relative paths relative to `base`.
    pub fn resolve_paths(&mut self, base: &Path) {
        for path in [&mut self.data.path, &mut self.splits.file].into_iter().flatten() {
            if path.is_relative() && !path.to_str().is_some_and(is_address) {
                *path = base.join(&*path);
            }
        }
        for section in self.train_base.values_mut() {
            if let Some(file) = section.weights_file().filter(|file| file.is_relative()) {
                section.weights = base.join(file).to_string_lossy().into_owned();
            }
        }
    }

    /// Returns the folder, the archive or the bucket of photos, when one is given.
    pub fn data_path(&self) -> Option<&Path> {
        self.data.path.as_deref()
    }

    /// Returns the address of the bucket that has the photos, when one is given.
    pub fn bucket(&self) -> Option<&str> {
        self.data_path()?.to_str().filter(|path| is_address(path))
    }

    /// Returns what to draw when there is no folder of photos.
    pub fn synthetic_spec(&self) -> Option<SyntheticSpec> {
        let Synthetic { classes, images_per_class, size_px, seed } = self.data.synthetic.clone()?;
        let seed = seed.unwrap_or(self.seed);
        Some(SyntheticSpec { classes, images_per_class, seed, size_px, ..SyntheticSpec::default() })
    }

    /// Refuses references to sections that do not exist and values out of range.
    fn check(&self) -> Result<(), ConfigError> {
        for (name, base) in &self.train_base {
            base.check(&format!("train-base.{name}"))?;
        }
        let base_names: Vec<&str> = self.train_base.keys().map(String::as_str).collect();
        let exists = |key: &str, name: &str| match self.train_base.contains_key(name) {
            true => Ok(()),
            false => Err(ConfigError::unknown_name(key, name, &base_names)),
        };
        for (name, method) in &self.meta_train {
            exists(&format!("meta-train.{name}.embedding"), &method.embedding)?;
            let section = format!("meta-train.{name}");
            method.check(&section, self.evaluate.n_way)?;
            let base = &self.train_base[&method.embedding];
            if base.precision != Precision::F32 && method.kind().reads == Reads::Pixels {
                let why = format!("`{}` takes gradients of gradients, or many small steps: in f32", method.method);
                let fix = format!("name a base CNN with precision = \"f32\", not `{}`", method.embedding);
                return Err(ConfigError::invalid(&format!("{section}.embedding"), &why).with_fix(fix));
            }
        }
        for baseline in &self.evaluate.baselines {
            if let Baseline::Cl2n { embedding, .. } = baseline {
                exists("evaluate.baselines", embedding)?;
            }
        }
        if self.uses_localiser() {
            exists("cam.localiser", &self.cam.localiser)?;
            if self.train_base[&self.cam.localiser].resize != Resize::Squash {
                let why = "a localiser must see the whole photo, or its boxes would lie elsewhere";
                let fix = Fix::remove(format!("train-base.{}.resize", self.cam.localiser));
                return Err(ConfigError::invalid("cam.localiser", why).with_fix(fix));
            }
            let backbone: BackboneKind = self.train_base[&self.cam.localiser].backbone.parse().expect("checked above");
            if self.cam.layers_back >= backbone.depth() {
                let why = format!("{backbone} has {} layers", backbone.depth());
                let fix = format!("set cam.layers_back below {}", backbone.depth());
                return Err(ConfigError::invalid("cam.layers_back", &why).with_fix(fix));
            }
            if self.objects().contains(&ObjectSource::Cam) && self.train_base[&self.cam.localiser].head != Head::Gap {
                let why = format!("CAM reads a head on the mean, and `{}` has another", self.cam.localiser);
                let fix = format!("set train-base.{}.head = \"gap\", or use grad-cam", self.cam.localiser);
                return Err(ConfigError::invalid("cam.localiser", &why).with_fix(fix));
            }
        }
        self.cam.check()?;
        self.evaluate.check()?;
        self.numerics.check()
    }

    /// Tells whether any row, or the audit of thresholds, looks for objects.
    pub fn uses_localiser(&self) -> bool {
        self.objects().iter().any(|o| o.is_located()) || !self.cam.audit.is_empty()
    }

    /// Tells whether a base CNN's section only says what a backbone looks like that is learnt in episodes.
    pub fn is_shape_only(&self, name: &str) -> bool {
        let scratch = |m: &MetaTrain| m.mode() == BackboneMode::EndToEnd;
        let mut users = self.meta_train.values().filter(|m| m.embedding == name).peekable();
        let is_baseline = |b: &Baseline| matches!(b, Baseline::Cl2n { embedding, .. } if embedding == name);
        users.peek().is_some()
            && users.all(scratch)
            && !self.evaluate.baselines.iter().any(is_baseline)
            && !(self.uses_localiser() && self.cam.localiser == name)
    }

    /// Returns every object source that some row looks at, once each, in a fixed order.
    pub fn objects(&self) -> Vec<ObjectSource> {
        let learnt = self.meta_train.values().flat_map(MetaTrain::used_objects);
        let fixed = self.evaluate.baselines.iter().filter_map(|b| match b {
            Baseline::Cl2n { object, .. } => *object,
            Baseline::Pixels => None,
        });
        let mut all: Vec<_> = learnt.chain(fixed).collect();
        all.sort();
        all.dedup();
        all
    }
}
