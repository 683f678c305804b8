//! The switches of MLSM where its paper leaves the choice open, with the words that name them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::NetError;

/// Which levels are summed: image map, global average of it, map of the object's crop. At least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// I: the feature map of the whole image.
    pub image: bool,
    /// G: the mean over the map of the whole image.
    pub global: bool,
    /// O: the feature map of the crop.
    pub object: bool,
}

impl Levels {
    /// All three.
    pub const ALL: Levels = Levels { image: true, global: true, object: true };

    /// Whether the map of the whole image is needed.
    pub fn needs_image_map(self) -> bool {
        self.image || self.global
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.image, "I"), (self.global, "G"), (self.object, "O")];
        let names: Vec<&str> = parts.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Levels {
    type Err = NetError;

    /// Reads `I`, `G`, `O` in any order, joined by `+`, each at most once.
    fn from_str(text: &str) -> Result<Self, NetError> {
        let unknown =
            || NetError::UnknownName { what: "levels", given: text.to_owned(), known: "I, G, O, I+G, I+O, G+O, I+G+O" };
        let mut levels = Levels { image: false, global: false, object: false };
        for part in text.split('+') {
            let level = match part.trim() {
                "I" => &mut levels.image,
                "G" => &mut levels.global,
                "O" => &mut levels.object,
                _ => return Err(unknown()),
            };
            if std::mem::replace(level, true) {
                return Err(unknown());
            }
        }
        Ok(levels)
    }
}

/// Gives an enum its words: `Display`, `FromStr`, serde's, JSON Schema's, and the list of known words for the error.
macro_rules! words {
    ($type:ident, $what:literal, $known:literal, $($variant:ident = $word:literal),+) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                word.parse().map_err(|_| serde::de::Error::unknown_variant(&word, &[$($word),+]))
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": [$($word),+] })
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($type::$variant => $word),+ })
            }
        }
        impl FromStr for $type {
            type Err = NetError;

            fn from_str(text: &str) -> Result<Self, NetError> {
                match text {
                    $($word => Ok($type::$variant),)+
                    _ => Err(NetError::UnknownName { what: $what, given: text.to_owned(), known: $known }),
                }
            }
        }
    };
}

/// What the similarity net sees of a class vector a and a query vector b.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// `[a, b]`: the paper's eq. 5.
    Concat,
    /// `[|a - b|, a·b]`, element by element; measured far better on frozen maps.
    AbsDiffProduct,
    /// `[a, b, |a - b|, a·b]`.
    ConcatAbsDiffProduct,
}
words!(
    Pair,
    "pair",
    "concat, absdiff+product, concat+absdiff+product",
    Concat = "concat",
    AbsDiffProduct = "absdiff+product",
    ConcatAbsDiffProduct = "concat+absdiff+product"
);

impl Pair {
    /// How many vectors are joined.
    pub(super) fn parts(self) -> i64 {
        match self {
            Pair::Concat | Pair::AbsDiffProduct => 2,
            Pair::ConcatAbsDiffProduct => 4,
        }
    }
}

/// What training minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Mean squared error of the sigmoid scores to 1 (same class) and 0: the paper preset.
    Mse,
    /// Binary cross-entropy of the sigmoid scores.
    Bce,
    /// Softmax cross-entropy over the classes of the episode; no sigmoid.
    Ce,
}
words!(Loss, "loss", "mse, bce, ce", Mse = "mse", Bce = "bce", Ce = "ce");

/// What brings the levels to one scale before they are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FuseNorm {
    /// Nothing: the plain sum of the paper's eq. 5.
    None,
    /// The sum is divided by the number of levels.
    Mean,
    /// I and O, which go through the same blocks, count as one level: their mean.
    MapMean,
    /// The same with a learned share of O, which starts at one half.
    Gate,
    /// Layer normalisation of each level, with learned scale and shift.
    LayerNorm,
    /// One learned factor per level, starting at 1.
    Scalars,
}
words!(
    FuseNorm,
    "fuse_norm",
    "none, mean, map-mean, gate, layernorm, scalars",
    None = "none",
    Mean = "mean",
    MapMean = "map-mean",
    Gate = "gate",
    LayerNorm = "layernorm",
    Scalars = "scalars"
);

impl FuseNorm {
    /// Every way.
    pub const ALL: [FuseNorm; 6] =
        [FuseNorm::None, FuseNorm::Mean, FuseNorm::MapMean, FuseNorm::Gate, FuseNorm::LayerNorm, FuseNorm::Scalars];
}

/// How the shots of a class become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShotPool {
    /// Their mean (the paper).
    Mean,
    /// Their sum (Relation Net).
    Sum,
}
words!(ShotPool, "shot_pool", "mean, sum", Mean = "mean", Sum = "sum");

/// What the levels become before they are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// 576 numbers each: two convolution blocks for maps, a linear layer for G.
    Vec576,
    /// 64 numbers each: the same blocks and a linear layer for maps, G as it is.
    Vec64,
    /// Maps, G at every position of them; Relation Net's head compares pairs of maps.
    Map,
}
words!(Fusion, "fusion", "vec576, vec64, map", Vec576 = "vec576", Vec64 = "vec64", Map = "map");

