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
    /// ResNet-50: 7x7 map at 224 px.
    ResNet50,
    /// EfficientNet-Lite0: 7x7 map at 224 px.
    EfficientNetLite0,
    /// EfficientNet-B0: 7x7 map at 224 px.
    EfficientNetB0,
    /// ConvNeXt-T: 7x7 map at 224 px.
    ConvNextTiny,
    /// ViT-S with patches of 16 px, as DINO trains it: 14x14 map at 224 px.
    VitS16,
    /// ViT-B with patches of 16 px, as DINO trains it: 14x14 map at 224 px.
    VitB16,
    /// ViT-S with patches of 14 px and scaled branches, as DINOv2 trains it: 16x16 map at 224 px.
    VitS14,
    /// ViT-B with patches of 14 px and scaled branches, as DINOv2 trains it: 16x16 map at 224 px.
    VitB14,
}

/// What is known of a backbone before it is made.
struct Facts {
    kind: BackboneKind,
    name: &'static str,
    input_px: i64,
    map_px: i64,
    /// Channels of the map; none where they are a matter of width.
    channels: Option<i64>,
    depth: usize,
    /// Positions a side that the embedding keeps.
    embedding_side: i64,
    head: Head,
}

/// One of the small nets of few-shot learning, at 84 px.
const fn conv4(kind: BackboneKind, name: &'static str, map_px: i64, embedding_side: i64, head: Head) -> Facts {
    Facts { kind, name, input_px: 84, map_px, channels: None, depth: 4, embedding_side, head }
}

/// A net whose embedding is a mean or a token, at 224 px.
const fn large(kind: BackboneKind, name: &'static str, map_px: i64, channels: i64, depth: usize) -> Facts {
    let channels = Some(channels);
    Facts { kind, name, input_px: 224, map_px, channels, depth, embedding_side: 1, head: Head::Gap }
}

const ALL: [Facts; 13] = [
    conv4(BackboneKind::Conv4Np19, "conv4-np19", 19, 6, Head::Grid),
    conv4(BackboneKind::Conv4Np21, "conv4-np21", 21, 6, Head::Grid),
    conv4(BackboneKind::Conv4Pooled, "conv4-pooled", 5, 5, Head::Flat),
    Facts { input_px: 84, ..large(BackboneKind::ResNet12, "resnet12", 5, 640, 4) },
    large(BackboneKind::ResNet18, "resnet18", 7, 512, 8),
    large(BackboneKind::ResNet50, "resnet50", 7, 2048, 16),
    large(BackboneKind::EfficientNetLite0, "efficientnet-lite0", 7, 1280, 17),
    large(BackboneKind::EfficientNetB0, "efficientnet-b0", 7, 1280, 17),
    large(BackboneKind::ConvNextTiny, "convnext-tiny", 7, 768, 18),
    large(BackboneKind::VitS16, "vit-s16", 14, 384, 12),
    large(BackboneKind::VitB16, "vit-b16", 14, 768, 12),
    large(BackboneKind::VitS14, "vit-s14", 16, 384, 12),
    large(BackboneKind::VitB14, "vit-b14", 16, 768, 12),
];

impl BackboneKind {
    /// The names of all, as in the configuration.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|facts| facts.name)
    }

    fn facts(self) -> &'static Facts {
        ALL.iter().find(|facts| facts.kind == self).expect("every kind is in the table")
    }

    /// Side of the square input that the backbone was made for.
    pub fn input_px(self) -> i64 {
        self.facts().input_px
    }

    /// Side of the map of that input.
    pub fn map_px(self) -> i64 {
        self.facts().map_px
    }

    /// Whether it is one of the small nets of four convolutions.
    pub fn is_conv4(self) -> bool {
        self.fixed_channels().is_none()
    }

    /// Channels of the map, where they are not a matter of width.
    pub fn fixed_channels(self) -> Option<i64> {
        self.facts().channels
    }

    /// Positions a side that the embedding keeps.
    pub fn embedding_side(self) -> i64 {
        self.facts().embedding_side
    }

    /// How many layers have a map of their own, the last one included: blocks, and the head convolution of EfficientNets.
    pub fn depth(self) -> usize {
        self.facts().depth
    }

    /// The head for base training that fits the backbone best.
    pub fn default_head(self) -> Head {
        self.facts().head
    }
}

impl fmt::Display for BackboneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().name)
    }
}

impl FromStr for BackboneKind {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        ALL.iter().find(|facts| facts.name == text).map(|facts| facts.kind).ok_or_else(|| NetError::UnknownName {
            what: "backbone",
            given: text.to_owned(),
            known: "conv4-np19, conv4-np21, conv4-pooled, resnet12, resnet18, resnet50, efficientnet-lite0, \
                    efficientnet-b0, convnext-tiny, vit-s16, vit-b16, vit-s14, vit-b14",
        })
    }
}

#[cfg(test)]
mod tests {
    use mlsm_errors::Explain;

    use super::*;

    #[test]
    fn every_kind_survives_writing_and_reading() {
        for Facts { kind, name, .. } in ALL {
            assert_eq!(kind.to_string(), name);
            assert_eq!(name.parse::<BackboneKind>().unwrap(), kind);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "vgg".parse::<BackboneKind>().unwrap_err().explain().to_string();
        assert!(BackboneKind::names().all(|name| error.contains(name)), "{error}");
    }
}
