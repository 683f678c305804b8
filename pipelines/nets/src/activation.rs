//! Maps of where an object is that no gradient is needed for: CAM, deep descriptor transforming, and plain activation.
//!
//! All take feature maps `[n, c, h, w]` and return raw maps `[n, h, w]`, not negative; `enlarge_map` scales them.

use tch::{Device, Kind, Tensor};

use crate::cam::{CamClass, chosen};
use crate::classifier::Classifier;
use crate::error::NetError;

/// The centre prior's standard deviation as a share of the map's side.
const PRIOR_SIGMA: f64 = 2.5 / 7.0;

/// Class activation maps: the features weighted by a class's row of a linear head on their mean (of several classes: by
/// the mean of their rows).
///
/// Returns the maps and the class of each, `[n]` (of several the one with the largest logit). Source: Zhou et al. 2016, eq. 2; negative evidence is cut off.
///
/// # Errors
/// [`NetError::Shape`] when the head does not read the mean of the map, or there is not one class per image.
pub fn class_activation(features: &Tensor, head: &Classifier, class: CamClass) -> Result<(Tensor, Tensor), NetError> {
    let rows = head.class_rows(); // [n_classes, c] for a head on the mean
    if rows.size()[1] != features.size()[1] {
        let expected = format!("[n_classes, {}], a head on the mean of the map", features.size()[1]);
        return Err(NetError::Shape { what: "the head of CAM", expected, found: rows.size() });
    }
    let classes = chosen(&head.logits(features), class)?; // [n, k]
    let of_each = rows.f_index_select(0, &classes.flatten(0, 1))?.reshape([classes.size()[0], classes.size()[1], -1]);
    let weights = of_each.mean_dim([1i64].as_slice(), false, Kind::Float).unsqueeze(-1).unsqueeze(-1); // [n, c, 1, 1]
    let maps = (features * weights).sum_dim_intlist([1i64].as_slice(), false, Kind::Float).relu();
    Ok((maps, classes.select(1, 0)))
}

/// The mean over channels, times a Gaussian around the centre of the map: objects are where a net is active, and
/// photographers aim.
pub fn class_free(features: &Tensor) -> Tensor {
    let size = features.size();
    let prior = |side: i64| {
        let place = Tensor::arange(side, (Kind::Float, features.device())) - (side - 1) as f64 / 2.0;
        (-(place / (PRIOR_SIGMA * side as f64)).square() / 2.0).exp()
    };
    let prior = prior(size[2]).unsqueeze(1) * prior(size[3]).unsqueeze(0); // [h, w]
    features.mean_dim([1i64].as_slice(), false, Kind::Float).relu() * prior
}

/// The statistics of descriptors, summed up batch by batch.
#[derive(Debug)]
pub struct Descriptors {
    count: f64,
    sum: Tensor,
    products: Tensor,
}

impl Descriptors {
    /// None yet.
    pub fn new(device: Device) -> Self {
        let zero = || Tensor::zeros([1], (Kind::Double, device));
        Self { count: 0.0, sum: zero(), products: zero() }
    }

    /// Adds every position of the maps.
    pub fn add(&mut self, features: &Tensor) {
        let rows = features.permute([0, 2, 3, 1]).flatten(0, 2).to_kind(Kind::Double); // [n·h·w, c]
        self.count += rows.size()[0] as f64;
        self.sum = &self.sum + rows.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        self.products = &self.products + rows.transpose(0, 1).matmul(&rows);
    }

    /// Returns the mean and the first principal direction, both `[c]`, f32: `[2, c]`.
    ///
    /// A direction has no sign of its own: the one along which activations grow is taken, since objects are brighter
    /// than what surrounds them.
    pub fn first_direction(&self) -> Tensor {
        let mean = &self.sum / self.count;
        let covariance = &self.products / self.count - mean.outer(&mean);
        let (_, vectors) = covariance.to_device(Device::Cpu).linalg_eigh("L"); // ascending
        let direction = vectors.select(1, -1).to_device(mean.device());
        let sign = if direction.sum(Kind::Double).double_value(&[]) < 0.0 { -1.0 } else { 1.0 };
        Tensor::stack(&[mean, direction * sign], 0).to_kind(Kind::Float)
    }
}

/// How far each position lies along the first principal direction; what lies against it is zero.
///
/// `mean_and_direction`: `[2, c]`, of [`Descriptors::first_direction`]. Source: Wei et al. 2017 (arXiv 1705.02758), eq. 3.
pub fn descriptor_transform(features: &Tensor, mean_and_direction: &Tensor) -> Tensor {
    let (mean, direction) = (mean_and_direction.get(0), mean_and_direction.get(1)); // [c] each
    let centred = features.permute([0, 2, 3, 1]) - mean; // [n, h, w, c]
    centred.matmul(&direction).relu()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::{assert_near, tolerance};

    fn maps(values: &[f32], shape: &[i64]) -> Tensor {
        Tensor::from_slice(values).reshape(shape)
    }

    #[test]
    fn the_prior_is_one_in_the_middle_and_the_same_on_all_sides() {
        let map = class_free(&Tensor::ones([1, 3, 7, 7], (Kind::Float, Device::Cpu))).squeeze();
        assert_eq!(map.double_value(&[3, 3]), 1.0);
        let one_off = (-1.0f64 / (2.0 * 2.5 * 2.5)).exp();
        let allowed = tolerance(6, 1.0); // of an exponential of a square of a quotient, and a product
        assert!((map.double_value(&[3, 2]) - one_off).abs() <= allowed);
        assert!((map.double_value(&[0, 3]) - map.double_value(&[3, 6])).abs() <= allowed);
    }

    #[test]
    fn the_first_direction_is_that_of_the_largest_spread_pointing_to_activity() {
        // Descriptors (±3 + 5, 1) and (5, 1 ± 0.1): the spread is along the first channel.
        let features = maps(&[8.0, 2.0, 5.0, 5.0, 1.0, 1.0, 1.1, 0.9], &[1, 2, 2, 2]);
        let mut descriptors = Descriptors::new(Device::Cpu);
        descriptors.add(&features);
        let fitted = descriptors.first_direction();
        assert_near(&fitted.get(0), &maps(&[5.0, 1.0], &[2]), 2, 5.0);
        assert_near(&fitted.get(1), &maps(&[1.0, 0.0], &[2]), 2, 1.0);
        let map = descriptor_transform(&features, &fitted);
        assert_near(&map, &maps(&[3.0, 0.0, 0.0, 0.0], &[1, 2, 2]), 4, 5.0);
    }

    #[test]
    fn batches_add_up() {
        let features = Tensor::arange(64, (Kind::Float, Device::Cpu)).square().reshape([4, 4, 2, 2]);
        let (mut whole, mut parts) = (Descriptors::new(Device::Cpu), Descriptors::new(Device::Cpu));
        whole.add(&features);
        parts.add(&features.narrow(0, 0, 1));
        parts.add(&features.narrow(0, 1, 3));
        // Squares of integers and their sums are exact in f64, so both fit the same numbers.
        assert_eq!(whole.first_direction(), parts.first_direction());
    }
}
