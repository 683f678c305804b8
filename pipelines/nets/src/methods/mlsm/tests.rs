//! What the sum of levels, the pair and the loss make of maps.

use super::*;
use crate::adam::{Adam, Decay};
use crate::methods::Levels;
use crate::rounding::assert_near;
use rand_chacha::rand_core::SeedableRng;

fn made(levels: &str, change: impl Fn(&mut MlsmOptions)) -> Mlsm {
    let mut options = MlsmOptions { levels: levels.parse().unwrap(), channels: 8, ..MlsmOptions::default() };
    change(&mut options);
    Mlsm::new(options, &mut ChaCha8Rng::seed_from_u64(3), Device::Cpu)
}

fn map(n: i64, side: i64) -> Tensor {
    Tensor::arange(n * 8 * side * side, (Kind::Float, Device::Cpu)).sin().reshape([n, 8, side, side])
}

#[test]
fn a_fresh_head_with_an_anchor_scores_as_the_nearest_class_mean() {
    let mut head = made("I+G+O", |o| (o.anchor, o.anchor_side) = (AnchorKind::Cl2n, 2));
    let (images, objects) = (map(9, 7), map(9, 7).square());
    let pooled = |maps: &Tensor| maps.adaptive_avg_pool2d([2, 2]).flatten(1, -1);
    let means = [&images, &objects].map(|maps| pooled(maps).mean_dim([0i64].as_slice(), false, Kind::Float));
    head.set_base_means([Some(&means[0]), Some(&means[1])]);
    let vectors = head.represent(Some(&images), Some(&objects), Phase::Evaluate);
    let scores =
        head.scores(&head.class_vectors(&vectors.narrow(0, 0, 6), 3, 2), &vectors.narrow(0, 6, 3), Phase::Evaluate);
    let sides = [(&images, &means[0]), (&objects, &means[1])];
    let unit = Tensor::cat(&sides.map(|(maps, mean)| crate::methods::cl2n(&pooled(maps), mean)), 1);
    let metric = crate::methods::Metric::SquaredEuclidean;
    let (support, queries) = (unit.narrow(0, 0, 6), unit.narrow(0, 6, 3));
    let expected = crate::methods::class_mean_scores(&support, 3, 2, &queries, metric) * 10.0;
    // Unit vectors of image and object, 32 numbers each: sums of 64 products, times 10.
    assert_near(&scores, &expected, 64, 10.0 * 4.0);
}

#[test]
fn every_map_size_gives_vectors_of_576() {
    let head = made("I+G+O", |_| ());
    for side in [5, 7, 12, 19, 21, 28] {
        let (image, object) = (map(2, side), map(2, side) * 0.5);
        let vectors = head.represent(Some(&image), Some(&object), Phase::Train);
        assert_eq!(vectors.size(), [2, VECTOR], "side {side}");
    }
}

#[test]
fn each_level_needs_only_its_own_map_and_weights() {
    let names = |head: &Mlsm| head.params().names().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert!(!names(&made("G", |_| ())).contains("adjust"));
    assert!(!names(&made("O", |_| ())).contains("global"));
    assert!(names(&made("I+O", |o| o.share_adjust = false)).contains("adjust_object"));
    let some = map(2, 7);
    let alone = [
        made("O", |_| ()).represent(None, Some(&some), Phase::Evaluate),
        made("O", |o| o.share_adjust = false).represent(None, Some(&some), Phase::Evaluate),
        made("I+G", |_| ()).represent(Some(&some), None, Phase::Evaluate),
    ];
    assert!(alone.iter().all(|vectors| vectors.size() == [2, VECTOR]));
}

