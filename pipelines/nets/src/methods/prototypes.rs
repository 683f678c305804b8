//! Heads without weights: the mean of a class's support vectors, compared with each query.
//!
//! Sources: Snell et al. 2017, eq. 1 (class means); Wang et al. 2019, "SimpleShot" (CL2N: centring, then L2 norm).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How close a query is to a class mean; larger is closer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Minus the squared Euclidean distance.
    #[default]
    #[serde(rename = "euclidean")]
    SquaredEuclidean,
    /// The cosine of the angle.
    Cosine,
}

/// Subtracts the base classes' mean vector and scales every row to length 1.
///
/// `features`: `[n, d]`; `base_mean`: `[d]`. A row that equals the mean stays zero.
pub fn cl2n(features: &Tensor, base_mean: &Tensor) -> Tensor {
    unit_rows(&(features - base_mean))
}

/// Averages the support vectors of each class. `support`: `[n_way * k_shot, d]`, grouped by class: `[n_way, d]`.
pub fn class_means(support: &Tensor, n_way: i64, k_shot: i64) -> Tensor {
    support.reshape([n_way, k_shot, -1]).mean_dim([1i64].as_slice(), false, support.kind())
}

/// Scores every query against every class mean.
///
/// `support`: `[n_way * k_shot, d]`, grouped by class; `queries`: `[q, d]`. Returns `[q, n_way]`, larger is closer.
pub fn class_mean_scores(support: &Tensor, n_way: i64, k_shot: i64, queries: &Tensor, metric: Metric) -> Tensor {
    scores(&class_means(support, n_way, k_shot), queries, metric)
}

/// Scores every query against every mean. `means`: `[n_way, d]`; `queries`: `[q, d]`. Returns `[q, n_way]`.
pub(super) fn scores(means: &Tensor, queries: &Tensor, metric: Metric) -> Tensor {
    match metric {
        Metric::Cosine => unit_rows(queries).matmul(&unit_rows(means).transpose(0, 1)),
        Metric::SquaredEuclidean => {
            // |q - m|² multiplied out: one matrix product instead of [q, n_way, d] differences
            let squares = |rows: &Tensor| rows.square().sum_dim_intlist([1i64].as_slice(), true, rows.kind());
            queries.matmul(&means.transpose(0, 1)) * 2.0 - squares(queries) - squares(means).transpose(0, 1)
        }
    }
}

/// Scales every row of `[n, d]` to length 1; a row of zeros stays.
pub(super) fn unit_rows(rows: &Tensor) -> Tensor {
    let squares = rows.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float); // [n, 1]
    rows / squares.sqrt().clamp_min(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::assert_near;

    fn rows(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).reshape([-1, 2])
    }

    #[test]
    fn a_class_is_the_mean_of_its_shots() {
        assert_eq!(class_means(&rows(&[0.0, 2.0, 4.0, 6.0, 1.0, 1.0, 3.0, 1.0]), 2, 2), rows(&[2.0, 4.0, 2.0, 1.0]));
    }

    #[test]
    fn scores_are_the_distances_by_hand() {
        let support = rows(&[0.0, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 5.0]); // means (1, 0) and (0, 4)
        let queries = rows(&[1.0, 1.0, 0.0, 2.0]);
        let far = class_mean_scores(&support, 2, 2, &queries, Metric::SquaredEuclidean);
        assert_eq!(far, rows(&[-1.0, -10.0, -5.0, -4.0]));
        let cosine = class_mean_scores(&support, 2, 2, &queries, Metric::Cosine);
        let half = 0.5f32.sqrt();
        // On each side squares, sum, root and quotient; then products and their sum.
        assert_near(&cosine, &rows(&[half, half, 0.0, 1.0]), 10, 1.0);
    }

    #[test]
    fn centred_rows_have_length_one_and_the_mean_itself_stays_finite() {
        let mean = Tensor::from_slice(&[1.0f32, 1.0]);
        let normal = cl2n(&rows(&[4.0, 5.0, 1.0, 1.0]), &mean);
        assert_near(&normal, &rows(&[0.6, 0.8, 0.0, 0.0]), 5, 1.0);
    }
}