/// What G is the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapSource {
    /// The image's map (the paper's eq. 3).
    Image,
    /// The image's and the object's map alike.
    ImageAndObject,
}
words!(GapSource, "gap_source", "image, image+object", Image = "image", ImageAndObject = "image+object");

/// Where the levels are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FusionPoint {
    /// Before the similarity (the paper's eq. 5).
    Features,
    /// After it: one similarity for each level, by one similarity net.
    Scores,
}
words!(FusionPoint, "fusion_point", "features, scores", Features = "features", Scores = "scores");

/// What the similarity starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorKind {
    /// Nothing (the paper).
    None,
    /// The nearest class mean of the same embeddings, which it learns to correct.
    Cl2n,
}
words!(AnchorKind, "anchor", "none, cl2n", None = "none", Cl2n = "cl2n");

/// All switches of the MLSM head, and what it is made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MlsmOptions {
    /// The levels that are summed.
    #[serde(skip)]
    pub levels: Levels,
    /// What the similarity net sees.
    pub pair: Pair,
    /// What training minimises.
    pub loss: Loss,
    /// Hidden widths of the similarity net.
    pub sim_hidden: Vec<i64>,
    /// Whether I and O share the convolution blocks of the adjustment function.
    pub share_adjust: bool,
    /// What brings the levels to one scale.
    pub fuse_norm: FuseNorm,
    /// How shots become one vector.
    pub shot_pool: ShotPool,
    /// What the levels become before they are summed.
    pub fusion: Fusion,
    /// What G is the mean of.
    pub gap_source: GapSource,
    /// Where the levels are summed.
    pub fusion_point: FusionPoint,
    /// How many times a pair of one class counts in `mse` and `bce`; 1 counts all pairs alike.
    pub pos_weight: f64,
    /// What the similarity starts from.
    pub anchor: AnchorKind,
    /// Positions a side of the map that the anchor's embedding keeps.
    #[serde(skip)]
    pub anchor_side: i64,
    /// Channels of the backbone's map.
    #[serde(skip)]
    pub channels: i64,
}

impl Default for MlsmOptions {
    /// The settings that measured best: all levels, absolute difference and product, cross-entropy.
    fn default() -> Self {
        MlsmOptions {
            levels: Levels::ALL,
            pair: Pair::AbsDiffProduct,
            loss: Loss::Ce,
            sim_hidden: vec![64],
            share_adjust: true,
            fuse_norm: FuseNorm::MapMean,
            shot_pool: ShotPool::Mean,
            fusion: Fusion::Vec576,
            gap_source: GapSource::Image,
            fusion_point: FusionPoint::Features,
            pos_weight: 1.0,
            anchor: AnchorKind::None,
            anchor_side: 1,
            channels: 64,
        }
    }
}

impl MlsmOptions {
    /// How many similarities are summed: one for each level where they are summed last.
    pub(super) fn similarities(&self) -> i64 {
        let Levels { image, global, object } = self.levels;
        match self.fusion_point {
            FusionPoint::Features => 1,
            FusionPoint::Scores => [image, global, object].into_iter().filter(|on| *on).count() as i64,
        }
    }

    /// The paper's text: all levels, concatenation, mean squared error on sigmoid scores.
    pub fn paper() -> Self {
        MlsmOptions { pair: Pair::Concat, loss: Loss::Mse, fuse_norm: FuseNorm::None, ..MlsmOptions::default() }
    }
}

#[cfg(test)]
mod tests {
    use mlsm_errors::Explain;

    use super::*;

    #[test]
    fn every_set_of_levels_survives_writing_and_reading() {
        for bits in 1u8..8 {
            let levels = Levels { image: bits & 1 != 0, global: bits & 2 != 0, object: bits & 4 != 0 };
            assert_eq!(levels.to_string().parse::<Levels>().unwrap(), levels);
        }
        assert_eq!("O+I".parse::<Levels>().unwrap().to_string(), "I+O");
    }

    #[test]
    fn no_level_twice_and_none_unknown_or_empty() {
        for text in ["", "I+I", "I+", "X", "I,G"] {
            assert!(text.parse::<Levels>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_switch_survives_writing_and_reading() {
        for pair in [Pair::Concat, Pair::AbsDiffProduct, Pair::ConcatAbsDiffProduct] {
            assert_eq!(pair.to_string().parse::<Pair>().unwrap(), pair);
        }
        for loss in [Loss::Mse, Loss::Bce, Loss::Ce] {
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
        }
        for norm in FuseNorm::ALL {
            assert_eq!(norm.to_string().parse::<FuseNorm>().unwrap(), norm);
        }
        for pool in [ShotPool::Mean, ShotPool::Sum] {
            assert_eq!(pool.to_string().parse::<ShotPool>().unwrap(), pool);
        }
        for fusion in [Fusion::Vec576, Fusion::Vec64, Fusion::Map] {
            assert_eq!(fusion.to_string().parse::<Fusion>().unwrap(), fusion);
        }
        for source in [GapSource::Image, GapSource::ImageAndObject] {
            assert_eq!(source.to_string().parse::<GapSource>().unwrap(), source);
        }
        for point in [FusionPoint::Features, FusionPoint::Scores] {
            assert_eq!(point.to_string().parse::<FusionPoint>().unwrap(), point);
        }
        assert!("hinge".parse::<Loss>().unwrap_err().explain().to_string().contains("mse, bce, ce"));
    }
}
