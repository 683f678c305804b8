//! The names of the backbones.

use std::fmt;
use std::str::FromStr;

use crate::classifier::Head;
use crate::error::NetError;

/// The backbones that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BackboneKind {
    /// Conv-4 as in Relation Net: blocks 1 and 2 without padding and pooled, 3 and 4 padded; 19x19 map at 84 px.
    Conv4Np19,
    /// The same with all blocks padded (LibFewShot): 21x21 map at 84 px.
    Conv4Np21,
    /// Conv-4 with four pools (CloserLook, Prototypical Networks): 5x5 map at 84 px.
    Conv4Pooled,
    /// The ResNet-12 of few-shot learning: 5x5 map at 84 px.
    ResNet12,
    /// ResNet-18: 7x7 map at 224 px.
    ResNet18,
    /// EfficientNet-Lite0: 7x7 map at 224 px.
    EfficientNetLite0,
}

const NAMES: [(BackboneKind, &str); 6] = [
    (BackboneKind::Conv4Np19, "conv4-np19"),
    (BackboneKind::Conv4Np21, "conv4-np21"),
    (BackboneKind::Conv4Pooled, "conv4-pooled"),
    (BackboneKind::ResNet12, "resnet12"),
    (BackboneKind::ResNet18, "resnet18"),
    (BackboneKind::EfficientNetLite0, "efficientnet-lite0"),
];

impl BackboneKind {
    /// The names of all, as in the configuration.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// Side of the square input that the backbone was made for.
    pub fn input_px(self) -> i64 {
        match self {
            BackboneKind::EfficientNetLite0 | BackboneKind::ResNet18 => 224,
            _ => 84,
        }
    }

    /// Whether it is one of the small nets of four convolutions.
    pub fn is_conv4(self) -> bool {
        self.fixed_channels().is_none()
    }

    /// Channels of the map, where they are not a matter of width.
    pub fn fixed_channels(self) -> Option<i64> {
        match self {
            BackboneKind::Conv4Np19 | BackboneKind::Conv4Np21 | BackboneKind::Conv4Pooled => None,
            BackboneKind::ResNet12 => Some(640),
            BackboneKind::ResNet18 => Some(512),
            BackboneKind::EfficientNetLite0 => Some(1280),
        }
    }

    /// How many layers have a map of their own, the last one included: blocks, and the head convolution of EfficientNet.
    pub fn depth(self) -> usize {
        match self {
            BackboneKind::Conv4Np19 | BackboneKind::Conv4Np21 | BackboneKind::Conv4Pooled | BackboneKind::ResNet12 => 4,
            BackboneKind::ResNet18 => 8,
            BackboneKind::EfficientNetLite0 => 17,
        }
    }

    /// The head for base training that fits the backbone best.
    pub fn default_head(self) -> Head {
        match self {
            BackboneKind::Conv4Pooled => Head::Flat,
            BackboneKind::Conv4Np19 | BackboneKind::Conv4Np21 => Head::Grid,
            BackboneKind::ResNet12 | BackboneKind::ResNet18 | BackboneKind::EfficientNetLite0 => Head::Gap,
        }
    }
}

impl fmt::Display for BackboneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = NAMES.iter().find(|(kind, _)| kind == self).expect("every kind has a name in the table");
        f.write_str(name)
    }
}

impl FromStr for BackboneKind {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or_else(|| NetError::UnknownName {
            what: "backbone",
            given: text.to_owned(),
            known: "conv4-np19, conv4-np21, conv4-pooled, resnet12, resnet18, efficientnet-lite0",
        })
    }
}

#[cfg(test)]
mod tests {
    use mlsm_errors::Explain;

    use super::*;

    #[test]
    fn every_kind_survives_writing_and_reading() {
        for (kind, name) in NAMES {
            assert_eq!(kind.to_string(), name);
            assert_eq!(name.parse::<BackboneKind>().unwrap(), kind);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "vgg".parse::<BackboneKind>().unwrap_err().explain().to_string();
        assert!(NAMES.iter().all(|(_, name)| error.contains(name)), "{error}");
    }
}
