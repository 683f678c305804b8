//! Mean accuracy over episodes with its 95 % confidence interval.

use serde::{Deserialize, Serialize};

/// A mean and the half width of its 95 % confidence interval, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The mean; NaN without values.
    pub mean: f64,
    /// 1.96 · SD / √n, with n − 1 in the SD; NaN for fewer than two values, which say nothing of the spread.
    pub ci95: f64,
}

/// The mean of the values, one an episode.
///
/// ```
/// let accuracy = mlsm_data::mean_ci(&[0.5, 0.7, 0.6]);
/// assert!((accuracy.mean - 0.6).abs() < 1e-12);
/// assert!((accuracy.ci95 - 1.96 * 0.1 / 3f64.sqrt()).abs() < 1e-12);
/// ```
pub fn mean_ci(values: &[f64]) -> Accuracy {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Accuracy { mean, ci95: 1.96 * (squares / (n - 1.0) / n).sqrt() }
}

/// The mean of `left − right` over the same episodes: of two methods, or of one with and without a part.
///
/// # Panics
/// When the lists differ in length: then they are not of the same episodes.
pub fn paired(left: &[f64], right: &[f64]) -> Accuracy {
    assert_eq!(left.len(), right.len(), "paired accuracies must be of the same episodes");
    let differences: Vec<f64> = left.iter().zip(right).map(|(left, right)| left - right).collect();
    mean_ci(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_interval_have_their_hand_computed_values() {
        // Deviations -1, 0, 1: SD 1, divided by the root of 3.
        let accuracy = mean_ci(&[1.0, 2.0, 3.0]);
        assert_eq!(accuracy.mean, 2.0);
        assert!((accuracy.ci95 - 1.96 / 3f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_value_has_a_mean_and_no_interval() {
        let accuracy = mean_ci(&[0.5]);
        assert!(accuracy.mean == 0.5 && accuracy.ci95.is_nan());
        assert!(mean_ci(&[]).mean.is_nan() && mean_ci(&[]).ci95.is_nan());
    }

    #[test]
    fn paired_values_lose_what_they_share() {
        let accuracy = paired(&[0.5, 0.9, 0.2], &[0.4, 0.8, 0.1]);
        assert!((accuracy.mean - 0.1).abs() < 1e-12 && accuracy.ci95 < 1e-12);
    }

    #[test]
    #[should_panic(expected = "same episodes")]
    fn lists_of_different_episodes_are_refused() {
        paired(&[0.5], &[]);
    }
}
