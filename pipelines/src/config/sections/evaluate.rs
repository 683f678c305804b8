//! `[evaluate]`: which rows are measured, and how.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ObjectSource, OneOrMany, in_range};
use crate::config::ConfigError;

/// Slices of a row, each of which is a unit of work.
const MOST_SLICES: u64 = 10_000;

/// A row that needs no training in episodes: `pixels`, `cl2n:EMBEDDING` or `cl2n:EMBEDDING+OBJECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Nearest class mean of raw pixels, Euclidean.
    Pixels,
    /// Nearest class mean of centred, L2-normalised embeddings (SimpleShot).
    Cl2n {
        /// The base CNN, by name.
        embedding: String,
        /// The object whose embedding is joined to the whole photo's.
        object: Option<ObjectSource>,
    },
}

impl JsonSchema for Baseline {
    fn schema_name() -> Cow<'static, str> {
        "Baseline".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let objects = ObjectSource::ALL.map(ObjectSource::name).join("|");
        json_schema!({ "type": "string", "pattern": format!("^(pixels|cl2n:[^+]*([+]({objects}))?)$") })
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels => write!(f, "pixels"),
            Self::Cl2n { embedding, object: None } => write!(f, "cl2n:{embedding}"),
            Self::Cl2n { embedding, object: Some(object) } => write!(f, "cl2n:{embedding}+{}", object.name()),
        }
    }
}

impl Serialize for Baseline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Baseline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not `pixels`, `cl2n:NAME` or `cl2n:NAME+OBJECT`"));
        if text == "pixels" {
            return Ok(Self::Pixels);
        }
        let rest = text.strip_prefix("cl2n:").ok_or_else(wrong)?;
        let (embedding, object) = match rest.split_once('+') {
            Some((embedding, object)) => (embedding, Some(ObjectSource::from_name(object).ok_or_else(wrong)?)),
            None => (rest, None),
        };
        Ok(Self::Cl2n { embedding: embedding.to_owned(), object })
    }
}

/// A named number of episodes and queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// 100 episodes of 40 queries per class (the paper's 200 query images).
    Paper,
    /// 600 episodes of 15 queries per class.
    Standard,
    /// 10,000 episodes of 15 queries per class.
    Strict,
}

/// Which predictions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Predictions {
    /// Every query of every episode.
    All,
    /// None.
    None,
}

/// `[evaluate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Episodes and queries by name; a list makes a row each.
    pub protocol: OneOrMany<Protocol>,
    /// Episodes, instead of the protocol's.
    pub episodes: Option<u64>,
    /// A row of more episodes is measured in slices of so many, on as many machines.
    pub slice_episodes: u64,
    /// Queries per class, instead of the protocol's.
    pub n_query: Option<usize>,
    /// Classes of an episode.
    pub n_way: usize,
    /// Shots; a list makes a row each.
    pub k_shot: OneOrMany<usize>,
    /// Which predictions are kept; by default all, none for `strict`.
    pub predictions: Option<Predictions>,
    /// Rows that need no training in episodes.
    pub baselines: Vec<Baseline>,
    /// The seed of the episode list; the top-level one when absent.
    pub seed: Option<u64>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            protocol: OneOrMany::One(Protocol::Standard),
            episodes: None,
            slice_episodes: 2500,
            n_query: None,
            n_way: 5,
            k_shot: OneOrMany::Many(vec![1, 5]),
            predictions: None,
            baselines: vec![Baseline::Pixels],
            seed: None,
        }
    }
}

impl Evaluate {
    /// Returns the number of episodes of a protocol.
    pub fn episode_count(&self, protocol: Protocol) -> u64 {
        self.episodes.unwrap_or(match protocol {
            Protocol::Paper => 100,
            Protocol::Standard => 600,
            Protocol::Strict => 10_000,
        })
    }

    /// Returns the episodes of a protocol in slices, of which the last may be shorter.
    pub fn slices(&self, protocol: Protocol) -> Vec<Range<u64>> {
        let (all, each) = (self.episode_count(protocol), self.slice_episodes);
        (0..all.div_ceil(each)).map(|slice| slice * each..((slice + 1) * each).min(all)).collect()
    }

    /// Returns the number of queries per class of a protocol.
    pub fn query_count(&self, protocol: Protocol) -> usize {
        self.n_query.unwrap_or(if protocol == Protocol::Paper { 40 } else { 15 })
    }

    /// Tells whether a protocol's predictions are kept.
    pub fn keeps_predictions(&self, protocol: Protocol) -> bool {
        match self.predictions {
            Some(choice) => choice == Predictions::All,
            None => protocol != Protocol::Strict,
        }
    }

    /// Returns a protocol's name, or `custom` when its numbers were replaced.
    pub fn protocol_name(&self, protocol: Protocol) -> &'static str {
        match (self.episodes.is_some() || self.n_query.is_some(), protocol) {
            (true, _) => "custom",
            (false, Protocol::Paper) => "paper",
            (false, Protocol::Standard) => "standard",
            (false, Protocol::Strict) => "strict",
        }
    }

    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        in_range("evaluate.slice_episodes", self.slice_episodes as f64, 1.0, 1e9)?;
        in_range("evaluate.n_way", self.n_way as f64, 2.0, 1000.0)?;
        let protocols = self.protocol.to_vec();
        if protocols.is_empty() || (protocols.len() > 1 && (self.episodes.is_some() || self.n_query.is_some())) {
            let why = "a list of protocols needs at least one, and `episodes` and `n_query` would make them equal";
            return Err(ConfigError::invalid("evaluate.protocol", why));
        }
        for protocol in protocols {
            in_range("evaluate.episodes", self.episode_count(protocol) as f64, 2.0, 1e9)?;
            if self.episode_count(protocol).div_ceil(self.slice_episodes) > MOST_SLICES {
                let why = format!("that makes more than {MOST_SLICES} slices of a row's episodes");
                return Err(ConfigError::invalid("evaluate.slice_episodes", &why).with_fix("set a larger one"));
            }
            in_range("evaluate.n_query", self.query_count(protocol) as f64, 1.0, 10_000.0)?;
        }
        for shot in self.k_shot.to_vec() {
            in_range("evaluate.k_shot", shot as f64, 1.0, 1000.0)?;
        }
        Ok(())
    }
}
