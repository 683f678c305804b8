//! From packed pixels to a net's input: less a mean and divided by a scale, per colour.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::params::{Params, Role, Slot};

/// ImageNet's mean and standard deviation per colour, on 0..255.
pub(super) const IMAGENET: Colours = Colours {
    mean: [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0],
    scale: [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0],
};
/// Those of Relation Networks' code (LearningToCompare_FSL), the same for each colour.
pub(super) const RELATION_NET: Colours = Colours { mean: [0.92206 * 255.0; 3], scale: [0.08426 * 255.0; 3] };

/// A mean and a scale per colour, on 0..255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colours {
    /// What is subtracted.
    pub mean: [f32; 3],
    /// What the rest is divided by.
    pub scale: [f32; 3],
}

/// Which mean and scale a net's input is normalised with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// ImageNet's; for EfficientNet-Lite0 those that its published weights were trained with.
    #[default]
    Imagenet,
    /// Those of the photos that the net is trained on, kept among its tensors.
    Dataset,
    /// Those of Relation Networks' code.
    Relnet,
}

/// A net's normalisation of its input.
#[derive(Debug)]
pub struct Input {
    constant: Colours,
    fitted: Option<[Slot; 2]>,
}

impl Input {
    /// `own`: what the net takes for [`Norm::ImageNet`].
    pub(super) fn new(params: &mut Params, norm: Norm, own: Colours) -> Self {
        let constant = if norm == Norm::Relnet { RELATION_NET } else { own };
        let mut add = |name: &str, values: [f32; 3]| params.add(name, &Tensor::from_slice(&values), Role::Buffer);
        let fitted = (norm == Norm::Dataset).then(|| [add("input.mean", own.mean), add("input.scale", own.scale)]);
        Self { constant, fitted }
    }

    /// Whether mean and scale are to be taken from the photos that the net is trained on.
    pub fn is_fitted(&self) -> bool {
        self.fitted.is_some()
    }

    /// Takes over the mean and scale of photos, where they are wanted.
    pub(super) fn fit(&self, params: &Params, colours: &Colours) {
        let _guard = tch::no_grad_guard();
        for (slot, values) in self.fitted.iter().flatten().zip([colours.mean, colours.scale]) {
            params.at(*slot).shallow_clone().copy_(&Tensor::from_slice(&values));
        }
    }

    /// Packed pixels `[n, s, s, 3]` to `[n, 3, s, s]`, f32, in channels_last memory, on the device of `params`.
    pub(super) fn normalise(&self, params: &Params, pixels: &Tensor) -> Tensor {
        let device = params.device();
        let constant = |values: [f32; 3]| Tensor::from_slice(&values).to_device(device);
        let [mean, scale] = match &self.fitted {
            Some(slots) => slots.map(|slot| params.at(slot).shallow_clone()),
            None => [constant(self.constant.mean), constant(self.constant.scale)],
        };
        let pixels = pixels.to_device(device).to_kind(Kind::Float); // [n, s, s, 3]
        // The permuted view of packed pixels is channels_last already: no copy.
        ((pixels - mean) / scale).permute([0, 3, 1, 2])
    }
}

/// Sums over pixels, batch by batch, for [`Norm::Dataset`].
#[derive(Debug, Default)]
pub struct ColourSums {
    count: f64,
    sum: [f64; 3],
    squares: [f64; 3],
}

impl ColourSums {
    /// Adds packed pixels `[n, s, s, 3]`, u8.
    pub fn add(&mut self, pixels: &Tensor) {
        let rows = pixels.flatten(0, 2).to_kind(Kind::Double); // [n·s·s, 3]
        self.count += rows.size()[0] as f64;
        let add = |to: &mut [f64; 3], rows: &Tensor| {
            let sums = rows.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
            to.iter_mut().enumerate().for_each(|(i, to)| *to += sums.double_value(&[i as i64]));
        };
        add(&mut self.sum, &rows);
        add(&mut self.squares, &rows.square());
    }

    /// Returns mean and standard deviation; a colour that never varies is divided by 1.
    pub fn colours(&self) -> Colours {
        let mean = self.sum.map(|sum| sum / self.count.max(1.0));
        let scale = std::array::from_fn(|i| {
            let variance = self.squares[i] / self.count.max(1.0) - mean[i] * mean[i];
            if variance > 1e-6 { variance.sqrt() as f32 } else { 1.0 }
        });
        Colours { mean: mean.map(|mean| mean as f32), scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_batches_give_the_mean_and_deviation_of_all_pixels() {
        let pixels =
            Tensor::arange(2 * 4 * 4 * 3, (Kind::Int64, tch::Device::Cpu)).to_kind(Kind::Uint8).reshape([2, 4, 4, 3]);
        let mut sums = ColourSums::default();
        [0, 1].into_iter().for_each(|i| sums.add(&pixels.narrow(0, i, 1)));
        let Colours { mean, scale } = sums.colours();
        // Each colour runs 0, 3, …, 93 from its own start: mean 46.5, variance 9·(32² − 1)/12.
        assert_eq!(mean, [46.5, 47.5, 48.5]);
        assert!(scale.iter().all(|s| (s - (9.0f32 * 1023.0 / 12.0).sqrt()).abs() < 1e-3), "{scale:?}");
    }
}
