//! The residual nets with the formula's weights: maps in both modes, gradients, running statistics.

use mlsm_nets::{BackboneKind, BackboneSpec, Classifier, Device, Head, Kind, Phase, Tensor, backbone};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::compare::Fixture;
use crate::formula::{fill, pixels};

fn compare(kind: BackboneKind, side: i64) {
    let fixture = Fixture::read(&kind.to_string());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut net = backbone(&BackboneSpec::new(kind, 64), &mut rng, Device::Cpu);
    let mut head = Classifier::new(&*net, Head::Gap, 5, &mut rng);
    fill(net.params_mut(), "");
    fill(head.params_mut(), "");

    let small = net.feature_map(&net.normalise(&pixels(2, 16, fixture.draw("slopes."))), Phase::Evaluate);
    let labels = Tensor::from_slice(&[1i64, 3]);
    let loss = head.logits(&small).log_softmax(-1, Kind::Float).nll_loss(&labels);
    fixture.check_gradients("slopes.", &loss, net.params());

    let x = net.normalise(&pixels(2, side, fixture.draw("")));
    let found = net.features(&x, Phase::Evaluate);
    fixture.check("eval.map", &found.map);
    fixture.check("embedding", &found.embedding);
    fixture.check("train.map", &net.feature_map(&x, Phase::Train));
    fixture.check("train.mean", net.params().get("layer4.0.bn1.running_mean").unwrap());
}

#[test]
fn resnet12_equals_pytorch() {
    compare(BackboneKind::ResNet12, 84);
}

#[test]
fn resnet18_equals_pytorch() {
    compare(BackboneKind::ResNet18, 96);
}

#[test]
fn maps_have_the_sides_that_the_names_promise() {
    for name in BackboneKind::names() {
        let kind: BackboneKind = name.parse().unwrap();
        let net = backbone(&BackboneSpec::new(kind, 64), &mut ChaCha8Rng::seed_from_u64(0), Device::Cpu);
        let found = net.features(&net.normalise(&pixels(1, kind.input_px(), 0)), Phase::Evaluate);
        assert_eq!(found.map.size(), [1, net.channels(), net.map_px(), net.map_px()], "{kind}");
        assert_eq!(found.embedding.size(), [1, net.embedding_dim()], "{kind}");
    }
}
