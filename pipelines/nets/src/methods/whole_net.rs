//! The network that MAML, Meta-SGD and Meta-LSTM adapt as a whole: a backbone and a linear layer over its embedding.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::{Shape, cross_entropy};
use crate::backbone::{Backbone, backbone};
use crate::layers::Linear;
use crate::params::Params;
use crate::phase::Phase;

/// Backbone and classifier; the classifier's tensors, and what a method adds, lie among the backbone's.
pub(super) struct WholeNet {
    backbone: Box<dyn Backbone + Send>,
    classifier: Linear,
}

impl WholeNet {
    pub(super) fn new(shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut backbone = backbone(&shape.backbone, rng, device);
        let length = backbone.embedding_dim();
        let classifier = Linear::new(backbone.params_mut(), "classifier.", length, shape.n_way, rng);
        Self { backbone, classifier }
    }

    pub(super) fn params(&self) -> &Params {
        self.backbone.params()
    }

    pub(super) fn params_mut(&mut self) -> &mut Params {
        self.backbone.params_mut()
    }

    pub(super) fn backbone(&self) -> &dyn Backbone {
        self.backbone.as_ref()
    }

    /// Packed pixels `[n, s, s, 3]` to the net's input.
    pub(super) fn normalise(&self, pixels: Option<&Tensor>) -> Tensor {
        self.backbone.normalise(pixels.expect("the images were given"))
    }

    /// The scores of images `x: [n, 3, s, s]` with the tensors of `params`: `[n, n_way]`. `Phase::Train` normalises by the
    /// batch.
    pub(super) fn logits(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        self.classifier.forward(params, &self.backbone.features_with(params, x, phase).embedding)
    }

    /// The cross-entropy of the support images with the tensors of `params`, normalised by the batch.
    pub(super) fn loss(&self, params: &Params, x: &Tensor, labels: &Tensor) -> Tensor {
        cross_entropy(&self.logits(params, x, Phase::Train), labels)
    }

    /// The places, in the order of [`Params::trainable`], of the tensors that an episode adapts.
    pub(super) fn adapted(&self, adapt_norm: bool, own: &str) -> Vec<usize> {
        // A normalisation is what has running statistics; the names of its layers differ between backbones.
        let statistics = self.params().names().filter_map(|name| name.strip_suffix("running_mean"));
        let norms: BTreeSet<&str> = statistics.collect();
        let is_norm = |name: &str| name.rfind('.').is_some_and(|dot| norms.contains(&name[..=dot]));
        let is_adapted = |name: &str| !name.starts_with(own) && (adapt_norm || !is_norm(name));
        let named = self.params().trainable().into_iter().enumerate();
        named.filter(|(_, (name, _))| is_adapted(name)).map(|(place, _)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{BackboneKind, BackboneSpec};
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn no_scale_or_shift_of_any_backbones_normalisation_is_adapted_unless_asked_for() {
        let kinds = [BackboneKind::Conv4Pooled, BackboneKind::ResNet12, BackboneKind::EfficientNetLite0];
        for kind in kinds {
            let levels = "I".parse().unwrap();
            let backbone = BackboneSpec::new(kind, 4);
            let shape = Shape { backbone, channels: 4, embedding_side: 1, n_way: 2, levels };
            let net = WholeNet::new(&shape, &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu);
            let trainable = net.params().trainable();
            let [without, with] = [false, true].map(|norm| net.adapted(norm, "-"));
            let norms = net.params().names().filter(|name| name.ends_with("running_mean")).count();
            assert_eq!(with.len() - without.len(), 2 * norms, "{kind}: scale and shift of each");
            // Vectors that are no bias of a convolution or the classifier belong to a normalisation.
            let is_vector = |place: &&usize| trainable[**place].1.dim() == 1 && !trainable[**place].0.ends_with("bias");
            assert_eq!(without.iter().filter(is_vector).count(), 0, "{kind}");
        }
    }
}
