//! Grad-CAM: where in an image a classifier finds its class.
//!
//! Source: Selvaraju et al. 2017; equation 2 of the MLSM paper: L = ReLU(Σ_k α_k A^k), α_k = mean over the map of
//! ∂y^c/∂A^k. One batched backward pass of the summed chosen logits through the head only; the trunk keeps no graph.

use tch::{Kind, Tensor};

use crate::autodiff::gradients;
use crate::backbone::Backbone;
use crate::classifier::Classifier;
use crate::error::NetError;
use crate::phase::Phase;

/// The class whose evidence is drawn.
#[derive(Debug)]
pub enum CamClass {
    /// For each image the class with the largest logit.
    ArgMax,
    /// One class index per image: `[n]`, i64.
    Given(Tensor),
    /// For each image so many classes with the largest logits: the mean of their evidence.
    TopMean(i64),
}

/// Grad-CAM maps of a batch, without gradients, on the net's device.
#[derive(Debug)]
pub struct Cam {
    /// `[n, H, W]` at the size of the input, in `[0, 1]`: `raw` bilinearly enlarged, then min–max per image; a map
    /// without any contrast (all zero, say) is all zero.
    pub map: Tensor,
    /// `[n, h, w]` at the size of the feature map, not scaled, ≥ 0.
    pub raw: Tensor,
    /// `[n]`, i64: the class used; of several the one with the largest logit.
    pub class: Tensor,
    /// `[n]`, f32: the largest value of `raw`; 0 says that nothing speaks for the class.
    pub peak: Tensor,
}

/// Draws where `head` sees the class in each image of `x: [n, 3, H, W]`; the net runs in evaluation mode.
///
/// # Errors
/// [`NetError::Shape`] when there is not one class per image; [`NetError::Torch`] when a class index is out of range.
///
/// # Panics
/// When no class is asked for.
pub fn grad_cam(net: &dyn Backbone, head: &Classifier, x: &Tensor, class: CamClass) -> Result<Cam, NetError> {
    let features = {
        let _guard = tch::no_grad_guard();
        net.feature_map(x, Phase::Evaluate)
    };
    let features = features.set_requires_grad(true); // [n, c, h, w]
    let logits = tch::with_grad(|| head.logits(&features)); // [n, n_classes]
    let classes = chosen(&logits, class)?; // [n, k]
    let evidence = |of: Tensor| of.mean_dim([1i64].as_slice(), false, Kind::Float).sum(Kind::Float);
    let score = tch::with_grad(|| logits.f_gather(1, &classes, false).map(evidence))?;
    let gradient = gradients(&score, &[features.shallow_clone()])?.remove(0); // [n, c, h, w]
    let _guard = tch::no_grad_guard();
    let weights = gradient.mean_dim([2i64, 3].as_slice(), true, Kind::Float); // [n, c, 1, 1]
    let raw = (weights * features.detach()).sum_dim_intlist([1i64].as_slice(), false, Kind::Float).relu(); // [n, h, w]
    let peak = raw.amax([1i64, 2].as_slice(), false);
    Ok(Cam { map: enlarge_map(&raw, x.size()[2], x.size()[3]), raw, class: classes.select(1, 0), peak })
}

/// Enlarges raw maps `[n, h, w]` bilinearly to `[n, height, width]` and scales each to `[0, 1]`; a map without any
/// contrast becomes zero.
pub fn enlarge_map(raw: &Tensor, height: i64, width: i64) -> Tensor {
    min_max(&raw.unsqueeze(1).upsample_bilinear2d([height, width], false, None, None).squeeze_dim(1))
}

/// The classes whose evidence is drawn: `[n, k]`, i64, on the device of the logits `[n, n_classes]`.
pub(crate) fn chosen(logits: &Tensor, class: CamClass) -> Result<Tensor, NetError> {
    match class {
        CamClass::ArgMax => Ok(logits.detach().argmax(1, true)),
        CamClass::TopMean(count) => {
            let (_, classes) = logits.detach().topk(count.min(logits.size()[1]), 1, true, true);
            Ok(classes)
        }
        CamClass::Given(class) if class.size() == logits.size()[..1] => {
            Ok(class.to_device(logits.device()).to_kind(Kind::Int64).unsqueeze(1))
        }
        CamClass::Given(class) => {
            let expected = format!("[{}], one class per image", logits.size()[0]);
            Err(NetError::Shape { what: "the list of classes", expected, found: class.size() })
        }
    }
}

/// Scales each map `[n, H, W]` to `[0, 1]`; a constant one becomes zero.
fn min_max(maps: &Tensor) -> Tensor {
    let axes = [1i64, 2];
    let (low, high) = (maps.amin(axes.as_slice(), true), maps.amax(axes.as_slice(), true)); // [n, 1, 1]
    let range = high - &low;
    let safe = range.where_self(&range.gt(0.0), &range.ones_like());
    (maps - low) / safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_without_contrast_becomes_zero_and_others_fill_the_range() {
        let maps = Tensor::from_slice(&[2.0f32, 2.0, 2.0, 2.0, 1.0, 2.0, 3.0, 5.0]).reshape([2, 2, 2]);
        let scaled = min_max(&maps);
        assert_eq!(scaled.get(0).abs().max().double_value(&[]), 0.0);
        assert_eq!(scaled.get(1), Tensor::from_slice(&[0.0f32, 0.25, 0.5, 1.0]).reshape([2, 2]));
    }
}
