//! Named random streams: the only source of randomness, so that equal seeds give equal results anywhere.
//!
//! A stream is named by what it is for, so a new consumer of random numbers never shifts the numbers of an
//! old one. Everything is integer arithmetic or `libm` in Rust: the same bits on every machine. A change
//! here changes every result that was ever drawn; the tests pin values for that reason.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Separates these hashes from every other use of BLAKE3; its number rises when the derivation changes.
const DOMAIN: &[u8] = b"mlsm stream 1";

/// Opens the stream `name` of a seed; `index` counts things of one kind, such as episodes.
///
/// ```
/// use mlsm_data::streams::{Draw, stream};
///
/// let order = |name| {
///     let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
///     stream(7, name, 0).shuffle(&mut items);
///     items
/// };
/// assert_eq!(order("train/order"), order("train/order"));
/// assert_ne!(order("train/order"), order("train/augment"));
/// ```
///
/// The generator's seed is BLAKE3 of the domain tag, the length-prefixed name, the seed and the index, so
/// streams of different names, seeds or indices are independent.
pub fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(&seed.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// Draws from a stream.
pub trait Draw {
    /// A number in `[0, 1)`, uniform over the multiples of 2⁻⁵³.
    fn uniform(&mut self) -> f64;

    /// An integer in `0..n`, without bias.
    ///
    /// # Panics
    /// When `n` is 0: there is nothing to draw from.
    fn below(&mut self, n: usize) -> usize;

    /// A number of the standard normal distribution (Box and Muller 1958); takes two uniform draws.
    fn normal(&mut self) -> f64;

    /// Puts the items into random order; every order is equally likely.
    fn shuffle<T>(&mut self, items: &mut [T]);

    /// Draws `k` different integers of `0..n`, in the order drawn: the first `j` are what a draw of `j`
    /// would have given.
    ///
    /// # Panics
    /// When `k` is larger than `n`.
    fn choose_distinct(&mut self, n: usize, k: usize) -> Vec<usize>;
}

impl Draw for ChaCha8Rng {
    fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "a draw below 0 has no answer");
        let n = n as u64;
        // Lemire 2019: the high word of a product is uniform once the short first interval is refused.
        let refused = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= refused {
                return (product >> 64) as usize;
            }
        }
    }

    fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    fn choose_distinct(&mut self, n: usize, k: usize) -> Vec<usize> {
        assert!(k <= n, "cannot draw {k} different numbers out of {n}");
        let mut numbers: Vec<usize> = (0..n).collect();
        for position in 0..k {
            let other = position + self.below(n - position);
            numbers.swap(position, other);
        }
        numbers.truncate(k);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(seed: u64, name: &str, index: u64) -> u64 {
        stream(seed, name, index).next_u64()
    }

    #[test]
    fn equal_names_seeds_and_indices_give_equal_streams() {
        let mut left = stream(7, "episode", 3);
        let mut right = stream(7, "episode", 3);
        assert!((0..100).all(|_| left.next_u64() == right.next_u64()));
    }

    #[test]
    fn a_changed_name_seed_or_index_gives_another_stream() {
        let base = first(7, "episode", 3);
        assert_ne!(base, first(8, "episode", 3));
        assert_ne!(base, first(7, "episodes", 3));
        assert_ne!(base, first(7, "episode", 4));
        assert_ne!(first(0, "a", 1), first(1, "a", 0));
    }

    #[test]
    fn the_derivation_is_the_written_one() {
        let mut bytes = b"mlsm stream 1".to_vec();
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(b"episode");
        bytes.extend([9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        let mut by_hand = ChaCha8Rng::from_seed(*blake3::hash(&bytes).as_bytes());
        assert_eq!(by_hand.next_u64(), first(9, "episode", 2));
    }

    #[test]
    fn uniform_draws_fill_the_unit_interval() {
        let mut rng = stream(1, "test", 0);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.uniform()).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        // Standard error of the mean is 0.0009; five of them.
        assert!((mean - 0.5).abs() < 0.0046, "{mean}");
    }

    #[test]
    fn draws_below_seven_are_equally_likely() {
        let mut rng = stream(2, "test", 0);
        let mut counts = [0f64; 7];
        for _ in 0..70_000 {
            counts[rng.below(7)] += 1.0;
        }
        let chi_square: f64 = counts.iter().map(|c| (c - 10_000.0) * (c - 10_000.0) / 10_000.0).sum();
        // 99.99 % point of chi-square with 6 degrees of freedom.
        assert!(chi_square < 27.9, "{chi_square}");
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut rng = stream(3, "test", 0);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|z| z * z).sum::<f64>() / 1e5;
        let within_one = draws.iter().filter(|z| z.abs() < 1.0).count() as f64 / 1e5;
        assert!(mean.abs() < 0.016 && (variance - 1.0).abs() < 0.023, "{mean} {variance}");
        assert!((within_one - 0.6827).abs() < 0.0075, "{within_one}");
    }

    #[test]
    fn every_order_of_three_items_is_equally_likely() {
        let mut rng = stream(4, "test", 0);
        let mut counts = std::collections::BTreeMap::<[u8; 3], f64>::new();
        for _ in 0..60_000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            *counts.entry(items).or_default() += 1.0;
        }
        assert_eq!(counts.len(), 6);
        let chi_square: f64 = counts.values().map(|c| (c - 1e4) * (c - 1e4) / 1e4).sum();
        // 99.99 % point of chi-square with 5 degrees of freedom.
        assert!(chi_square < 25.8, "{chi_square}");
    }

    #[test]
    #[should_panic(expected = "cannot draw 3 different numbers out of 2")]
    fn more_distinct_numbers_than_there_are_is_refused() {
        stream(0, "test", 0).choose_distinct(2, 3);
    }

    #[test]
    #[should_panic(expected = "a draw below 0 has no answer")]
    fn a_draw_below_zero_is_refused() {
        stream(0, "test", 0).below(0);
    }

    proptest! {
        #[test]
        fn chosen_numbers_are_distinct_and_in_range(seed: u64, n in 1usize..60, share in 0.0f64..=1.0) {
            let k = (n as f64 * share) as usize;
            let chosen = stream(seed, "test", 0).choose_distinct(n, k);
            let set: std::collections::BTreeSet<_> = chosen.iter().copied().collect();
            prop_assert_eq!(set.len(), k);
            prop_assert!(chosen.iter().all(|&i| i < n));
        }

        #[test]
        fn a_smaller_choice_is_the_beginning_of_a_larger_one(seed: u64, n in 2usize..60) {
            let all = stream(seed, "test", 0).choose_distinct(n, n);
            let some = stream(seed, "test", 0).choose_distinct(n, n / 2);
            prop_assert_eq!(&all[..n / 2], &some[..]);
        }
    }
}
