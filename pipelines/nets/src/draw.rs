//! Random tensors from a given stream: torch's own generator, which is global, is never used.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::Tensor;

/// The stream of one module: a function of the generator's seed and the module's name alone, so that a module's first
/// weights do not depend on which other modules a net has.
pub(crate) fn stream_of(rng: &ChaCha8Rng, name: &str) -> ChaCha8Rng {
    // FNV-1a; ChaCha has 2^64 streams of one seed.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut own = ChaCha8Rng::from_seed(rng.get_seed());
    own.set_stream(hash);
    own
}

/// A number in `[0, 1)` with 53 random bits.
pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number in `[low, high)`.
pub(crate) fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * uniform(rng)
}

/// A CPU tensor of the shape, elements from N(0, std²) by the Box–Muller transform.
pub(crate) fn normal_tensor(rng: &mut ChaCha8Rng, shape: &[i64], std: f64) -> Tensor {
    let count = elements(shape);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
        let angle = std::f64::consts::TAU * uniform(rng);
        values.push((std * radius * angle.cos()) as f32);
        values.push((std * radius * angle.sin()) as f32);
    }
    Tensor::from_slice(&values[..count]).reshape(shape)
}

/// A CPU tensor of the shape, elements from `[-bound, bound)`.
pub(crate) fn uniform_tensor(rng: &mut ChaCha8Rng, shape: &[i64], bound: f64) -> Tensor {
    let values: Vec<f32> = (0..elements(shape)).map(|_| between(rng, -bound, bound) as f32).collect();
    Tensor::from_slice(&values).reshape(shape)
}

fn elements(shape: &[i64]) -> usize {
    shape.iter().map(|&side| usize::try_from(side).expect("a shape has no negative side")).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn normal_draws_have_the_asked_mean_and_spread() {
        let drawn = normal_tensor(&mut ChaCha8Rng::seed_from_u64(1), &[100, 201], 0.5);
        assert_eq!(drawn.size(), [100, 201]);
        // 20,100 draws: the mean has a standard error of 0.0035.
        assert!(drawn.mean(Kind::Double).double_value(&[]).abs() < 0.02);
        assert!((drawn.std(true).double_value(&[]) - 0.5).abs() < 0.02);
    }

    #[test]
    fn equal_streams_draw_equal_tensors() {
        let draw = |seed| uniform_tensor(&mut ChaCha8Rng::seed_from_u64(seed), &[3, 4], 2.0);
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        assert!(draw(5).abs().max().double_value(&[]) < 2.0);
    }

    #[test]
    fn a_modules_stream_depends_on_seed_and_name_and_not_on_what_was_drawn_before() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let draw = |rng: &ChaCha8Rng, name| uniform_tensor(&mut stream_of(rng, name), &[4], 1.0);
        let before = draw(&rng, "global.");
        let _ = uniform_tensor(&mut rng, &[100], 1.0);
        assert_eq!(draw(&rng, "global."), before);
        assert_ne!(draw(&rng, "similarity.0."), before);
        assert_ne!(draw(&ChaCha8Rng::seed_from_u64(6), "global."), before);
    }
}
