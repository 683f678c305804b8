//! What published weights call a net's tensors, and what they are called here.
//!
//! Names here are those of timm, but for EfficientNet-Lite0 (the names of the package that ships its weights). Read besides: torchvision's
//! ConvNeXt, EfficientNet and ViT, and the ConvNeXt of its authors. DINO and DINOv2 name their tensors as timm does.

use crate::backbone::BackboneKind;

/// Blocks of EfficientNet before each stage.
const BEFORE: [usize; 7] = [0, 1, 3, 5, 8, 11, 15];

/// Brings a published name to the net's own; `None` for what no forward pass of the backbone reads: the classifier behind it,
/// counters of batches, the token of masked patches.
pub(super) fn own_name(kind: BackboneKind, name: &str) -> Option<String> {
    if name.ends_with(".num_batches_tracked") {
        return None;
    }
    let parts: Vec<&str> = name.split('.').collect();
    match kind {
        BackboneKind::ConvNextTiny => convnext(&parts),
        BackboneKind::EfficientNetB0 => efficientnet(&parts),
        BackboneKind::EfficientNetLite0 => lite0(&parts),
        BackboneKind::VitS16 | BackboneKind::VitB16 | BackboneKind::VitS14 | BackboneKind::VitB14 => vit(&parts),
        _ if parts[0] == "fc" => None,
        _ => Some(name.to_owned()),
    }
}

fn number(part: &str) -> Option<usize> {
    part.parse().ok()
}

fn convnext(parts: &[&str]) -> Option<String> {
    let inner = |part: &str| {
        match part {
            "0" | "dwconv" => "conv_dw",
            "2" => "norm",
            "3" | "pwconv1" => "mlp.fc1",
            "5" | "pwconv2" => "mlp.fc2",
            other => return other.to_owned(),
        }
        .to_owned()
    };
    let own = match *parts {
        ["head", "norm", _] => parts.join("."),
        ["head", ..] | ["classifier", "2", _] => return None,
        ["norm" | "classifier", .., last] => format!("head.norm.{last}"),
        ["downsample_layers" | "features", "0", layer, last] => format!("stem.{layer}.{last}"),
        ["downsample_layers", stage, layer, last] => format!("stages.{stage}.downsample.{layer}.{last}"),
        ["features", place, layer, last] if last != "layer_scale" => {
            format!("stages.{}.downsample.{layer}.{last}", number(place)? / 2)
        }
        ["features", place, block, "layer_scale"] => format!("stages.{}.blocks.{block}.gamma", number(place)? / 2),
        ["features", place, block, "block", part, last] => {
            format!("stages.{}.blocks.{block}.{}.{last}", number(place)? / 2, inner(part))
        }
        ["stages", stage, block, ref rest @ ..] if number(block).is_some() => {
            let rest: Vec<String> = rest.iter().map(|part| inner(part)).collect();
            format!("stages.{stage}.blocks.{block}.{}", rest.join("."))
        }
        _ => parts.join("."),
    };
    Some(own)
}

/// torchvision's parts of a block: expansion (but in the first stage), depthwise, squeeze-and-excitation, projection.
fn efficientnet(parts: &[&str]) -> Option<String> {
    let own = match *parts {
        ["classifier", ..] => return None,
        ["features", "0", "0", last] => format!("conv_stem.{last}"),
        ["features", "0", "1", last] => format!("bn1.{last}"),
        ["features", "8", "0", last] => format!("conv_head.{last}"),
        ["features", "8", "1", last] => format!("bn2.{last}"),
        ["features", stage, repeat, "block", part, layer, last] => {
            let stage = number(stage)?.checked_sub(1)?;
            let is_first = stage == 0;
            let part = number(part)? + usize::from(is_first);
            let layer = match (part, layer) {
                (2, "fc1") => "se.conv_reduce".to_owned(),
                (2, "fc2") => "se.conv_expand".to_owned(),
                (0, "0") => "conv_pw".to_owned(),
                (1, "0") => "conv_dw".to_owned(),
                (3, "0") => if is_first { "conv_pw" } else { "conv_pwl" }.to_owned(),
                (part, _) => format!("bn{}", if part == 3 { 3 } else { part + 1 } - usize::from(is_first)),
            };
            format!("blocks.{stage}.{repeat}.{layer}.{last}")
        }
        _ => parts.join("."),
    };
    Some(own)
}

fn lite0(parts: &[&str]) -> Option<String> {
    let own = match *parts {
        ["_fc" | "classifier", ..] => return None,
        ["conv_stem", last] => format!("_conv_stem.{last}"),
        ["bn1", last] => format!("_bn0.{last}"),
        ["conv_head", last] => format!("_conv_head.{last}"),
        ["bn2", last] => format!("_bn1.{last}"),
        ["blocks", stage, repeat, layer, last] => {
            let stage = number(stage)?;
            let layer = match (stage, layer) {
                (_, "conv_dw") => "_depthwise_conv",
                (0, "conv_pw") | (_, "conv_pwl") => "_project_conv",
                (_, "conv_pw") => "_expand_conv",
                (0, "bn2") | (_, "bn3") => "_bn2",
                (0, "bn1") | (_, "bn2") => "_bn1",
                (_, "bn1") => "_bn0",
                (_, other) => other,
            };
            format!("_blocks.{}.{layer}.{last}", BEFORE.get(stage)? + number(repeat)?)
        }
        _ => parts.join("."),
    };
    Some(own)
}

fn vit(parts: &[&str]) -> Option<String> {
    let own = match *parts {
        ["head" | "heads" | "fc_norm", ..] | ["mask_token"] => return None,
        ["class_token"] => "cls_token".to_owned(),
        ["conv_proj", last] => format!("patch_embed.proj.{last}"),
        ["encoder", "pos_embedding"] => "pos_embed".to_owned(),
        ["encoder", "ln", last] => format!("norm.{last}"),
        ["encoder", "layers", layer, ref rest @ ..] => {
            let block = layer.strip_prefix("encoder_layer_").unwrap_or(layer);
            let rest = match *rest {
                ["ln_1", last] => format!("norm1.{last}"),
                ["ln_2", last] => format!("norm2.{last}"),
                ["self_attention", "in_proj_weight"] => "attn.qkv.weight".to_owned(),
                ["self_attention", "in_proj_bias"] => "attn.qkv.bias".to_owned(),
                ["self_attention", "out_proj", last] => format!("attn.proj.{last}"),
                ["mlp", "0" | "linear_1", last] => format!("mlp.fc1.{last}"),
                ["mlp", "3" | "linear_2", last] => format!("mlp.fc2.{last}"),
                _ => rest.join("."),
            };
            format!("blocks.{block}.{rest}")
        }
        _ => parts.join("."),
    };
    Some(own)
}
