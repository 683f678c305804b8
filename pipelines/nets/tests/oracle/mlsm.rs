//! MLSM's head in ten settings: vectors, scores, loss and gradients in training mode, vectors in evaluation mode.

use mlsm_nets::{Device, Method, Mlsm, MlsmOptions, Phase, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::compare::Fixture;
use crate::formula::{fill, tensor};

fn compare(name: &str, side: i64, options: MlsmOptions) {
    let fixture = Fixture::read(&format!("mlsm-{name}"));
    let channels = options.channels;
    let mut head = Mlsm::new(options, &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu);
    fill(head.params_mut(), "");
    let draw = fixture.draw("");
    let maps = |name: &str| tensor(&format!("{name}{draw}"), &[10, channels, side, side]) * 64.0;
    let (image, object) = (maps("image_map"), maps("object_map"));

    let vectors = head.represent(Some(&image), Some(&object), Phase::Train);
    fixture.check("train.vectors", &vectors);
    let classes = head.class_vectors(&vectors.narrow(0, 0, 6), 3, 2);
    let scores = head.scores(&classes, &vectors.narrow(0, 6, 4), Phase::Train);
    fixture.check("train.scores", &scores);
    let loss = head.loss(&scores, &Tensor::from_slice(&[0i64, 2, 1, 1]));
    fixture.check_gradients("", &loss, head.params());

    fill(head.params_mut(), "");
    fixture.check("eval.vectors", &head.represent(Some(&image), Some(&object), Phase::Evaluate));
}

fn switches(levels: &str, pair: &str, loss: &str, norm: &str) -> MlsmOptions {
    MlsmOptions {
        levels: levels.parse().unwrap(),
        pair: pair.parse().unwrap(),
        loss: loss.parse().unwrap(),
        fuse_norm: norm.parse().unwrap(),
        ..MlsmOptions::default()
    }
}

#[test]
fn the_default_head_equals_pytorch() {
    compare("default", 19, MlsmOptions { channels: 8, ..MlsmOptions::default() });
}

#[test]
fn the_papers_head_equals_pytorch() {
    compare("paper", 19, MlsmOptions { channels: 8, ..MlsmOptions::paper() });
}

#[test]
fn a_head_on_7x7_maps_with_own_blocks_layer_norm_and_summed_shots_equals_pytorch() {
    let base = switches("I+G+O", "concat+absdiff+product", "bce", "layernorm");
    let shot_pool = "sum".parse().unwrap();
    compare("lite0", 7, MlsmOptions { channels: 48, sim_hidden: vec![32, 16], share_adjust: false, shot_pool, ..base });
}

#[test]
fn a_head_on_21x21_maps_with_scalars_equals_pytorch() {
    let base = switches("I+O", "absdiff+product", "ce", "scalars");
    compare("np21", 21, MlsmOptions { channels: 4, sim_hidden: vec![8], ..base });
}

#[test]
fn a_head_on_28x28_maps_equals_pytorch() {
    let base = switches("G+O", "concat", "ce", "none");
    compare("large", 28, MlsmOptions { channels: 2, sim_hidden: vec![8], ..base });
}

#[test]
fn a_head_of_64_numbers_with_global_means_of_both_maps_equals_pytorch() {
    let base = switches("I+G+O", "absdiff+product", "bce", "none");
    let (fusion, gap_source) = ("vec64".parse().unwrap(), "image+object".parse().unwrap());
    compare("vec64", 7, MlsmOptions { channels: 64, sim_hidden: vec![8], fusion, gap_source, pos_weight: 4.0, ..base });
}

#[test]
fn relation_nets_head_on_summed_maps_equals_pytorch() {
    let base = switches("I+G+O", "concat", "mse", "scalars");
    let fusion = "map".parse().unwrap();
    compare("map", 19, MlsmOptions { channels: 8, sim_hidden: vec![8], fusion, pos_weight: 4.0, ..base });
}

#[test]
fn one_similarity_for_each_level_equals_pytorch() {
    let base = switches("I+G+O", "concat", "ce", "none");
    let fusion_point = "scores".parse().unwrap();
    compare("scores", 7, MlsmOptions { channels: 16, sim_hidden: vec![8], fusion_point, ..base });
}

#[test]
fn the_sum_over_the_number_of_levels_equals_pytorch() {
    let base = switches("I+G+O", "absdiff+product", "ce", "mean");
    compare("mean", 7, MlsmOptions { channels: 16, sim_hidden: vec![8], ..base });
}

#[test]
fn similarities_with_a_learnt_share_of_the_object_equal_pytorch() {
    let base = switches("I+G+O", "absdiff+product", "ce", "gate");
    let fusion_point = "scores".parse().unwrap();
    compare("gate", 7, MlsmOptions { channels: 16, sim_hidden: vec![8], fusion_point, ..base });
}
