//! The three Conv-4 layouts: map, embedding and Grad-CAM; training loss, gradients and running statistics.

use mlsm_nets::{BackboneKind, BackboneSpec, CamClass, Classifier, Device, Kind, Phase, Tensor, backbone, grad_cam};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::compare::Fixture;
use crate::formula::{fill, pixels};

fn compare(kind: BackboneKind) {
    let fixture = Fixture::read(&kind.to_string());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut net = backbone(&BackboneSpec::new(kind, 64), &mut rng, Device::Cpu);
    let mut head = Classifier::new(&*net, kind.default_head(), 5, &mut rng);
    fill(net.params_mut(), "");
    fill(head.params_mut(), "");

    let x = net.normalise(&pixels(2, 84, fixture.draw("eval.")));
    let found = net.features(&x, Phase::Evaluate);
    fixture.check("eval.map", &found.map);
    assert_eq!(found.embedding.size(), [2, net.embedding_dim()]);
    fixture.check("eval.embedding", &found.embedding);

    let cam = grad_cam(&*net, &head, &x, CamClass::ArgMax).unwrap();
    fixture.check_cam("eval.cam.argmax", &cam);
    let given = CamClass::Given(Tensor::from_slice(&[3i64, 0]));
    fixture.check_cam("eval.cam.given", &grad_cam(&*net, &head, &x, given).unwrap());
}

fn compare_training(kind: BackboneKind) {
    let fixture = Fixture::read(&kind.to_string());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut net = backbone(&BackboneSpec::new(kind, 4), &mut rng, Device::Cpu);
    let mut head = Classifier::new(&*net, kind.default_head(), 5, &mut rng);
    fill(net.params_mut(), "");
    fill(head.params_mut(), "");

    let x = net.normalise(&pixels(2, 84, fixture.draw("train.")));
    let logits = head.logits(&net.feature_map(&x, Phase::Train));
    let loss = logits.log_softmax(-1, Kind::Float).nll_loss(&Tensor::from_slice(&[0i64, 4]));
    fixture.check_gradients("train.", &loss, net.params());
    for name in fixture.names("train.after.") {
        fixture.check(&format!("train.after.{name}"), net.params().get(name).unwrap());
    }
}

#[test]
fn conv4_np19_equals_pytorch() {
    compare(BackboneKind::Conv4Np19);
    compare_training(BackboneKind::Conv4Np19);
}

#[test]
fn conv4_np21_equals_pytorch() {
    compare(BackboneKind::Conv4Np21);
    compare_training(BackboneKind::Conv4Np21);
}

#[test]
fn conv4_pooled_equals_pytorch() {
    compare(BackboneKind::Conv4Pooled);
    compare_training(BackboneKind::Conv4Pooled);
}

#[test]
fn fresh_and_saved_weights_repeat_byte_for_byte() {
    let bytes = |kind| {
        let net = backbone(&BackboneSpec::new(kind, 16), &mut ChaCha8Rng::seed_from_u64(7), Device::Cpu);
        net.params().to_safetensors().unwrap()
    };
    for kind in [BackboneKind::Conv4Np19, BackboneKind::Conv4Pooled] {
        let first = bytes(kind);
        assert_eq!(first, bytes(kind));
        let mut other = backbone(&BackboneSpec::new(kind, 16), &mut ChaCha8Rng::seed_from_u64(8), Device::Cpu);
        assert_ne!(first, other.params().to_safetensors().unwrap());
        other.params_mut().load(&first).unwrap();
        assert_eq!(first, other.params().to_safetensors().unwrap());
    }
}

#[test]
fn a_conv4_of_64_filters_has_113088_parameters() {
    let net = backbone(&BackboneSpec::new(BackboneKind::Conv4Np19, 64), &mut ChaCha8Rng::seed_from_u64(7), Device::Cpu);
    let count: usize = net.params().trainable().iter().map(|(_, tensor)| tensor.numel()).sum();
    assert_eq!(count, 113_088);
}
