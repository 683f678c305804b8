//! The few kinds of draw that a picture needs, on top of the crate's streams.

use rand_chacha::ChaCha8Rng;

use crate::streams::Draw;

/// Uniform between `low` and `high`.
pub(super) fn between(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.uniform() as f32
}

/// Normal with mean 0 and the given standard deviation, cut off at two and a half of them.
pub(super) fn about(rng: &mut ChaCha8Rng, deviation: f32) -> f32 {
    rng.normal().clamp(-2.5, 2.5) as f32 * deviation
}

/// True with the given probability.
pub(super) fn chance(rng: &mut ChaCha8Rng, probability: f32) -> bool {
    (rng.uniform() as f32) < probability
}

/// One of several values, all alike likely.
pub(super) fn one_of<T: Copy>(rng: &mut ChaCha8Rng, values: &[T]) -> T {
    values[rng.below(values.len())]
}
