//! How sure a row is: probabilities of classes, from its scores and a temperature that held-out photos fit.
//!
//! A probability is the softmax of the scores over the temperature (Guo et al. 2017, On Calibration of Modern Neural
//! Networks).

use serde::{Deserialize, Serialize};

/// How far, in powers of e, a few held-out photos usually move the temperature of a row: one standard deviation.
const SPREAD: f64 = 1.0;
/// The range in which the temperature is sought, as powers of e around the usual one.
const RANGE: f64 = 12.0;
/// Bisections of that range.
const STEPS: usize = 60;

/// The temperature of a row, and what it was fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certainty {
    /// What scores are divided by.
    pub temperature: f64,
    /// Labelled photos that were held out of the support and predicted.
    pub held_out: usize,
    /// How many of them were predicted right.
    pub right: usize,
}

impl Certainty {
    /// Returns the probability of each class.
    pub fn probabilities(&self, scores: &[f32]) -> Vec<f64> {
        softmax(scores, 1.0 / self.temperature)
    }
}

/// Labelled photos that were scored without being in the support.
#[derive(Clone, Debug, Default)]
pub struct HeldOut(Vec<(Vec<f32>, usize)>);

impl HeldOut {
    /// Adds a photo: its scores, and the place of its class among them.
    pub fn push(&mut self, scores: Vec<f32>, class: usize) {
        self.0.push((scores, class));
    }

    /// Fits the temperature: the one under which the true classes are most probable, held near the `usual` temperature as far as
    /// there are few photos (a normal prior on its logarithm). Without photos it is the usual one. A class of many photos counts
    /// for as many as the median class: how sure its own photos are says little of the others'.
    pub fn fit(&self, usual: f64) -> Certainty {
        let is_right = |(scores, class): &&(Vec<f32>, usize)| scores.iter().all(|score| *score <= scores[*class]);
        let right = self.0.iter().filter(is_right).count();
        let weights = self.weights();
        let (mut low, mut high) = (-RANGE, RANGE);
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            match self.slope(&weights, usual, middle) > 0.0 {
                true => high = middle,
                false => low = middle,
            }
        }
        let temperature = if self.0.is_empty() { usual } else { usual * f64::midpoint(low, high).exp() };
        Certainty { temperature, held_out: self.0.len(), right }
    }

    /// Returns for each class how much a photo of it counts.
    fn weights(&self) -> Vec<f64> {
        let mut counts = vec![0usize; self.0.first().map_or(0, |(scores, _)| scores.len())];
        self.0.iter().for_each(|(_, class)| counts[*class] += 1);
        let mut sorted = counts.clone();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).map_or(1, |median| (*median).max(1));
        counts.into_iter().map(|count| (median as f64 / count as f64).min(1.0)).collect()
    }

    /// Returns the derivative, by the logarithm of the temperature, of the negative log probability of the true classes and of
    /// the prior. `power`: the temperature as a power of e times the usual one.
    fn slope(&self, weights: &[f64], usual: f64, power: f64) -> f64 {
        let inverse = (-power).exp() / usual;
        let of_photo = |(scores, class): &(Vec<f32>, usize)| {
            let probable = softmax(scores, inverse);
            let expected: f64 = probable.iter().zip(scores).map(|(p, score)| p * f64::from(*score)).sum();
            weights[*class] * (f64::from(scores[*class]) - expected) * inverse
        };
        self.0.iter().map(of_photo).sum::<f64>() + power / (SPREAD * SPREAD)
    }
}

/// Returns the softmax of scores times a factor.
fn softmax(scores: &[f32], factor: f64) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores.iter().map(|score| (f64::from(score - largest) * factor).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `right` of `n` photos are predicted right, each with the same distance between the scores of two classes.
    fn held_out(n: usize, right: usize, distance: f32) -> HeldOut {
        let mut photos = HeldOut::default();
        (0..n).for_each(|i| photos.push(vec![distance, 0.0], usize::from(i >= right)));
        photos
    }

    #[test]
    fn many_photos_fit_the_share_of_right_ones() {
        let fitted = held_out(4000, 3000, 2.0).fit(1.0);
        assert_eq!((fitted.held_out, fitted.right), (4000, 3000));
        let probability = fitted.probabilities(&[2.0, 0.0]);
        assert!((probability[0] - 0.75).abs() < 1e-3 && (probability[0] + probability[1] - 1.0).abs() < 1e-12);
        assert!((fitted.temperature - 2.0 / 3.0f64.ln()).abs() < 1e-2, "{fitted:?}");
    }

    #[test]
    fn few_photos_leave_the_temperature_near_the_usual_one() {
        assert!((HeldOut::default().fit(0.3).temperature - 0.3).abs() < 1e-12);
        let (few, many) = (held_out(3, 3, 2.0).fit(1.0).temperature, held_out(3000, 3000, 2.0).fit(1.0).temperature);
        assert!(0.2 < few && few < 1.0 && many < 0.5 * few, "{few} {many}");
    }

    #[test]
    fn a_class_of_many_photos_counts_for_as_many_as_the_median_class() {
        let photos = |counts: [usize; 3]| {
            let mut photos = HeldOut::default();
            for (class, count) in counts.into_iter().enumerate() {
                // Those of the first class are far apart from the others, whose own are predicted wrong.
                let scores = if class == 0 { [3.0, 0.0, 0.0] } else { [0.5, 0.0, 0.0] };
                (0..count).for_each(|_| photos.push(scores.to_vec(), class));
            }
            photos.fit(1.0)
        };
        let (even, uneven) = (photos([2, 2, 2]), photos([40, 2, 2]));
        assert!((even.temperature - uneven.temperature).abs() < 1e-9, "{even:?} {uneven:?}");
        assert_eq!((uneven.held_out, uneven.right), (44, 40));
        let alone = photos([40, 0, 0]).temperature;
        assert!(0.4 < alone && alone < 1.0, "one class alone leaves it near the usual one: {alone}");
    }

    #[test]
    fn scores_of_any_size_give_probabilities() {
        let sure = Certainty { temperature: 1e-6, held_out: 0, right: 0 };
        assert_eq!(sure.probabilities(&[3e38, -3e38, 0.0]), [1.0, 0.0, 0.0]);
        assert_eq!(sure.probabilities(&[1.0, 1.0]), [0.5, 0.5]);
    }
}
