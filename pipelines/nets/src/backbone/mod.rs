//! Backbones: from packed pixels to a feature map and an embedding.

mod conv4;
mod convnext;
mod efficientnet;
mod input;
mod kind;
mod resnet;
mod vit;

pub use input::{ColourSums, Colours, Input, Norm};
pub use kind::BackboneKind;
pub(crate) use vit::resampled;

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use self::conv4::Conv4;
use self::convnext::ConvNext;
use self::efficientnet::{EfficientNet, Form};
use self::resnet::ResNet;
use self::vit::Vit;
use crate::params::{Params, Precision};
use crate::phase::Phase;

/// What a backbone looks like, without its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackboneSpec {
    /// Which backbone.
    pub kind: BackboneKind,
    /// Filters of each Conv-4 block (64 in the papers); the others have fixed widths and ignore it.
    pub width: i64,
    /// How its input is normalised.
    pub norm: Norm,
    /// What its convolutions compute in.
    pub precision: Precision,
}

impl BackboneSpec {
    /// With ImageNet's colours, in f32.
    pub fn new(kind: BackboneKind, width: i64) -> Self {
        Self { kind, width, norm: Norm::default(), precision: Precision::default() }
    }
}

/// What a net makes of images.
#[derive(Debug)]
pub struct Features {
    /// Feature maps, `[n, c, h, w]`.
    pub map: Tensor,
    /// One vector per image, `[n, d]`.
    pub embedding: Tensor,
}

/// A net that turns images into feature maps.
///
/// The map, not the embedding, is the product: Grad-CAM and the heads of MLSM need it.
pub trait Backbone {
    /// Which backbone this is.
    fn kind(&self) -> BackboneKind;

    /// Pixels to the net's input. `pixels`: `[n, s, s, 3]`, u8, RGB, any device. Returns `[n, 3, s, s]`, f32, in
    /// channels_last memory, on the net's device.
    fn normalise(&self, pixels: &Tensor) -> Tensor {
        self.input().normalise(self.params(), pixels)
    }

    /// How pixels become the net's input.
    fn input(&self) -> &Input;

    /// Takes over the mean and scale of photos, where the net's are to come from them.
    fn fit_input(&self, colours: &Colours) {
        self.input().fit(self.params(), colours);
    }

    /// The map of `x: [n, 3, s, s]` after the first `layers` layers, of [`BackboneKind::depth`], with the tensors of `params`
    /// in place of the net's own: `[n, c, h, w]`, f32. `Phase::Train` normalises by the batch and updates the running statistics
    /// of `params`.
    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, phase: Phase) -> Tensor;

    /// The feature map of `x: [n, 3, s, s]`, as [`Backbone::map_after`] all layers gives it.
    fn feature_map_with(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        self.map_after(self.kind().depth(), params, x, phase)
    }

    /// The feature map of `x: [n, 3, s, s]`: `[n, c, h, w]`, after the last activation.
    fn feature_map(&self, x: &Tensor, phase: Phase) -> Tensor {
        self.feature_map_with(self.params(), x, phase)
    }

    /// Map and embedding of `x: [n, 3, s, s]` with the tensors of `params`. The embedding is taken from the map, its mean or
    /// its places side by side in C order, unless the net has a vector of its own; it is not of unit length.
    fn features_with(&self, params: &Params, x: &Tensor, phase: Phase) -> Features {
        let map = self.feature_map_with(params, x, phase);
        let side = self.kind().embedding_side();
        let embedding = match side {
            1 => map.mean_dim([2i64, 3].as_slice(), false, Kind::Float),
            _ if side == self.kind().map_px() => map.flatten(1, -1),
            _ => map.adaptive_avg_pool2d([side, side]).flatten(1, -1),
        };
        Features { map, embedding }
    }

    /// Map and embedding of `x: [n, 3, s, s]`, as [`Backbone::features_with`] the net's own tensors.
    fn features(&self, x: &Tensor, phase: Phase) -> Features {
        self.features_with(self.params(), x, phase)
    }

    /// Channels of the feature map.
    fn channels(&self) -> i64;

    /// Side of the feature map at [`BackboneKind::input_px`].
    fn map_px(&self) -> i64 {
        self.kind().map_px()
    }

    /// Length of the embedding at [`BackboneKind::input_px`].
    fn embedding_dim(&self) -> i64 {
        self.channels() * self.kind().embedding_side().pow(2)
    }

    /// The net's tensors.
    fn params(&self) -> &Params;

    /// The net's tensors, to load others.
    fn params_mut(&mut self) -> &mut Params;
}