/// An object level that sees the whole photo again adds nothing, and takes nothing away: not a bit of the scores, of the
/// weights after steps of training, nor of the scores in evaluation.
#[test]
fn the_whole_photo_twice_is_image_and_global_to_the_bit_where_maps_are_averaged() {
    let (images, labels) = (map(7, 19), Tensor::from_slice(&[0i64, 1, 1]));
    let scored = |head: &Mlsm, object: Option<&Tensor>, phase: Phase| {
        let vectors = head.represent(Some(&images), object, phase);
        head.scores(&head.class_vectors(&vectors.narrow(0, 0, 4), 2, 2), &vectors.narrow(0, 4, 3), phase)
    };
    let trained = |norm: FuseNorm, levels: &str, object: Option<&Tensor>| {
        let head = made(levels, |o| o.fuse_norm = norm);
        let mut adam = Adam::new(head.params().trainable(), 1e-2, Decay::L2(1e-3));
        for _ in 0..4 {
            let loss = head.loss(&scored(&head, object, Phase::Train), &labels);
            adam.step(&crate::gradients(&loss, adam.params()).unwrap()).unwrap();
        }
        let weights = head.params().trainable().into_iter().filter(|(name, _)| name != "fuse.gate");
        (weights.collect::<Vec<_>>(), scored(&head, object, Phase::Evaluate))
    };
    for norm in [FuseNorm::MapMean, FuseNorm::Gate] {
        let (alone, twice) = (trained(norm, "I+G", None), trained(norm, "I+G+O", Some(&images)));
        assert_eq!(alone, twice, "{norm}");
    }
    let (alone, twice) = (trained(FuseNorm::None, "I+G", None), trained(FuseNorm::None, "I+G+O", Some(&images)));
    assert_ne!(alone.1, twice.1, "the paper's plain sum grows with each level");
}

#[test]
fn a_level_more_leaves_the_first_weights_of_the_others_alone() {
    let (some, all) = (made("I", |_| ()), made("I+G+O", |o| o.share_adjust = false));
    for (name, tensor) in some.params().all() {
        assert_eq!(Some(&tensor), all.params().get(&name), "{name}");
    }
}

#[test]
fn the_sum_of_levels_is_the_weighted_sum_of_single_levels() {
    let (image, object) = (map(2, 19), map(2, 19) * 0.5);
    let part = |head: &Mlsm, levels: Levels| {
        let mut single = Mlsm::new(head.options.clone(), &mut ChaCha8Rng::seed_from_u64(3), Device::Cpu);
        single.options.levels = levels;
        single.fuse = Fuse::new(&mut Params::new(Device::Cpu), FuseNorm::None, levels, VECTOR);
        single.global = single.global.filter(|_| levels.global);
        single.represent(Some(&image), Some(&object), Phase::Evaluate)
    };
    let none = Levels { image: false, global: false, object: false };
    let third = 1.0 / 3.0;
    let shares = [
        (FuseNorm::None, [1.0, 1.0, 1.0]),
        (FuseNorm::Mean, [third, third, third]),
        (FuseNorm::MapMean, [0.5, 1.0, 0.5]),
        (FuseNorm::Gate, [0.5, 1.0, 0.5]),
    ];
    for (norm, [of_image, of_global, of_object]) in shares {
        let head = made("I+G+O", |o| o.fuse_norm = norm);
        let sum = part(&head, Levels { image: true, ..none }) * of_image
            + part(&head, Levels { global: true, ..none }) * of_global
            + part(&head, Levels { object: true, ..none }) * of_object;
        let whole = head.represent(Some(&image), Some(&object), Phase::Evaluate);
        assert_near(&sum, &whole, 4, whole.abs().max().double_value(&[]));
    }
}

#[test]
fn each_pair_loss_and_norm_gives_finite_scores_and_gradients() {
    let labels = Tensor::from_slice(&[0i64, 1, 1]);
    for pair in [Pair::Concat, Pair::AbsDiffProduct, Pair::ConcatAbsDiffProduct] {
        for loss in [Loss::Mse, Loss::Bce, Loss::Ce] {
            for norm in FuseNorm::ALL {
                let head = made("I+G+O", |o| (o.pair, o.loss, o.fuse_norm) = (pair, loss, norm));
                let all = head.represent(Some(&map(7, 5)), Some(&map(7, 5).cos()), Phase::Train);
                let classes = head.class_vectors(&all.narrow(0, 0, 4), 2, 2);
                let scores = head.scores(&classes, &all.narrow(0, 4, 3), Phase::Train);
                assert_eq!(scores.size(), [3, 2]);
                let params: Vec<Tensor> = head.params().trainable().into_iter().map(|(_, tensor)| tensor).collect();
                let found = crate::gradients(&head.loss(&scores, &labels), &params).unwrap();
                assert!(found.iter().all(|g| g.isfinite().all().int64_value(&[]) == 1), "{pair} {loss} {norm}");
                let likely = head.probabilities(&scores);
                assert!(likely.min().double_value(&[]) >= 0.0 && likely.max().double_value(&[]) <= 1.0);
            }
        }
    }
}
