//! For tests: how far an f32 result may lie from a value that is known, on any CPU and in any order of summation.

use tch::{Kind, Tensor};

/// The error bound of a value that `steps` roundings lead to, none of whose parts is larger than `largest`: each costs at
/// most half an ulp. Source: Higham 2002, section 3.1.
pub(crate) fn tolerance(steps: u32, largest: f64) -> f64 {
    f64::from(steps) * f64::from(f32::EPSILON) / 2.0 * largest
}

/// Checks every value of a tensor against [`tolerance`].
#[track_caller]
pub(crate) fn assert_near(found: &Tensor, expected: &Tensor, steps: u32, largest: f64) {
    let apart = (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max().double_value(&[]);
    let allowed = tolerance(steps, largest);
    assert!(apart <= allowed, "{apart:e} apart, allowed {allowed:e}");
}
