//! Backbones: from packed pixels to a feature map and an embedding.

mod conv4;
mod kind;
mod lite0;
mod resnet;

pub use conv4::Conv4;
pub use kind::BackboneKind;
pub use lite0::Lite0;
pub use resnet::ResNet;

use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::params::Params;

/// A net that turns images into feature maps.
///
/// The map, not the embedding, is the product: Grad-CAM and the heads of MLSM need it.
pub trait Backbone {
    /// Which backbone this is.
    fn kind(&self) -> BackboneKind;

    /// Pixels to the net's input. `pixels`: `[n, s, s, 3]`, u8, RGB, any device. Returns `[n, 3, s, s]`, f32, in
    /// channels_last memory, on the net's device.
    fn normalise(&self, pixels: &Tensor) -> Tensor;

    /// The feature map of `x: [n, 3, s, s]`, with the tensors of `params` in place of the net's own: `[n, c, h, w]`.
    /// `train`: normalises by the batch and updates the running statistics of `params`.
    fn feature_map_with(&self, params: &Params, x: &Tensor, train: bool) -> Tensor;

    /// The feature map of `x: [n, 3, s, s]`: `[n, c, h, w]`, after the last activation.
    fn feature_map(&self, x: &Tensor, train: bool) -> Tensor {
        self.feature_map_with(self.params(), x, train)
    }

    /// One vector per map: `[n, c, h, w]` to `[n, d]`, in C order; not normalised, no weights involved.
    fn embedding(&self, map: &Tensor) -> Tensor;

    /// Channels of the feature map.
    fn channels(&self) -> i64;

    /// Side of the feature map at [`BackboneKind::input_px`].
    fn map_px(&self) -> i64;

    /// Length of the embedding at [`BackboneKind::input_px`].
    fn embedding_dim(&self) -> i64;

    /// The net's tensors.
    fn params(&self) -> &Params;

    /// The net's tensors, to load others.
    fn params_mut(&mut self) -> &mut Params;
}

/// Makes a backbone with fresh weights drawn from `rng`. `width`: filters of each Conv-4 block (64 in the papers);
/// the others have fixed widths and ignore it.
pub fn backbone(kind: BackboneKind, width: i64, rng: &mut ChaCha8Rng, device: Device) -> Box<dyn Backbone + Send> {
    match kind {
        BackboneKind::Conv4Np19 | BackboneKind::Conv4Np21 | BackboneKind::Conv4Pooled => {
            Box::new(Conv4::new(kind, width, rng, device))
        }
        BackboneKind::ResNet12 | BackboneKind::ResNet18 => Box::new(ResNet::new(kind, rng, device)),
        BackboneKind::EfficientNetLite0 => Box::new(Lite0::new(rng, device)),
    }
}

/// Packed pixels to f32 `[n, 3, s, s]` in channels_last memory, as `(value - mean) / scale` per colour, on 0..255.
fn normalised(pixels: &Tensor, mean: [f32; 3], scale: [f32; 3], device: Device) -> Tensor {
    let constant = |values: [f32; 3]| Tensor::from_slice(&values).to_device(device);
    let pixels = pixels.to_device(device).to_kind(tch::Kind::Float); // [n, s, s, 3]
    // The permuted view of packed pixels is channels_last already: no copy.
    ((pixels - constant(mean)) / constant(scale)).permute([0, 3, 1, 2])
}
