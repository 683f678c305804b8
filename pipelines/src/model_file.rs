//! A model file: what a node has learnt, with its recipe, its normalisation and its lineage, to be used elsewhere.
//!
//! It holds the artifacts of one node of `train-base` or `meta-train` and the request that they answer. Another store that
//! takes them in finds them when it asks the same; other programs read its tensors as those of any safetensors file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mlsm_errors::{Explain, Fix};
use mlsm_nets::{Colours, constant_colours};
use mlsm_store::{Digest, Manifest, Request, Store, publish_file};
use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::AssembleError;
use crate::base_net::BaseNetShape;
use crate::config::{Config, TrainBase};
use crate::kept_file::{self, Unread, Values};
use crate::recipe::word;
use crate::weights::{self, KnownWeights};

const KIND: &str = "model";
const FORMAT: u32 = 1;
/// The stages whose nodes are models.
const STAGES: [&str; 2] = ["train-base", "meta-train"];
/// The array of an artifact that is no tensors, such as a table of losses.
const BYTES: &str = "bytes";

/// Why a model cannot be exported or imported.
#[derive(Debug, Error)]
pub enum ModelFileError {
    /// The file is something else.
    #[error("{} is no model file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is not as it was written.
    #[error("model file {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The file system refuses.
    #[error("cannot read model file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The node learns nothing.
    #[error("node {node} is no model")]
    NoModel {
        /// The node.
        node: String,
    },
    /// The node has not been computed.
    #[error("node {node} cannot be exported")]
    NotComputed {
        /// The node.
        node: String,
    },
}

impl Explain for ModelFileError {
    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::Foreign { .. } => "it does not begin as one".to_owned(),
            Self::Damaged { why, .. } => why.clone(),
            Self::Io { .. } => return None,
            Self::NoModel { .. } => "only nodes of train-base and meta-train learn".to_owned(),
            Self::NotComputed { .. } => "it has not been computed, or something before it has changed".to_owned(),
        })
    }

    fn fixes(&self) -> Vec<Fix> {
        match self {
            Self::Foreign { .. } => vec!["name a file that a network was exported to".into()],
            Self::Damaged { .. } => vec!["copy it again from where it is whole".into(), "export it again".into()],
            Self::Io { .. } => vec!["correct the path, or its permissions".into()],
            Self::NoModel { .. } => vec![Fix::ListNodes],
            Self::NotComputed { node } => vec![format!("compute {node} first").into(), Fix::ListNodes],
        }
    }
}

impl From<ModelFileError> for AssembleError {
    fn from(error: ModelFileError) -> Self {
        let said = error.explain();
        match error {
            ModelFileError::NoModel { .. } | ModelFileError::NotComputed { .. } => Self::Config(said),
            _ => Self::Data(said),
        }
    }
}

/// The contents of a model file.
#[derive(Clone, Debug)]
pub struct ModelFile {
    about: About,
    artifacts: BTreeMap<String, Vec<u8>>,
}

/// What the file says of itself, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: u32,
    program: String,
    /// The name of the configuration, and the configuration as TOML, without paths.
    preset: String,
    config: String,
    node: String,
    /// How pixels become the input of the network.
    input: Input,
    /// Imported weights that it rests on: what they were trained on, and their licence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rests_on: Vec<Origin>,
    /// Stage, version, recipe, and the digest of each input: photos, weights, features.
    request: Request,
    outputs: BTreeMap<String, Kept>,
    /// Device, threads, libraries.
    provenance: BTreeMap<String, String>,
}

/// Where imported weights come from; what is not known of a file stays out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    weights: String,
    source: Option<String>,
    trained_on: Option<String>,
    licence: Option<String>,
}

/// How a photo becomes the input of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    backbone: String,
    size_px: u32,
    resize: String,
    /// On 0 to 255, red, green, blue; none where they are among the tensors.
    mean: Option<[f32; 3]>,
    scale: Option<[f32; 3]>,
}

/// An artifact: its digest, and the text beside its tensors; none where it is no tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    digest: Digest,
    text: Option<String>,
}