/// Makes a backbone with fresh weights drawn from `rng`.
pub fn backbone(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Box<dyn Backbone + Send> {
    match spec.kind {
        BackboneKind::Conv4Np19 | BackboneKind::Conv4Np21 | BackboneKind::Conv4Pooled => {
            Box::new(Conv4::new(spec, rng, device))
        }
        BackboneKind::ResNet12 | BackboneKind::ResNet18 | BackboneKind::ResNet50 => {
            Box::new(ResNet::new(spec, rng, device))
        }
        BackboneKind::EfficientNetLite0 => Box::new(EfficientNet::new(Form::Lite0, spec, rng, device)),
        BackboneKind::EfficientNetB0 => Box::new(EfficientNet::new(Form::B0, spec, rng, device)),
        BackboneKind::ConvNextTiny => Box::new(ConvNext::new(spec, rng, device)),
        BackboneKind::VitS16 | BackboneKind::VitB16 | BackboneKind::VitS14 | BackboneKind::VitB14 => {
            Box::new(Vit::new(spec, rng, device))
        }
    }
}

/// The mean and scale of a net's input; none where they are taken from photos and kept among its tensors.
pub fn constant_colours(spec: &BackboneSpec) -> Option<Colours> {
    let own = match spec.kind {
        BackboneKind::EfficientNetLite0 => efficientnet::LITE0_COLOURS,
        _ => input::IMAGENET,
    };
    match spec.norm {
        Norm::Imagenet => Some(own),
        Norm::Dataset => None,
        Norm::Relnet => Some(input::RELATION_NET),
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn made(change: impl Fn(&mut BackboneSpec)) -> Box<dyn Backbone + Send> {
        let mut spec = BackboneSpec::new(BackboneKind::Conv4Pooled, 8);
        change(&mut spec);
        backbone(&spec, &mut ChaCha8Rng::seed_from_u64(5), Device::Cpu)
    }

    fn pixels() -> Tensor {
        Tensor::arange(4 * 84 * 84 * 3, (Kind::Int64, Device::Cpu))
            .remainder(251)
            .to_kind(Kind::Uint8)
            .reshape([4, 84, 84, 3])
    }

    fn to_bf16_and_back(tensor: &Tensor) -> Tensor {
        tensor.to_kind(Kind::BFloat16).to_kind(Kind::Float)
    }

    fn apart(left: &Tensor, right: &Tensor) -> f64 {
        (left - right).abs().max().double_value(&[])
    }

    #[test]
    fn bf16_gives_about_the_same_map_in_f32_and_trains() {
        let (exact, rounded) = (made(|_| ()), made(|s| s.precision = Precision::Bf16));
        for phase in [Phase::Evaluate, Phase::Train] {
            let [a, b] = [&exact, &rounded].map(|net| net.feature_map(&net.normalise(&pixels()), phase));
            assert_eq!(b.kind(), Kind::Float);
            // What rounding weights and input alone to bf16 does to the f32 net; each layer rounds its output as well.
            let mut near = made(|_| ());
            let tensors: Vec<_> =
                near.params().all().into_iter().map(|(name, value)| (name, to_bf16_and_back(&value))).collect();
            near.params_mut().load(&crate::pack(&tensors, "").unwrap()).unwrap();
            let spread = apart(&near.feature_map(&to_bf16_and_back(&near.normalise(&pixels())), phase), &a);
            assert!(apart(&a, &b) > 0.0 && apart(&a, &b) < 8.0 * spread, "{} of {spread}", apart(&a, &b));
            let weights: Vec<Tensor> = rounded.params().trainable().into_iter().map(|(_, tensor)| tensor).collect();
            let slopes = crate::gradients(&b.square().mean(Kind::Float), &weights).unwrap();
            assert!(
                slopes.iter().all(|slope| slope.kind() == Kind::Float && slope.isfinite().all().int64_value(&[]) == 1)
            );
        }
    }

    #[test]
    fn the_map_after_all_layers_is_the_feature_map_and_those_before_are_others() {
        for name in BackboneKind::names() {
            let kind: BackboneKind = name.parse().unwrap();
            let net = backbone(&BackboneSpec::new(kind, 8), &mut ChaCha8Rng::seed_from_u64(5), Device::Cpu);
            let x = Tensor::ones([1, 3, kind.input_px(), kind.input_px()], (Kind::Float, Device::Cpu)).cumsum(3, None)
                / 84.0;
            let map = |layers| net.map_after(layers, net.params(), &x, Phase::Evaluate);
            let whole = net.feature_map(&x, Phase::Evaluate);
            assert_eq!(map(kind.depth()), whole, "{name}");
            let different = |layers| map(layers).size() != whole.size() || map(layers) != whole;
            assert!((1..kind.depth()).all(different), "{name}");
        }
    }

    #[test]
    fn fitted_colours_bring_the_input_to_mean_0_and_variance_1_and_are_saved() {
        let net = made(|s| s.norm = Norm::Dataset);
        let mut sums = ColourSums::default();
        sums.add(&pixels());
        net.fit_input(&sums.colours());
        let x = net.normalise(&pixels());
        let allowed = crate::rounding::tolerance(4, x.abs().max().double_value(&[])); // mean, scale, difference, quotient
        assert!(x.mean(Kind::Double).double_value(&[]).abs() <= allowed);
        assert!((x.to_kind(Kind::Double).std(false).double_value(&[]) - 1.0).abs() <= allowed);
        let mut other = made(|s| s.norm = Norm::Dataset);
        other.params_mut().load(&net.params().to_safetensors().unwrap()).unwrap();
        assert_eq!(other.normalise(&pixels()), x);
        assert_ne!(made(|s| s.norm = Norm::Relnet).normalise(&pixels()), made(|_| ()).normalise(&pixels()));
    }

    #[test]
    fn the_evidence_of_several_classes_is_that_of_one_or_lies_between() {
        let net = made(|_| ());
        let head = crate::Classifier::new(&*net, crate::Head::Gap, 6, &mut ChaCha8Rng::seed_from_u64(1));
        let x = net.normalise(&pixels());
        let cam = |class| crate::grad_cam(&*net, &head, &x, class).unwrap();
        assert_eq!(cam(crate::CamClass::TopMean(1)).raw, cam(crate::CamClass::ArgMax).raw);
        // A head on the mean is linear, so the mean over all classes is that of the rows of its weights.
        let rows = head.class_rows().mean_dim([0i64].as_slice(), false, Kind::Float);
        let map = net.feature_map(&x, Phase::Evaluate);
        let positions = (map.size()[2] * map.size()[3]) as f64;
        let expected = map.permute([0, 2, 3, 1]).matmul(&rows).relu() / positions;
        // Sums of eight channels' products; the weights are means over 25 positions and six classes.
        let largest = expected.abs().max().double_value(&[]);
        crate::rounding::assert_near(&cam(crate::CamClass::TopMean(99)).raw, &expected, 8 + 25 + 6, largest);
    }
}