impl ModelFile {
    /// Takes what a node has learnt out of a store. `config`: its name, and what it says.
    ///
    /// # Errors
    /// [`AssembleError`] when the node learns nothing or an artifact is damaged.
    pub fn export(
        node: &str,
        manifest: &Manifest,
        (preset, config): (&str, &Config),
        store: &Store,
    ) -> Result<Self, AssembleError> {
        let no_model = || ModelFileError::NoModel { node: node.to_owned() };
        let section = base_net_of(node, &manifest.request, config).ok_or_else(no_model)?;
        let (mut outputs, mut artifacts) = (BTreeMap::new(), BTreeMap::new());
        for (name, output) in &manifest.outputs {
            let bytes = store.open_blob(&output.digest)?.to_vec();
            outputs.insert(name.clone(), Kept { digest: output.digest, text: kept_file::text_of(&bytes) });
            artifacts.insert(name.clone(), bytes);
        }
        let about = About {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            preset: preset.to_owned(),
            config: toml::to_string(&config.without_paths()).unwrap_or_default(),
            node: node.to_owned(),
            input: input_of(section),
            rests_on: rests_on(section, &manifest.request, config),
            request: manifest.request.clone(),
            outputs,
            provenance: manifest.provenance.clone(),
        };
        Ok(Self { about, artifacts })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AssembleError> {
        let mut arrays = BTreeMap::new();
        for (name, bytes) in &self.artifacts {
            match self.about.outputs[name].text {
                Some(_) => {
                    let tensors = kept_file::arrays(bytes).unwrap_or_default().into_iter();
                    arrays.extend(tensors.map(|(tensor, values)| (format!("{name}/{tensor}"), values)));
                }
                None => {
                    let values = Values { dtype: Dtype::U8, shape: vec![bytes.len()], bytes: bytes.clone() };
                    arrays.insert(format!("{name}/{BYTES}"), values);
                }
            }
        }
        Ok(publish_file(path, &kept_file::write(KIND, &self.about, &arrays))?)
    }

    /// Reads a file and checks it.
    ///
    /// # Errors
    /// [`ModelFileError`]: it is something else, or damaged.
    pub fn read(path: &Path) -> Result<Self, ModelFileError> {
        let path = path.to_owned();
        let damaged = |why: &str| ModelFileError::Damaged { path: path.clone(), why: why.to_owned() };
        let bytes = std::fs::read(&path).map_err(|source| ModelFileError::Io { path: path.clone(), source })?;
        let (about, mut arrays) = kept_file::read(KIND, &bytes).map_err(|unread| match unread {
            Unread::Foreign => ModelFileError::Foreign { path: path.clone() },
            Unread::Damaged => damaged("its bytes are not those whose digest it names"),
        })?;
        let about: About = serde_json::from_value(about).map_err(|e| damaged(&e.to_string()))?;
        if !STAGES.contains(&about.request.stage.as_str()) {
            return Err(damaged("what it holds is of no stage that learns"));
        }
        let mut artifacts = BTreeMap::new();
        for (name, kept) in &about.outputs {
            let bytes = kept_file::take(&mut arrays, &format!("{name}/"), kept.text.as_deref());
            let whole = bytes.filter(|bytes| Digest::of(bytes) == kept.digest);
            artifacts.insert(name.clone(), whole.ok_or_else(|| damaged("its tensors are not those that it lists"))?);
        }
        Ok(Self { about, artifacts })
    }

    /// Returns the node.
    pub fn node(&self) -> &str {
        &self.about.node
    }

    /// Returns the name of the configuration that it was exported from.
    pub fn preset(&self) -> &str {
        &self.about.preset
    }

    /// Returns the digests of what it holds.
    pub fn digests(&self) -> BTreeMap<&str, Digest> {
        self.about.outputs.iter().map(|(name, kept)| (name.as_str(), kept.digest)).collect()
    }

    /// Puts it into a store, where whoever asks the same finds it. Tells whether the store had an answer already, which then
    /// stays.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the store cannot be written.
    pub fn import(self, store: &Store) -> Result<bool, AssembleError> {
        let Self { about, artifacts } = self;
        if store.lookup(&about.request.fingerprint())?.is_some() {
            return Ok(true);
        }
        let mut outputs = BTreeMap::new();
        for (name, bytes) in artifacts {
            outputs.insert(name, store.put(&bytes)?);
        }
        store.commit(about.request, outputs, about.provenance)?;
        Ok(false)
    }
}

/// Finds the base CNN of a node's network; `None` for a node that learns nothing.
fn base_net_of<'a>(node: &str, request: &Request, config: &'a Config) -> Option<&'a TrainBase> {
    let (_, name) = node.split_once(':').filter(|_| STAGES.contains(&request.stage.as_str()))?;
    let name = name.split('[').next().unwrap_or(name);
    let base = config.meta_train.get(name).filter(|_| request.stage == "meta-train").map(|section| &section.embedding);
    config.train_base.get(base.map_or(name, String::as_str))
}

/// Says how photos become the input of a network.
fn input_of(section: &TrainBase) -> Input {
    let pixels = section.pixel_shape();
    let colours = constant_colours(&BaseNetShape::of(section).net);
    let [mean, scale] = match colours {
        Some(Colours { mean, scale }) => [Some(mean), Some(scale)],
        None => [None, None],
    };
    Input { backbone: section.backbone.clone(), size_px: pixels.size_px, resize: word(pixels.resize), mean, scale }
}

/// Lists the imported weights of the base CNN and, of what learns in episodes, those of the localiser.
fn rests_on(section: &TrainBase, request: &Request, config: &Config) -> Vec<Origin> {
    let localiser = config.train_base.get(&config.cam.localiser).filter(|_| request.stage == "meta-train");
    let sections = [Some(section), localiser].into_iter().flatten().filter(|section| section.weights != "none");
    let mut found: Vec<Origin> = Vec::new();
    for section in sections {
        let known = weights::known(&section.weights);
        let text = |of: fn(&KnownWeights) -> &'static str| known.map(|known| of(known).to_owned());
        let origin = Origin {
            weights: section.weights_name().to_owned(),
            source: text(|known| known.source.name()),
            trained_on: text(|known| known.trained_on),
            licence: text(|known| known.licence),
        };
        if !found.contains(&origin) {
            found.push(origin);
        }
    }
    found
}
